"""What a configuration trains: the network as its run begins with it, the items of its steps and of its validation."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Sampler
from tqdm import tqdm

from common.batches import Loader
from common.checkpoints import load_checkpoint
from common.paths import resolve_input
from neuray_mrvm.config import METHOD_FOLDER, dataset_settings, load_config
from neuray_mrvm.model_checkpoints import load_network, network_state, ray_feature_shapes
from neuray_mrvm.networks.build import build_generalization
from neuray_mrvm.networks.generalization import GeneralizationNetwork
from neuray_mrvm.networks.per_scene import PerSceneNetwork
from neuray_mrvm.per_scene_data import SceneViews, load_scene_views
from neuray_mrvm.training_data import TrainingData, ValidationData
from neuray_mrvm.view_batch import TrainingItem

Items = Callable[[int], Iterable[TrainingItem]]
_LOGGER = logging.getLogger(__name__)


class Experiment(ABC):
    """A network and its data.

    Attributes:
        network: On the CPU.
    """

    network: nn.Module

    @abstractmethod
    def training_items(self, seed: int, first: int) -> Iterable[TrainingItem]:
        """The items of all steps from `first` on; an item depends on the seed and its step alone."""

    @abstractmethod
    def validation_sets(self) -> dict[str, Items]:
        """By name: what makes the items of a validation set, for a step."""


class AcrossScenes(Experiment):
    """`neuray_gen`.

    Args:
        cfg: Settings.
        data_dir: Folder of the data sets.
        is_continued: The weights come from the run's own checkpoint.
    """

    def __init__(self, cfg: Mapping[str, Any], data_dir: Path, is_continued: bool):
        self._cfg, self._data_dir = cfg, data_dir
        self._data = TrainingData(dataset_settings(cfg["train_dataset_cfg"]), data_dir)
        self.network = build_generalization(cfg)
        if cfg["ft_load_path"] and not is_continued:
            path = resolve_input(cfg["ft_load_path"], METHOD_FOLDER)
            load_network(self.network, path)
            _LOGGER.info("starting from the weights of %s", path)

    def training_items(self, seed: int, first: int) -> Iterable[TrainingItem]:
        order, workers = StepOrder(seed, first, self._cfg["total_step"]), self._cfg["worker_num"]
        return ItemLoader(self._data, batch_size=None, sampler=order, num_workers=workers, collate_fn=unchanged)

    def validation_sets(self) -> dict[str, Items]:
        found = {}
        for entry in self._cfg["val_set_list"]:
            try:
                data = ValidationData(dataset_settings(entry["cfg"], entry["type"]), self._data_dir)
            except FileNotFoundError as error:
                _LOGGER.warning("training goes on without the validation set %s: %s", entry["name"], error)
                continue
            found[entry["name"]] = partial(_validation_items, data)
        return found


class OneScene(Experiment):
    """`neuray_ft`.

    Args:
        cfg: Settings.
        data_dir: Folder of the data sets.
        latest: The run's own checkpoint, if it is continued.
    """

    def __init__(self, cfg: Mapping[str, Any], data_dir: Path, latest: Path | None):
        self._total = cfg["total_step"]
        gen_cfg = load_config(cfg["gen_cfg"]) if cfg["gen_cfg"] and latest is None else None
        use_depth = gen_cfg is not None and gen_cfg["init_net_type"] == "depth"
        self._views = load_scene_views(cfg, data_dir, use_depth)
        self._sets = [entry["name"] for entry in cfg["val_set_list"]] if cfg["use_validation"] else []
        if latest is None:
            self.network = begin_scene(cfg, gen_cfg, self._views)
            self._views = self._views.without_depth()
        else:
            shapes = ray_feature_shapes(network_state(load_checkpoint(latest), latest))
            self.network = PerSceneNetwork(cfg, shapes)

    def training_items(self, seed: int, first: int) -> Iterable[TrainingItem]:
        return (self._views.training_item(seed, step) for step in range(first, self._total + 1))

    def validation_sets(self) -> dict[str, Items]:
        return dict.fromkeys(self._sets, self._views.validation_items)


class ItemLoader(Loader):
    """With as many workers as asked for, also where there are fewer cores."""

    def check_worker_number_rationality(self) -> None:
        """PyTorch would warn."""


class StepOrder(Sampler[tuple[int, int]]):
    """The keys (seed, step) of the steps from `first` to `last`."""

    def __init__(self, seed: int, first: int, last: int):
        self._keys = [seed, range(first, last + 1)]

    def __len__(self) -> int:
        return len(self._keys[1])

    def __iter__(self) -> Iterator[tuple[int, int]]:
        seed, steps = self._keys
        return ((seed, step) for step in steps)


def build_experiment(cfg: Mapping[str, Any], data_dir: Path, latest: Path | None) -> Experiment:
    """The experiment of a config.

    Args:
        cfg: Settings.
        data_dir: Folder of the data sets.
        latest: The run's own checkpoint, if it is continued; it is loaded by the caller.

    Raises:
        FileNotFoundError, ValueError: Data or weights to start from are missing or damaged.
        RuntimeError: Weights that do not fit.
    """
    if cfg["network"] == "neuray_gen":
        return AcrossScenes(cfg, data_dir, latest is not None)
    return OneScene(cfg, data_dir, latest)


def begin_scene(cfg: Mapping[str, Any], gen_cfg: Mapping[str, Any] | None, views: SceneViews) -> PerSceneNetwork:
    """A scene's network with the weights, and the first ray features, of a network for any scene.

    Args:
        cfg: Settings.
        gen_cfg: Those of the network for any scene. Without them weights are random and ray features standard normal,
            `ray_feats_dim` channels of `ray_feats_res`.
        views: Of the scene.

    Raises:
        FileNotFoundError, RuntimeError: The weights are missing or do not fit.
        ValueError: `gen_cfg` without weights.
    """
    count = len(views.references)
    if gen_cfg is None:
        return PerSceneNetwork(cfg, [(1, cfg["ray_feats_dim"], *cfg["ray_feats_res"])] * count)
    if not cfg["ft_load_path"]:
        raise ValueError(
            f"fine-tuning on {views.database.name} starts from trained weights; name a checkpoint with --ft_load_path"
        )
    general = build_generalization(gen_cfg).eval()
    path = resolve_input(cfg["ft_load_path"], METHOD_FOLDER)
    load_network(general, path)
    _LOGGER.info("starting from the weights of %s", path)
    features = first_ray_features(general, views, gen_cfg["init_net_type"])
    network = PerSceneNetwork(cfg, [tuple(each.shape) for each in features])
    network.copy_parts(general)
    with torch.no_grad():
        for parameter, value in zip(network.ray_feats, features, strict=True):
            parameter.copy_(value)
    return network


@torch.no_grad()
def first_ray_features(general: GeneralizationNetwork, views: SceneViews, kind: str) -> list[torch.Tensor]:
    """Raw ray features of every reference view, (1, 32, h/4, w/4).

    Args:
        general: In eval mode.
        views: Of the scene.
        kind: depth or cost_volume, what `general` computes them from.
    """
    numbers = tqdm(range(len(views.references)), desc="ray features", unit="view", disable=None)
    init_net = general.init_net
    if kind == "depth":
        return [init_net.first(views.initial_views(number, kind)[0]) for number in numbers]
    return [init_net(*views.initial_views(number, kind)) for number in numbers]


def unchanged(item: TrainingItem) -> TrainingItem:
    """An item as the data set made it."""
    return item


def _validation_items(data: ValidationData, step: int) -> Iterator[TrainingItem]:
    return (replace(data[index], step=step) for index in range(len(data)))
