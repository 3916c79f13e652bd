"""Train GenS across scenes, reconstruct scenes with it, or fine-tune it on one.

    python gens/main.py --conf confs/gens.conf --mode val --resume CKPT
    python gens/main.py --conf confs/gens.conf --mode train
    torchrun --nproc_per_node=2 gens/main.py --conf confs/gens.conf --mode train
    python gens/main.py --conf confs/gens_finetune.conf --mode finetune --scene scan24 --ref_view 23 --resume CKPT

Settings follow the flags as KEY VALUE pairs, such as `val_dataset.data_dir datasets/dtu train.epochs 10`. A run that
was stopped, in whatever way, continues when the same command is given again.
"""

from collections.abc import Sequence

from common.distributed import distributed_run, is_main_process, launched_processes
from common.entry_point import run_command
from common.memory import keep_freed_memory
from common.reporting import configure_logging
from common.seeding import seed_everything
from gens.config import load_config, parse_arguments
from gens.tasks import TASKS


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line `arguments`, by default the process's own."""
    args = parse_arguments(arguments)
    cfg = load_config(args.conf, args.opts, args.scene, args.ref_view)
    enabled = launched_processes() > 1
    with distributed_run(enabled, args.local_rank, not args.no_cuda, args.dist_url) as device:
        configure_logging(is_main_process())
        keep_freed_memory()
        seed_everything(cfg.train.seed)
        TASKS[args.mode](cfg, args, device)


if __name__ == "__main__":
    run_command(main)
