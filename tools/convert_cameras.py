"""Bring posed photographs from any layout that can be read into the layout of another method or program.

    python tools/convert_cameras.py --scene my_capture --to mvsnet --output datasets/my_capture_mvsnet
    python tools/convert_cameras.py --scene my_capture --to xscale --dsp_factor 4 --output datasets/my_capture

The layout of --scene is recognised; --layout names it where that is not possible. Lenses are undone, the world stays.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.conversion.scene_layouts import TARGETS
from common.conversion.xscale_scene import write_xscale_scene
from common.datasets.open_scene import open_scene
from common.entry_point import run_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, required=True, help="folder of the capture, or its json or xml")
    parser.add_argument("--layout", help="of --scene, where it cannot be recognised")
    parser.add_argument("--to", choices=TARGETS, required=True, help="layout to write")
    parser.add_argument("--output", type=Path, required=True, help="folder to write; must not be that of the capture")
    parser.add_argument("--near_far", type=float, nargs=2, metavar=("NEAR", "FAR"), help="depth bounds of all views")
    parser.add_argument("--dsp_factor", type=int, default=1, help="reduces the pictures of 'xscale'")
    options = parser.parse_args(arguments)
    if options.output.resolve() == options.scene.resolve():
        raise ValueError(f"--output is the folder of the capture, {options.scene}; give another one")
    if options.dsp_factor != 1 and options.to != "xscale":
        raise ValueError(f"--dsp_factor belongs to --to xscale; '{options.to}' keeps the size of the pictures")
    near_far = options.near_far and tuple(options.near_far)
    scene = open_scene(options.scene, options.layout, near_far=near_far)
    if options.to == "xscale":
        write_xscale_scene(options.output, scene, options.dsp_factor)
    else:
        TARGETS[options.to](options.output, scene)
    print(f"{sum(view.image is not None for view in scene.views)} views in {options.output}")


if __name__ == "__main__":
    run_command(main)
