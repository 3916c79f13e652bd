"""Render a scene with NeuRay, and score the views that are photographs.

    python neuray_mrvm/render.py --database_name dtu_test/snowman/black_800 --cfg configs/gen/neuray_gen_depth.yaml
        --render_type gen --load_ckpt_path CKPT
    python neuray_mrvm/render.py --cfg configs/ft/depth/dtu/neuray_ft_depth_snowman.yaml --render_type ft
        --load_ckpt_path CKPT

(each on one line, with --base_data_dir DATA and --save_dir OUT where data and outputs are not in ./data).

Pictures go to <save_dir>/render_test/<database>/<name>-<step>-<pose type>, photographs to .../gt; see
`neuray_mrvm/picture_files.py`. Free poses (--pose_type circle, inter, or file with --pose_fn) make a film, no scores.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.distributed import distributed_run
from common.entry_point import run_command
from common.reporting import configure_logging
from neuray_mrvm.config import DEFAULT_CONFIG
from neuray_mrvm.render_job import open_job, render_film, render_test_views

DEFAULT_CHECKPOINT = "data/model/neuray_gen_depth_train_ft/model_best.pth"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line `arguments`, by default the process's own."""
    args = parse_arguments(arguments)
    with distributed_run(False, use_gpu=not args.no_cuda) as device:
        configure_logging()
        job = open_job(args, device)
        if args.pose_type.startswith("eval"):
            render_test_views(job, args.rb, args.re)
        else:
            render_film(job, args.pose_type, args.pose_fn, args.rb, args.re)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `render.py`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database_name", default="dtu_test/snowman/black_800", help="the scene; for type gen only")
    parser.add_argument("--cfg", default=DEFAULT_CONFIG, help="YAML file, looked up here and in the neuray_mrvm folder")
    parser.add_argument("--pose_type", default="eval", help="eval (test views), circle, inter, or file")
    parser.add_argument("--pose_fn", help="for --pose_type file: camera path, .json or .npy")
    parser.add_argument("--rb", type=int, default=0, help="first view to render")
    parser.add_argument("--re", type=int, default=-1, help="the one after the last; -1 for all")
    parser.add_argument(
        "--render_type", choices=("gen", "ft"), default="gen", help="gen: network for any scene; ft: that of the scene"
    )
    parser.add_argument("--ray_num", type=_count, default=4096, help="rays at once; decides memory, not results")
    parser.add_argument("--depth", action="store_true", help="also write pictures of the depth")
    parser.add_argument("--base_data_dir", type=Path, default=Path("data"), help="folder of the data sets")
    parser.add_argument("--save_dir", type=Path, default=Path("data"), help="folder for pictures")
    parser.add_argument("--load_ckpt_path", default=DEFAULT_CHECKPOINT, help="checkpoint")
    parser.add_argument("--no_cuda", action="store_true", help="compute on the CPU")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text}")
    return value


if __name__ == "__main__":
    run_command(main)
