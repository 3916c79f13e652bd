"""Making many scenes and storing them in a layout, resumably: what `tools/make_scene.py` does."""

import json
import multiprocessing
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from common.datasets.writers.layouts import LAYOUTS
from common.io.atomic import atomic_path
from common.synthetic import generate

LISTING = "scenes.json"


@dataclass(frozen=True)
class SceneOrder:
    """One scene to make.

    Attributes:
        layout: A name in `LAYOUTS`.
        name: Of the scene, as the layout names scenes.
        seed: Decides what it shows.
        size: Width and height of the pictures in pixels.
        num_views: None for as many as the rig has.
        rig: What is shown and from where, a name in `RIGS`; None for the layout's own.
    """

    layout: str
    name: str
    seed: int
    size: tuple[int, int]
    num_views: int | None = None
    rig: str | None = None

    def __post_init__(self):
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise ValueError(f"a scene is named with letters, digits, '_', '-' and '.', not '{self.name}'")

    @property
    def key(self) -> str:
        """Under which the listing has the finished scene."""
        return f"{self.layout}/{self.name}"

    def record(self) -> dict[str, object]:
        """What the listing says about the finished scene."""
        record = {"seed": self.seed, "size": list(self.size), "views": self.num_views}
        return record if self.rig is None else record | {"rig": self.rig}


def make_scenes(output: Path, orders: list[SceneOrder], workers: int = 1) -> None:
    """Make scenes and write them below `output`, except those that its listing, `scenes.json`, has already.

    Raises:
        ValueError: The folder has a scene of the same name made from another seed or in another size.
    """
    output.mkdir(parents=True, exist_ok=True)
    listing = output / LISTING
    finished = _read_listing(listing)
    missing = [order for order in orders if not _is_finished(order, finished, listing)]
    with tqdm(total=len(orders), initial=len(orders) - len(missing), unit="scene", smoothing=0.1) as progress:
        for order in _made(output, missing, workers):
            finished[order.key] = order.record()
            with atomic_path(listing) as temporary:
                temporary.write_text(json.dumps(finished, indent=1) + "\n", encoding="utf8")
            progress.update()


def make_scene(output: Path, order: SceneOrder) -> SceneOrder:
    """Make one scene, write it and return its order."""
    layout = LAYOUTS[order.layout]
    layout.write(output, generate(order.seed, order.rig or layout.rig, order.size, order.num_views, order.name))
    return order


def _made(output: Path, orders: list[SceneOrder], workers: int) -> Iterator[SceneOrder]:
    if workers <= 1 or len(orders) <= 1:
        yield from (make_scene(output, order) for order in orders)
        return
    # The first one alone: it writes the files that the scenes of a folder share.
    yield make_scene(output, orders[0])
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        tasks = [pool.submit(make_scene, output, order) for order in orders[1:]]
        try:
            yield from (task.result() for task in as_completed(tasks))
        finally:
            for task in tasks:
                task.cancel()


def _read_listing(path: Path) -> dict[str, dict]:
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf8")))
    except ValueError as error:
        raise ValueError(
            f"{path} should list finished scenes but is damaged ({error}); delete it to start anew"
        ) from None


def _is_finished(order: SceneOrder, finished: dict[str, dict], listing: Path) -> bool:
    if order.key not in finished:
        return False
    if finished[order.key] != order.record():
        raise ValueError(
            f"{listing} has a scene {order.name} made with {finished[order.key]}, not {order.record()}; choose another"
            " output folder or name"
        )
    return True
