"""Chamfer distance of the cut meshes of the DTU test scans.

    python gens/evaluation/dtu_eval.py --dataset_dir GT --out_dir OUT

Reads <out_dir>/meshes/final/scan<N>.ply, which `clean_meshes.py` wrote (--mode pcd: <out_dir>/pcd/scan<N>.ply). Prints
for every scan its number, the mean distances from reconstruction to truth and back, and their mean, in millimetres;
then the means over the scans.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from common.entry_point import run_command
from common.metrics.meshes import MESH_PROTOCOLS
from gens.evaluation.scans import TEST_SCANS, evaluate_scans


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    protocol = MESH_PROTOCOLS["dtu"]
    parser = argparse.ArgumentParser(description="Chamfer distance of DTU reconstructions.")
    parser.add_argument("--out_dir", default="./outputs", help="folder with meshes/final/ (or pcd/)")
    parser.add_argument("--mode", choices=("mesh", "pcd"), default="mesh", help="what is evaluated")
    parser.add_argument("--dataset_dir", default="./dtu_points", help="ground truth: ObsMask/ and Points/stl/")
    parser.add_argument("--downsample_density", type=float, default=protocol.density, help="distance of points, mm")
    parser.add_argument("--patch_size", type=float, default=protocol.margin, help="margin around the observed box, mm")
    parser.add_argument(
        "--max_dist", type=float, default=protocol.max_distance, help="distances left out from here, mm"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the order in which points are thinned")
    parser.add_argument("--scans", type=int, nargs="+", default=list(TEST_SCANS), help="numbers of the scans")
    for name, default in (("--scan", 1), ("--vis_out_dir", "."), ("--visualize_threshold", 10)):
        parser.add_argument(name, default=default, help="accepted, has no effect (as in the release)")
    args = parser.parse_args(arguments)
    protocol = replace(protocol, density=args.downsample_density, margin=args.patch_size, max_distance=args.max_dist)
    evaluate_scans(args.dataset_dir, args.out_dir, args.mode, protocol, args.seed, args.scans)


if __name__ == "__main__":
    run_command(main)
