"""Make scenes with known geometry and write them in the layout of a data set.

    python tools/make_scene.py --layout dtu --output datasets/dtu --scenes 8 --seed 1
    python tools/make_scene.py --layout dtu --output datasets/dtu_small --scenes 100 --seed 1000 --size 160x128

A scene depends on its seed alone: scene n (from 0) gets seed S + n. What is finished is listed in `scenes.json` in the
output folder; the same command started again goes on where it was stopped.
"""

import argparse
import difflib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from common.datasets.writers.layouts import LAYOUTS
from common.entry_point import run_command
from common.io.atomic import atomic_path
from common.synthetic import generate


@dataclass(frozen=True)
class SceneOrder:
    """One scene to make."""

    layout: str
    name: str
    seed: int
    size: tuple[int, int]
    num_views: int | None

    def record(self) -> dict:
        """What `scenes.json` says about the finished scene."""
        return {"layout": self.layout, "seed": self.seed, "size": list(self.size), "views": self.num_views}


def main(arguments: Sequence[str] | None = None) -> None:
    """Make all scenes that the command line asks for."""
    options = _parse(arguments)
    make_scenes(options.output, _orders(options), options.workers)


def make_scenes(output: Path, orders: list[SceneOrder], workers: int = 1) -> None:
    """Make scenes and write them below `output`, except those that are there already.

    Raises:
        ValueError: The folder has a scene of that name made from another seed or in another size.
    """
    listing = output / "scenes.json"
    finished = json.loads(listing.read_text(encoding="utf8")) if listing.is_file() else {}
    missing = [order for order in orders if not _is_finished(order, finished, listing)]
    with tqdm(total=len(orders), initial=len(orders) - len(missing), unit="scene", smoothing=0.1) as progress:
        for order in _made(output, missing, workers):
            finished[order.name] = order.record()
            with atomic_path(listing) as temporary:
                temporary.write_text(json.dumps(finished, indent=1) + "\n", encoding="utf8")
            progress.update()


def make_scene(output: Path, order: SceneOrder) -> SceneOrder:
    """Make one scene and write it."""
    layout = LAYOUTS[order.layout]
    scene = generate(order.seed, layout.rig, order.size, order.num_views, order.name)
    layout.write(output, scene)
    return order


def _made(output: Path, orders: list[SceneOrder], workers: int) -> Iterator[SceneOrder]:
    if workers <= 1 or len(orders) <= 1:
        yield from (make_scene(output, order) for order in orders)
        return
    # The first one alone: it writes the files that the scenes of a folder share, and compiles.
    yield make_scene(output, orders[0])
    with ProcessPoolExecutor(workers) as pool:
        for made in as_completed([pool.submit(make_scene, output, order) for order in orders[1:]]):
            yield made.result()


def _is_finished(order: SceneOrder, finished: dict, listing: Path) -> bool:
    if order.name not in finished:
        return False
    if finished[order.name] != order.record():
        raise ValueError(
            f"{listing} has a scene {order.name} made with {finished[order.name]}, not {order.record()}; choose another"
            " --output or other --names"
        )
    return True


def _orders(options: argparse.Namespace) -> list[SceneOrder]:
    layout = LAYOUTS[options.layout]
    names = options.names or [layout.scene_name.format(number=number + 1) for number in range(options.scenes)]
    size = options.size or layout.size
    return [
        SceneOrder(options.layout, name, options.seed + number, size, options.views)
        for number, name in enumerate(names)
    ]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layout", type=_layout, default="dtu", help=f"one of {', '.join(LAYOUTS)}")
    parser.add_argument("--output", type=Path, required=True, help="folder of the data set; made where it is missing")
    parser.add_argument("--scenes", type=int, default=1, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="of the first scene")
    parser.add_argument("--size", type=_size, help="WIDTHxHEIGHT of the pictures; the real data set's by default")
    parser.add_argument("--views", type=int, help="pictures a scene; as many as the rig has by default")
    parser.add_argument("--names", type=lambda text: text.split(","), help="names of the scenes, separated by commas")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    return parser.parse_args(arguments)


def _layout(text: str) -> str:
    if text not in LAYOUTS:
        near = difflib.get_close_matches(text, LAYOUTS, 1, 0.0)
        raise argparse.ArgumentTypeError(f"unknown layout '{text}'; did you mean '{near[0]}'? ({', '.join(LAYOUTS)})")
    return text


def _size(text: str) -> tuple[int, int]:
    width, separator, height = text.partition("x")
    if not (separator and width.isdecimal() and height.isdecimal() and int(width) >= 8 and int(height) >= 8):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT of at least 8x8, such as 160x128, got '{text}'")
    return int(width), int(height)


if __name__ == "__main__":
    run_command(main)
