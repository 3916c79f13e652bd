"""What a step across scenes learns from, and what it is validated on (spec 3.6).

An item is a pure function of the run's seed and the step, whichever process makes it: any number of data workers gives
the same run, and a run that is continued sees what it would have seen.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from common.seeding import generator_for
from neuray_mrvm.database_names import database, training_names
from neuray_mrvm.databases.database import Database, missing_depth_sentence
from neuray_mrvm.depth_augmentation import object_ranges, widened_ranges, with_noisy_depth
from neuray_mrvm.geometry import picture_coords
from neuray_mrvm.picture_augmentation import flipped, random_crop
from neuray_mrvm.ray_positions import CENTRAL_SHARE, central_rectangle, choose_positions
from neuray_mrvm.training_views import choose_views, usable_ids
from neuray_mrvm.view_batch import TrainingItem, ViewBatch
from neuray_mrvm.view_loading import (
    choose_sources,
    load_views,
    nearest_ids,
    padded,
    require_depth,
    with_consistent_ranges,
)

_ITEM = 2  # stream of random numbers
FORWARD_FACING = ("real_estate", "real_iconic", "space")
OPEN_SCENES = 64
MOST_DRAWS = 200
FLIP_PROB = 0.5


class TrainingData(Dataset):
    """Items by (seed, step).

    Args:
        cfg: Settings of a dataset of type gen, complete (`neuray_mrvm.config.dataset_settings`).
        data_dir: Holds the data sets.

    Raises:
        FileNotFoundError: The data folder has no scene of a type.
        ValueError: A type has no weight.
    """

    def __init__(self, cfg: Mapping[str, Any], data_dir: str | Path):
        self._cfg, self._data_dir = cfg, Path(data_dir)
        self._types: Sequence[str] = cfg["train_database_types"]
        unweighted = [kind for kind in self._types if cfg["type2sample_weights"].get(kind, 0) <= 0]
        if unweighted or not self._types:
            raise ValueError(f"train_database_types are {list(self._types)}; type2sample_weights lacks {unweighted}")
        weights = np.array([cfg["type2sample_weights"][kind] for kind in self._types], float)
        self._probabilities = weights / weights.sum()
        self._names = {kind: training_names(kind, self._data_dir, cfg["resolution_type"]) for kind in self._types}
        empty = [kind for kind, names in self._names.items() if not names]
        if empty:
            raise FileNotFoundError(
                f"no scene of type {', '.join(empty)} in {self._data_dir}; bring the data or take the type out of"
                " train_database_types"
            )
        self._open: OrderedDict[str, Database] = OrderedDict()

    def __getitem__(self, key: tuple[int, int]) -> TrainingItem:
        """The item of a seed and a step.

        Raises:
            FileNotFoundError: No scene has depth maps.
            ValueError: A file is damaged.
        """
        seed, step = key
        generator = generator_for(_ITEM, seed, step)
        scene, usable = self._draw_scene(generator)
        kind = scene.name.split("/")[0]
        chosen = choose_views(scene, usable, self._cfg, generator)
        choice = choose_sources(scene, chosen.references, chosen.candidates, self._cfg)
        use_depth = self._needs_depth(kind)
        views = load_views(scene, choice.loaded, use_depth=use_depth)
        query = load_views(scene, [chosen.query], use_depth=use_depth)
        views, query = self._augmented(views, query, kind, generator)
        coords = self._positions(query, kind, generator)[None]
        references, sources = choice.split(padded(views, self._cfg["ref_pad_interval"]))
        return TrainingItem(references, replace(query, coords=coords, depth=None), sources, scene.name, step)

    def _draw_scene(self, generator: np.random.Generator) -> tuple[Database, list[str]]:
        """A scene with at least two usable views, and their ids."""
        for _ in range(MOST_DRAWS):
            kind = self._types[generator.choice(len(self._types), p=self._probabilities)]
            scene = self._opened(self._names[kind][generator.integers(len(self._names[kind]))])
            usable = usable_ids(scene, self._needs_depth(kind))
            if len(usable) > 1:
                return scene, usable
        raise FileNotFoundError(
            f"none of {MOST_DRAWS} scenes has two views with depth; {missing_depth_sentence(scene)}"
        )

    def _opened(self, name: str) -> Database:
        if name not in self._open:
            self._open[name] = database(name, self._data_dir, num_kept=0, check=False)
            if len(self._open) > OPEN_SCENES:
                self._open.popitem(last=False)
        return self._open[name]

    def _needs_depth(self, kind: str) -> bool:
        """A cost volume finds depth itself; only true depth is still of use, to compare with."""
        return self._cfg["use_depth"] and (kind == "gso" or not self._cfg["use_src_imgs"])

    def _augmented(
        self, views: ViewBatch, query: ViewBatch, kind: str, generator: np.random.Generator
    ) -> tuple[ViewBatch, ViewBatch]:
        cfg = self._cfg
        ranges = torch.cat([views.depth_range, query.depth_range])
        if kind == "gso":
            both = (views.depth, query.depth), (views.masks, query.masks)
            depth, masks = (torch.cat(maps) for maps in both) if views.depth is not None else (None, None)
            ranges = object_ranges(ranges, depth, masks, cfg, generator)
        else:
            ranges = widened_ranges(ranges, cfg, generator)
        views, query = replace(views, depth_range=ranges[:-1]), replace(query, depth_range=ranges[-1:])
        if kind == "gso" and views.depth is not None:
            views = with_noisy_depth(views, cfg, generator)
        elif cfg["use_depth_loss_for_all"]:
            views = replace(views, true_depth=views.depth)
        if kind in FORWARD_FACING:
            views, query = random_crop([views, query], tuple(cfg["aug_forward_crop_size"]), generator)
            if generator.random() < FLIP_PROB:
                views, query = flipped(views), flipped(query)
        if cfg["use_consistent_depth_range"]:
            views, query = with_consistent_ranges(views, query, use_min_max=cfg["use_consistent_min_max"])
        return views, query

    def _positions(self, query: ViewBatch, kind: str, generator: np.random.Generator) -> Float[Tensor, "r 2"]:
        count = self._cfg["train_ray_num"]
        if kind in FORWARD_FACING and self._cfg["aug_pixel_center_sample"]:
            return choose_positions(central_rectangle(query.size), count, CENTRAL_SHARE, generator)
        return choose_positions(query.masks[0, 0].numpy() > 0, count, self._cfg["foreground_ratio"], generator)


class ValidationData(Dataset):
    """The views to test a scene on, each rendered whole from its nearest references.

    Args:
        cfg: As for `TrainingData`; the scene is `val_database_name`.
        data_dir: Holds the data sets.

    Raises:
        FileNotFoundError, ValueError: The scene, or its depth maps where references need them, are missing or damaged.
    """

    def __init__(self, cfg: Mapping[str, Any], data_dir: str | Path):
        self._cfg = cfg
        self._scene = database(cfg["val_database_name"], data_dir)
        self._references, self._queries = self._scene.splits(cfg["val_database_split_type"])
        self._use_depth = cfg["use_depth"] and not cfg["use_src_imgs"]
        if not self._references or not self._queries:
            raise ValueError(
                f"{self._scene.name} has {len(self._references)} references for {len(self._queries)} views"
            )
        if self._use_depth:
            require_depth(self._scene, self._references)

    def __len__(self) -> int:
        return len(self._queries)

    def __getitem__(self, index: int) -> TrainingItem:
        query_id = self._queries[index]
        query = load_views(self._scene, [query_id], use_depth=False)
        choice = choose_sources(
            self._scene,
            nearest_ids(self._scene, query_id, self._references)[: self._cfg["min_wn"]],
            self._references,
            self._cfg,
        )
        views = load_views(self._scene, choice.loaded, self._cfg["ref_pad_interval"], use_depth=self._use_depth)
        if self._cfg["use_consistent_depth_range"]:
            views, query = with_consistent_ranges(views, query, use_min_max=self._cfg["use_consistent_min_max"])
        references, sources = choice.split(views)
        return TrainingItem(references, replace(query, coords=picture_coords(query)), sources, self._scene.name)
