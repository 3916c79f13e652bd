"""Evaluate GeFu, make videos, or check data and speed.

    python gefu/run.py --type evaluate --cfg_file configs/gefu/dtu_pretrain.yaml gefu.eval_depth True
    python gefu/run.py --type evaluate --cfg_file configs/gefu/llff_eval.yaml save_video True
    python gefu/run.py --type dataset --cfg_file configs/gefu/nerf_eval.yaml
    python gefu/run.py --type network --cfg_file configs/gefu/dtu_pretrain.yaml

Settings follow the flags as KEY VALUE pairs. Weights come from <trained_model_dir>/latest.pth, or the epoch that
test.epoch names.
"""

from collections.abc import Sequence

from common.distributed import distributed_run
from common.entry_point import run_command
from common.reporting import configure_logging
from common.seeding import seed_everything
from gefu.config import load_config, parse_arguments, select_gpus
from gefu.tasks import find_task


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line `arguments`, by default the process's own."""
    args = parse_arguments(arguments)
    task = find_task(args.type)
    cfg = load_config(args.cfg_file, args.opts)
    select_gpus(cfg)
    configure_logging()
    with distributed_run(False) as device:
        seed_everything(0)
        task(cfg, device)


if __name__ == "__main__":
    run_command(main)
