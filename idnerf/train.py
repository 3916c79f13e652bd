"""Train ID-NeRF.

    python idnerf/train.py --yaml=train
    python idnerf/train.py --yaml=train --name=RUN --resume
    python idnerf/train.py --yaml=train --load=FILE --guidance=none
    torchrun --nproc_per_node=2 idnerf/train.py --yaml=train

Every option of the YAML file can be given as `--key=value`, such as `--data_train.root_dir=FOLDER`.
"""

import sys
from collections.abc import Sequence

import torch

from common.distributed import distributed_run, is_main_process, launched_processes
from common.entry_point import run_command
from common.memory import keep_freed_memory
from common.reporting import configure_logging
from idnerf.evaluator import Evaluator
from idnerf.options import load_options
from idnerf.run_folder import agree_on_name
from idnerf.trainer import train


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line `arguments`, by default the process's own."""
    opt = load_options(sys.argv[1:] if arguments is None else arguments)
    enabled = launched_processes() > 1
    with distributed_run(enabled, use_gpu=not opt.cpu) as device:
        configure_logging(is_main_process())
        keep_freed_memory()
        agree_on_name(opt, device)
        evaluator = Evaluator(opt)
        evaluator.check_data()
        train(opt, device if enabled else torch.device(opt.device), evaluator)


if __name__ == "__main__":
    run_command(main, to_continue="give the same command again with --resume and the run's --name to continue")
