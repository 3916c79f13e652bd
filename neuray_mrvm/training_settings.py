"""The flags of `run_training.py` and what they write into the settings of a file (spec 1)."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.settings import Config, to_config
from neuray_mrvm.config import DEFAULT_CONFIG

RAYS_PER_CHUNK = 4096  # whatever the file says
_WEIGHTS = ("lambda_rgb", "lambda_consist", "lambda_depth")
_LOGGER = logging.getLogger(__name__)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `run_training.py`."""
    parser = argparse.ArgumentParser(
        description="Train NeuRay: pre-training with masks, across scenes, or on one scene"
    )
    parser.add_argument("--base_data_dir", type=Path, default=Path("data"), help="folder of the data sets")
    parser.add_argument("--save_dir", type=Path, default=Path("data"), help="folder for checkpoints, logs and pictures")
    parser.add_argument("--cfg", default=DEFAULT_CONFIG, help="YAML file, looked up here and in the neuray_mrvm folder")
    parser.add_argument("--ft_load_path", help="checkpoint to start from; not for pre-training")
    parser.add_argument("--resume", action="store_true", help="continue this run where it was stopped")
    parser.add_argument(
        "--pre_stageone", action="store_true", help="pre-training with masks (network: neuray_gen only)"
    )
    parser.add_argument("--mask_ratio", type=_share, default=0.5, help="share of the fine samples that are masked")
    parser.add_argument("--stage_two_begin", type=int, default=1, help="first step of the feature loss; paper: 20000")
    parser.add_argument("--stage_two_warmup", type=_count, default=3, help="length of its ramp; paper: 10000")
    for name in _WEIGHTS:
        parser.add_argument(f"--{name}", type=float, default=1.0, help="weight of a loss")
    parser.add_argument("--lambda_feat", type=float, default=0.1, help="final weight of the feature loss")
    parser.add_argument("--total_step", type=int, default=-1, help="overrides the file's where positive")
    parser.add_argument("--extra_save_interval", type=int, default=-1, help="overrides the file's where positive")
    parser.add_argument("--seed", type=int, help="of everything random, instead of the file's")
    parser.add_argument("--no_cuda", action="store_true", help="compute on the CPU")
    return parser.parse_args(arguments)


def training_settings(cfg: Mapping[str, Any], args: argparse.Namespace) -> Config:
    """The settings of a run: those of the file with what the program and its flags decide."""
    is_pretraining = cfg["network"] == "neuray_gen" and args.pre_stageone
    if is_pretraining and args.ft_load_path:
        _LOGGER.warning("--pre_stageone begins with random weights; --ft_load_path %s is not read", args.ft_load_path)
    decided = {
        "stage": "pretrain" if is_pretraining else "ft",
        "ft_load_path": None if is_pretraining else args.ft_load_path,
        "mask_ratio": args.mask_ratio if is_pretraining else 0.0,
        "lambda_feat": args.lambda_feat if is_pretraining else 0.0,
        "name": cfg["name"] + ("_pre" if is_pretraining else "_ft"),
        "ray_batch_num": RAYS_PER_CHUNK,
    }
    decided |= {name: getattr(args, name) for name in _WEIGHTS}
    if is_pretraining:
        decided |= {"stage_two_begin": args.stage_two_begin, "stage_two_warmup": args.stage_two_warmup}
    for name in ("total_step", "extra_save_interval"):
        if getattr(args, name) > 0:
            decided[name] = getattr(args, name)
    if args.seed is not None:
        decided["seed"] = args.seed
    return to_config({**cfg, **decided})


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text}")
    return value
