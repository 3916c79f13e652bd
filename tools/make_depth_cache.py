"""Make the depth maps that NeuRay's depth variant reads, for scenes that come without COLMAP's.

    python tools/make_depth_cache.py --database_name llff_colmap/fern/high --base_data_dir DATA

pycolmap matches and triangulates features with the known cameras, which tightens the depth bounds. Where CUDA is,
COLMAP's dense stereo computes the maps; elsewhere a plane sweep does, on the CPU. The last line says which. Maps that
are there are left alone. They go to ./data/depth_cache, or where POLYVIEW_DEPTH_CACHE says; run NeuRay from the same
folder.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.entry_point import run_command
from common.reporting import configure_logging
from neuray_mrvm.database_names import database
from neuray_mrvm.depth_cache import make_depth_cache


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the maps of every scene that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database_name", nargs="+", required=True, help="such as dtu_test/snowman/black_800")
    parser.add_argument("--base_data_dir", type=Path, default=Path("data"), help="folder of the data sets")
    parser.add_argument("--all_views", action="store_true", help="also of views that are only tested on")
    parser.add_argument("--overwrite", action="store_true", help="make maps again that are there")
    parser.add_argument("--neighbors", type=int, default=4, help="views a plane sweep compares each with")
    parser.add_argument("--colmap_path", default="colmap", help="program with CUDA, used where pycolmap has none")
    args = parser.parse_args(arguments)
    configure_logging()
    for name in args.database_name:
        found = database(name, args.base_data_dir)
        ids = [view_id for view_id in found.ids if found.has_image(view_id)] if args.all_views else None
        method, files = make_depth_cache(found, ids, None, args.overwrite, args.colmap_path, args.neighbors)
        if files:
            print(f"{name}: {len(files)} depth maps by {method} in {files[0].parent}")
        else:
            print(f"{name}: all depth maps are there; --overwrite makes them again")


if __name__ == "__main__":
    run_command(main)
