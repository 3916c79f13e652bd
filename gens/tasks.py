"""What `main.py --mode` chooses from."""

import argparse
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from common.distributed import is_distributed, is_main_process
from common.reporting import scalar_writer
from gens.data.items import Item
from gens.data.loaders import build_finetune_dataset, build_validation_loader
from gens.finetuner import finetune
from gens.model_checkpoints import load_finetuned, load_generic
from gens.networks.network import build_network
from gens.run_folder import run_root
from gens.trainer import train
from gens.validation import MeshSettings, validate

_LOGGER = logging.getLogger(__name__)


def run_training(cfg: Any, args: argparse.Namespace, device: torch.device) -> None:
    """`--mode train`."""
    if args.load_vol:
        raise ValueError("--load_vol names the checkpoint of one scene; training across scenes takes a generic one")
    train(cfg, build_network(cfg.model), run_root(cfg, "train"), device, args.resume, _mesh_settings(cfg, args))


def run_validation(cfg: Any, args: argparse.Namespace, device: torch.device) -> None:
    """`--mode val`: every item of `val_dataset`, or the scene of `finetune_dataset` where the config has no other."""
    if args.resume is None:
        raise ValueError("--mode val reconstructs with trained weights; name their checkpoint with --resume")
    root = run_root(cfg, "val")
    items = _validation_items(cfg)
    network = build_network(cfg.model)
    if args.load_vol:
        load_finetuned(network, args.resume)
        _warn_of_other_size(network, cfg.val_dataset or cfg.finetune_dataset)
    else:
        load_generic(network, args.resume)
    means = validate(network.to(device), items, root, "epoch0", _mesh_settings(cfg, args), device, needs_meshes=True)
    with scalar_writer(root / "logs", is_main_process()) as writer:
        if writer is not None:
            writer.write("val_img_avg", means, 0)


def run_finetuning(cfg: Any, args: argparse.Namespace, device: torch.device) -> None:
    """`--mode finetune`."""
    if args.resume is None:
        raise ValueError("--mode finetune starts from trained weights; name their checkpoint with --resume")
    if is_distributed():
        raise ValueError("fine-tuning runs in one process; start it without torchrun")
    if cfg.finetune_dataset is None or not (cfg.finetune_dataset.scene and cfg.finetune_dataset.ref_view):
        raise ValueError(
            "--mode finetune needs a finetune_dataset with scene and ref_view; take confs/gens_finetune.conf or"
            " confs/gens_bmvs_finetune.conf"
        )
    network = build_network(cfg.model)
    root = run_root(cfg, "finetune")
    finetune(cfg, network, root, device, args.resume, args.load_vol, _mesh_settings(cfg, args))


TASKS: dict[str, Callable[[Any, argparse.Namespace, torch.device], None]] = {
    "train": run_training,
    "val": run_validation,
    "finetune": run_finetuning,
}


def _mesh_settings(cfg: Any, args: argparse.Namespace) -> MeshSettings:
    return MeshSettings(args.mesh_resolution, args.clean_mesh, cfg.train.seed or 0)


def _validation_items(cfg: Any) -> Any:
    if cfg.val_dataset is not None or cfg.finetune_dataset is None:
        return build_validation_loader(cfg)
    _LOGGER.info("the config has no val_dataset; the scene of its finetune_dataset is reconstructed")
    dataset = build_finetune_dataset(cfg)
    item: Item = dataset.validation_item()
    item["file_name"] = f"{item['scene']}_view{cfg.finetune_dataset.ref_view[0]}"
    return [item]


def _warn_of_other_size(network: nn.Module, settings: Any) -> None:
    """Volumes belong to the cube and pictures they were made with; what can be seen of a difference is said."""
    stored, wanted = tuple(network.features[0].shape[-2:]), tuple(settings.img_hw)
    if stored != wanted:
        _LOGGER.warning(
            "the fine-tuned features are %d x %d but img_hw is %d x %d; give the img_hw, ref_view, views and factor of"
            " the fine-tuning, or the volumes do not fit the cameras", *stored, *wanted,
        )  # fmt: skip
