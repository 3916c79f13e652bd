"""Cut the meshes of the DTU test scans by their object masks, before `dtu_eval.py` scores them.

    python gens/evaluation/clean_meshes.py --root_dir DTU_TEST --out_dir OUT/meshes

Reads <out_dir>/*scan<N>_epoch0.ply, writes <out_dir>/final/clean_<NNN>.ply (inside the masks) and
<out_dir>/final/scan<N>.ply (seen through the masks as well). `--pattern` finds meshes of other names, such as those of
fine-tuning.
"""

import argparse
from collections.abc import Sequence

from common.entry_point import run_command
from gens.evaluation.scans import TEST_SCANS, clean_scans


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Cut DTU meshes by their object masks.")
    parser.add_argument("--root_dir", default="./DTU_TEST", help="DTU_TEST: cameras/ and scan<N>/mask/")
    parser.add_argument("--out_dir", default="./outputs/mesh", help="folder with the meshes")
    parser.add_argument("--n_view", type=int, default=3, help="how many views cut the mesh")
    parser.add_argument("--set", type=int, default=0, help="0: reference view 23; other: 43")
    parser.add_argument(
        "--pattern", default="*scan{scan}_epoch0.ply", help="names of the meshes; {scan} is the scan's number"
    )
    parser.add_argument("--scans", type=int, nargs="+", default=list(TEST_SCANS), help="numbers of the scans")
    args = parser.parse_args(arguments)
    clean_scans(args.root_dir, args.out_dir, args.n_view, args.set, args.pattern, args.scans)


if __name__ == "__main__":
    run_command(main)
