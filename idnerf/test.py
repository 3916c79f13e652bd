"""Test ID-NeRF: scores and pictures of the data sets of `data_test`, or videos around their items.

    python idnerf/test.py --yaml=test --load=FILE
    python idnerf/test.py --yaml=test --resume --name=RUN
    python idnerf/test.py --yaml=test --load=FILE --nerf.render_video --nerf.video_n_frames=60
    torchrun --nproc_per_node=2 idnerf/test.py --yaml=test --load=FILE

`--resume` takes the newest weights of the run `output_root`/RUN. Every option of the YAML file can be given as
`--key=value`, such as `--data_test.dtu.root_dir=FOLDER`; `--data_test.llff=` leaves a data set out.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from common.distributed import barrier, distributed_run, is_main_process, launched_processes
from common.entry_point import run_command
from common.reporting import configure_logging
from common.seeding import seed_everything
from common.settings import Config
from idnerf.evaluator import Evaluator, describe_protocols
from idnerf.model_checkpoints import find_latest, load_weights
from idnerf.networks.network import IdNerf, build_network
from idnerf.options import load_options, weights_file
from idnerf.run_folder import agree_on_name, prepare_run_folder
from idnerf.videos import save_videos

_LOGGER = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line `arguments`, by default the process's own."""
    opt = load_options(sys.argv[1:] if arguments is None else arguments)
    enabled = launched_processes() > 1
    with distributed_run(enabled, use_gpu=not opt.cpu) as device:
        configure_logging(is_main_process())
        agree_on_name(opt, device)
        run_test(opt, device if enabled else torch.device(opt.device))


def run_test(opt: Config, device: torch.device) -> dict[str, dict[str, float]]:
    """Measure, or make videos where `nerf.render_video` asks for them.

    Returns:
        Mean scores by data set; nothing for videos.

    Raises:
        FileNotFoundError, ValueError, RuntimeError: No weights, or weights or data that are missing or do not fit.
    """
    weights = find_weights(opt)
    seed_everything(opt.seed)
    evaluator = Evaluator(opt)
    loaders = evaluator.test_loaders
    network = load_network(opt, weights).to(device)
    if is_main_process():
        prepare_run_folder(opt, sys.argv)
    barrier()
    if opt.nerf.render_video:
        for name, loader in loaders.items():
            for video in save_videos(network, loader, name, opt):
                _LOGGER.info("wrote %s", video)
        return {}
    means = evaluator.test(network)
    for line in describe_protocols(loaders, opt):
        _LOGGER.info(line)
    _LOGGER.info("pictures and results are in %s", Path(opt.output_path) / "test")
    return means


def find_weights(opt: Config) -> Path:
    """The file of `load`, or the newest of the run of `resume`.

    Raises:
        ValueError: Neither is given.
        FileNotFoundError: There is no such file or run.
    """
    if opt.load:
        return weights_file(opt)
    if not opt.resume:
        raise ValueError("a test needs trained weights; add --load=FILE, or --resume --name=RUN for those of a run")
    latest = find_latest(opt.output_path)
    if latest is None:
        raise FileNotFoundError(
            f"resume: there is no run with weights in {opt.output_path}; name one below {opt.output_root} with --name="
            " and its --seed=, or a file with --load="
        )
    return latest


def load_network(opt: Config, weights: Path) -> IdNerf:
    """The network of the options in eval mode, with the parts of a file that `load_parts` names."""
    network = build_network(opt)
    load_weights(network, weights, opt.load_parts if opt.load else None)
    return network.eval()


if __name__ == "__main__":
    run_command(main)
