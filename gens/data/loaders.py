"""Datasets and loaders from the config; batches of one item.

Every random choice is a pure function of the run's seed, the epoch, the position in it and the rank: a run that
continues at position p of an epoch sees exactly the items that it would have seen.
"""

import os
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from common.batches import Loader
from common.distributed import rank, world_size
from common.item_order import TrainingOrder, ValidationOrder
from common.seeding import generator_for, seed_torch
from gens.config import require_dataset
from gens.data.datasets import BMVSDataset, DTUDataset, MultiViewDataset
from gens.data.finetune_datasets import BMVSDatasetFinetune, DTUDatasetFinetune, FinetuneDataset

DATASETS = {"DTUDataset": DTUDataset, "BMVSDataset": BMVSDataset}
FINETUNE_DATASETS = {"DTUDatasetFinetune": DTUDatasetFinetune, "BMVSDatasetFinetune": BMVSDatasetFinetune}
# Streams of random numbers that must not coincide.
_ORDER, _ITEM, _NETWORK = 0, 1, 2


def build_training_loader(cfg: Any, seed: int) -> DataLoader:
    """Items for training; call `loader.sampler.start(epoch, position)` before each iteration.

    Raises:
        FileNotFoundError, ValueError: No `train_dataset`, or its data is missing or broken.
    """
    dataset = _build(cfg, "train_dataset", training=True)
    return _loader(cfg, dataset, TrainingOrder(len(dataset), seed, rank(), world_size()))


def build_validation_loader(cfg: Any) -> DataLoader:
    """Items for validation, in order; raises as `build_training_loader`."""
    dataset = _build(cfg, "val_dataset", training=False)
    return _loader(cfg, dataset, ValidationOrder(len(dataset), rank(), world_size()))


def build_finetune_dataset(cfg: Any) -> FinetuneDataset:
    """The scene to fine-tune on; raises as `build_training_loader`."""
    settings = require_dataset(cfg, "finetune_dataset")
    return _find(FINETUNE_DATASETS, settings.dataset_name, "finetune_dataset")(settings)


def step_generator(seed: int, *key: int) -> np.random.Generator:
    """The random choices of one step of fine-tuning."""
    return generator_for(_ITEM, seed, *key)


def seed_step(seed: int, *key: int) -> None:
    """Seed what the network draws during one step: jitter of the rays, points of the free space."""
    seed_torch(_NETWORK, seed, *key)


def cycle_order(seed: int, cycle: int, count: int) -> list[int]:
    """The order in which a cycle of fine-tuning takes the views."""
    return generator_for(_ORDER, seed, cycle).permutation(count).tolist()


def _build(cfg: Any, block: str, training: bool) -> MultiViewDataset:
    settings = require_dataset(cfg, block)
    return _find(DATASETS, settings.dataset_name, block)(settings, training)


def _find(known: dict[str, type], name: str, block: str) -> type:
    if name not in known:
        raise ValueError(f"{block}.dataset_name must be {' or '.join(known)}, got {name!r}")
    return known[name]


def _loader(cfg: Any, dataset: MultiViewDataset, order: Sampler) -> DataLoader:
    return Loader(
        dataset,
        batch_size=None,
        sampler=order,
        num_workers=min(cfg.train.num_workers, os.cpu_count() or 1),
        pin_memory=torch.cuda.is_available(),
    )
