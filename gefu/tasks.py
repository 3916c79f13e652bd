"""What `run.py --type` does: evaluate, go through the data, time the network."""

import logging
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from gefu.data.loaders import build_test_loader
from gefu.evaluator import evaluate, timed_forward
from gefu.experiment import load_trained
from gefu.networks.network import build_network
from gefu.videos import save_videos

_LOGGER = logging.getLogger(__name__)


def find_task(name: str) -> Callable[[Any, torch.device], None]:
    """The task that `--type` names.

    Raises:
        ValueError: There is none; the sentence lists the choices.
    """
    tasks = {"evaluate": run_evaluation, "dataset": go_through_data, "network": time_network}
    if name not in tasks:
        raise ValueError(f"--type must be one of {', '.join(tasks)}, got {name!r}")
    return tasks[name]


def run_evaluation(cfg: Any, device: torch.device) -> None:
    """Score the trained network on the test set, or make videos of it with `save_video`.

    Raises:
        FileNotFoundError: The experiment has no checkpoint, or the data is missing.
        RuntimeError: The checkpoint does not fit the network.
    """
    network = load_network(cfg, device)
    loader = build_test_loader(cfg)
    if cfg.save_video:
        save_videos(network, loader, cfg)
    else:
        evaluate(network, loader, cfg)


def go_through_data(cfg: Any, device: torch.device) -> None:
    """Load every test item once and say how long it took."""
    loader = build_test_loader(cfg)
    began = time.perf_counter()
    count = sum(1 for _ in tqdm(loader, unit="item", disable=None))
    seconds = time.perf_counter() - began
    print(f"{count} test items in {seconds:.2f} s, {seconds / max(count, 1):.3f} s per item")


def time_network(cfg: Any, device: torch.device) -> None:
    """Mean seconds of a forward pass over the test items, without the first."""
    network, seconds = load_network(cfg, device), []
    for batch in tqdm(build_test_loader(cfg), unit="view", disable=None):
        seconds.append(timed_forward(network, batch, device)[1])
    print(f"{statistics.fmean(seconds[1:] or seconds):.4f} s per view on {device}")


def load_network(cfg: Any, device: torch.device) -> nn.Module:
    """The experiment's network in eval mode; random weights, with a warning, where `resume` is False."""
    network = build_network(cfg)
    if cfg.resume:
        _LOGGER.info("weights from %s", load_trained(cfg, network))
    else:
        _LOGGER.warning("resume is False: the network has random weights")
    return network.to(device).eval()
