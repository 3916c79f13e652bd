"""Make scenes with known geometry and write them in the layout of a data set.

    python tools/make_scene.py --layout dtu --output datasets/dtu --scenes 8 --seed 1
    python tools/make_scene.py --layout dtu --output datasets/dtu_small --scenes 100 --seed 1000 --size 160x128
    python tools/make_scene.py --layout xscale --rig town --output datasets/xscale --size 960x540

A scene depends on its seed alone: scene n (from 0) gets seed S + n. What is finished is listed in `scenes.json` in the
output folder; the same command started again goes on where it was stopped.
"""

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path

from common.datasets.writers.layouts import LAYOUTS
from common.datasets.writers.orders import SceneOrder, make_scenes
from common.entry_point import run_command
from common.synthetic import RIGS


def main(arguments: Sequence[str] | None = None) -> None:
    """Make all scenes that the command line asks for."""
    options = _parse(arguments)
    layout = LAYOUTS[options.layout]
    names = options.names or [layout.scene_name.format(number=number + 1) for number in range(options.scenes)]
    size = options.size or layout.size
    orders = [
        SceneOrder(options.layout, name, options.seed + n, size, options.views, options.rig)
        for n, name in enumerate(names)
    ]
    make_scenes(options.output, orders, options.workers)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layout", type=_layout, default="dtu", help=f"one of {', '.join(LAYOUTS)}")
    parser.add_argument("--rig", choices=tuple(RIGS), help="what is shown and from where; the layout's own by default")
    parser.add_argument("--output", type=Path, required=True, help="folder of the data set; made where it is missing")
    parser.add_argument("--scenes", type=_count, default=1, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="of the first scene")
    parser.add_argument("--size", type=_size, help="WIDTHxHEIGHT of the pictures; the real data set's by default")
    parser.add_argument("--views", type=_count, help="pictures a scene; as many as the rig has by default")
    parser.add_argument("--names", type=lambda text: text.split(","), help="names of the scenes, separated by commas")
    parser.add_argument("--workers", type=_count, default=1, help="processes")
    return parser.parse_args(arguments)


def _layout(text: str) -> str:
    if text not in LAYOUTS:
        near = difflib.get_close_matches(text, LAYOUTS, 1, 0.0)
        raise argparse.ArgumentTypeError(f"unknown layout '{text}'; did you mean '{near[0]}'? ({', '.join(LAYOUTS)})")
    return text


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"expected a number from 1, got '{text}'")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    width, separator, height = text.partition("x")
    if not (separator and width.isdecimal() and height.isdecimal() and int(width) >= 8 and int(height) >= 8):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT of at least 8x8, such as 160x128, got '{text}'")
    return int(width), int(height)


if __name__ == "__main__":
    run_command(main)
