"""Turn a COLMAP model with its photographs into cameras, pairs and pictures of MVSNet's form, or into an XScale scene.

    python tools/colmap_to_mvsnet.py --dense_folder my_scene
    python tools/colmap_to_mvsnet.py --dense_folder my_scene --xscale_folder datasets/my_scene --dsp_factor 4

The first writes `cams`, `pair.txt` and `images/00000000.jpg` ... into the folder, with the flags and the result of
MVSNet's converter; lenses are dropped there as they are by it, unless --undistort is given. The second writes
`images_4` and `cams_4` as XScale-NVS reads them, lenses undone, and needs no renaming. The model may be text or binary,
in `sparse` or `sparse/0`; image ids may be any.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.conversion.colmap_to_mvsnet import MvsnetDepths, convert_colmap_to_mvsnet
from common.conversion.view_scores import AngleWeight
from common.conversion.xscale_scene import write_xscale_scene
from common.datasets.colmap import read_colmap
from common.entry_point import run_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert what the command line asks for."""
    options = _parse(arguments)
    if options.xscale_folder is not None:
        scene = read_colmap(options.dense_folder, model=options.model)
        names = write_xscale_scene(options.xscale_folder, scene, options.dsp_factor)
        print(f"{len(names)} views in {options.xscale_folder}; put the mesh there, in the world of the COLMAP model")
        return
    weight = AngleWeight(options.theta0, options.sigma1, options.sigma2)
    count = convert_colmap_to_mvsnet(
        options.dense_folder,
        options.output,
        MvsnetDepths(options.max_d, options.interval_scale, weight),
        model=options.model,
        undistort=options.undistort,
        convert_format=options.convert_format,
        list_self=not options.no_self,
    )
    print(f"{count} views in {options.output or options.dense_folder}")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dense_folder", type=Path, required=True, help="has images/ and sparse/")
    parser.add_argument("--max_d", type=int, default=0, help="number of depths; 0 derives it from the depth range")
    parser.add_argument("--interval_scale", type=float, default=1.0, help="divides the distance between depths")
    parser.add_argument("--theta0", type=float, default=5.0, help="best angle between two views, degrees")
    parser.add_argument("--sigma1", type=float, default=1.0, help="how fast smaller angles lose, degrees")
    parser.add_argument("--sigma2", type=float, default=10.0, help="how fast larger angles lose, degrees")
    parser.add_argument("--test", action="store_true", help="of MVSNet's converter; does nothing there either")
    parser.add_argument("--convert_format", action="store_true", help="encode pictures as JPEG instead of copying")
    parser.add_argument("--undistort", action="store_true", help="undo lenses instead of dropping them")
    parser.add_argument("--no_self", action="store_true", help="never list a view among its own sources")
    parser.add_argument("--output", type=Path, help="folder to write to instead of --dense_folder")
    parser.add_argument("--model", help="folder of the model below --dense_folder, 'sparse_txt' say")
    parser.add_argument("--xscale_folder", type=Path, help="write a scene of XScale-NVS here, and nothing else")
    parser.add_argument("--dsp_factor", type=int, default=1, help="reduces the pictures of --xscale_folder")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
