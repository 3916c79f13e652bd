"""Train GeFu across scenes, fine-tune it on one, or test it.

    python gefu/train_net.py --cfg_file configs/gefu/dtu_pretrain.yaml
    python gefu/train_net.py --cfg_file configs/gefu/dtu_pretrain.yaml --test
    torchrun --nproc_per_node=4 gefu/train_net.py --cfg_file configs/gefu/dtu_pretrain.yaml \
        distributed True gpus 0,1,2,3

Settings follow the flags as KEY VALUE pairs. A run that was stopped, in whatever way, continues when the same command
is given again.
"""

from collections.abc import Sequence

from common.distributed import broadcast_integer, distributed_run, is_main_process
from common.entry_point import run_command
from common.reporting import configure_logging
from common.seeding import seed_everything
from gefu.config import load_config, parse_arguments, select_gpus
from gefu.networks.network import build_network
from gefu.tasks import run_evaluation
from gefu.trainer import train


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line `arguments`, by default the process's own."""
    args = parse_arguments(arguments)
    cfg = load_config(args.cfg_file, args.opts)
    select_gpus(cfg)
    with distributed_run(cfg.distributed, args.local_rank) as device:
        configure_logging(is_main_process())
        seed = seed_everything(0 if cfg.fix_random else None)
        seed = seed_everything(broadcast_integer(seed, device))
        if args.test:
            run_evaluation(cfg, device)
        else:
            train(cfg, build_network(cfg), device, seed)


if __name__ == "__main__":
    run_command(main)
