"""Datasets and loaders from the options; batches of one item, with a leading axis of 1.

Every random choice is a pure function of the run's seed, the epoch, the position in it and the rank (spec 3): results
do not depend on the number of workers.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from common.batches import Loader
from common.distributed import rank, world_size
from common.io.data_files import read_text
from common.item_order import TrainingOrder, ValidationOrder
from common.paths import resolve_input
from common.settings import Config
from idnerf.data.colmap import ColmapDataset
from idnerf.data.dtu import DtuDataset
from idnerf.data.llff import LlffDataset
from idnerf.data.view_lists import METHOD_FOLDER, view_lists

_LOGGER = logging.getLogger(__name__)


def build_training_loader(opt: Config, seed: int) -> DataLoader:
    """Items for training; call `loader.sampler.start(epoch, position)` before each iteration.

    Raises:
        FileNotFoundError, ValueError: No `data_train`, or its data is missing or broken.
    """
    dataset = build_dataset(opt, "data_train", "train")
    return _loader(opt.data_train, dataset, TrainingOrder(len(dataset), seed, rank(), world_size()))


def build_validation_loader(opt: Config) -> DataLoader:
    """Items of `data_val` in order; raises as `build_training_loader`."""
    dataset = build_dataset(opt, "data_val", "val")
    return _loader(opt.data_val, dataset, ValidationOrder(len(dataset), rank(), world_size()))


def build_test_loaders(opt: Config) -> dict[str, DataLoader]:
    """Items of every data set of `data_test` in order, by its name; raises as `build_training_loader`."""
    loaders = {}
    for name, section in opt.data_test.items():
        if section is not None:
            dataset = build_dataset(opt, f"data_test.{name}", "test")
            loaders[name] = _loader(section, dataset, ValidationOrder(len(dataset), rank(), world_size()))
    return loaders


def build_dataset(opt: Config, section: str, split: str) -> DtuDataset | LlffDataset | ColmapDataset:
    """The data set of a section of the options.

    Args:
        opt: All options.
        section: "data_train", "data_val" or "data_test.<name>".
        split: "train", "val" or "test".

    Raises:
        FileNotFoundError: The folder or everything in it is missing.
        ValueError: There is no such section, or its data is broken.
    """
    settings = opt
    for key in section.split("."):
        settings = settings[key]
    if settings is None:
        raise ValueError(f"the options have no {section}; take a file that has, such as --yaml=train")
    try:
        root = resolve_input(settings.root_dir, METHOD_FOLDER)
    except FileNotFoundError as error:
        without = "" if split == "train" else f", or leave the data set out with --{section}="
        raise FileNotFoundError(
            f"{section}.root_dir: {error}; name the folder with --{section}.root_dir={without}"
        ) from None
    if settings.dataset_name == "dtu":
        return DtuDataset(root, settings, split, opt.n_src_views, _scans(root, settings, split, section))
    return {"llff": LlffDataset, "colmap": ColmapDataset}[settings.dataset_name](root, settings, opt.n_src_views)


def _scans(root: Path, settings: Config, split: str, section: str) -> Sequence[str]:
    """The scans of a split that are on disk, in the order of the list."""
    found = [folder.name.removesuffix("_train") for folder in (root / "Rectified").glob("*_train")]
    if settings.scan_list:
        wanted = settings.scan_list
        if len(wanted) == 1 and Path(wanted[0]).suffix:  # a file; the paper's have the line ends of Windows
            wanted = read_text(resolve_input(wanted[0], METHOD_FOLDER)).split()
    elif settings.view_lists == "folder":
        wanted = sorted(found, key=lambda name: (len(name), name))
    else:
        wanted = view_lists()["dtu_scans"]["val" if split == "test" else "train"]
    present = [scan for scan in wanted if scan in set(found)]
    if not present:
        some = f"{wanted[0]}_train" if wanted else "<scan>_train"
        advice = "expected DTU as MVSNet ships it (dtu_training.rar)"
        if found:
            advice = f"the folder has other scans, which are asked for with --{section}.scan_list={min(found)}"
        raise FileNotFoundError(
            f"{section}: no scan folder {root / 'Rectified' / some}, and none of the {len(wanted)} scans asked for;"
            f" {advice}"
        )
    if len(present) < len(wanted):
        missing = [scan for scan in wanted if scan not in present]
        _LOGGER.warning(
            "%d of %d scans are not in %s and are left out: %s", len(missing), len(wanted), root, ", ".join(missing[:5])
        )
    return present


def _loader(settings: Config, dataset: Dataset, order: Sampler) -> DataLoader:
    return Loader(
        dataset,
        batch_size=1,
        sampler=order,
        num_workers=min(settings.num_workers, os.cpu_count() or 1),
        pin_memory=torch.cuda.is_available(),
    )
