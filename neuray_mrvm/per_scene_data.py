"""The views of one scene for its own network: which are references, which neighbours a step takes (spec 6.3)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from common.seeding import generator_for
from neuray_mrvm.database_names import database
from neuray_mrvm.databases.database import Database
from neuray_mrvm.ray_positions import choose_positions
from neuray_mrvm.view_batch import SceneItem, ViewBatch
from neuray_mrvm.view_loading import load_views

_ITEM = 1  # stream of random numbers


@dataclass(frozen=True)
class SceneViews:
    """A scene's views.

    Attributes:
        database: Where they come from.
        reference_ids, query_ids: Names in the database.
        references: All reference views, padded, over the range of all; depth is 0 where unknown, if it is loaded.
        settings: Of the config.
    """

    database: Database
    reference_ids: Sequence[str]
    query_ids: Sequence[str]
    references: ViewBatch
    settings: Mapping[str, Any]

    def neighbours(self, pose: Float[Tensor, "3 4"]) -> Int[np.ndarray, " n"]:
        """Positions of all reference views, nearest camera first."""
        centers = camera_centers(self.references.poses)
        return np.argsort(np.linalg.norm(centers - camera_centers(pose[None]), axis=1), kind="stable")

    def rendering_item(self, query: ViewBatch, step: int = 0) -> SceneItem:
        """A camera and the references nearest to it."""
        return self._item(query, self.neighbours(query.poses[0])[: self.settings["neighbor_view_num"]], step)

    def without_depth(self) -> "SceneViews":
        """The same scene with less memory."""
        return replace(self, references=replace(self.references, depth=None))

    def query(self, index: int) -> ViewBatch:
        """A view to test on: not padded, with its own range."""
        return load_views(self.database, [self.query_ids[index]], pad=1, use_depth=False)

    def training_item(self, seed: int, step: int) -> SceneItem:
        """What a step renders: a random reference view, from random ones of its neighbours."""
        generator, settings = generator_for(_ITEM, seed, step), self.settings
        number = int(generator.integers(len(self.references)))
        near = self.neighbours(self.references.poses[number])
        if generator.random() >= settings["include_self_prob"]:
            near = near[near != number]
        pool = near[: settings["neighbor_view_num"] * settings["neighbor_pool_ratio"]]
        chosen = generator.permutation(pool)[: settings["neighbor_view_num"]]
        query = self.references.select(torch.tensor([number]))
        share = settings["foreground_ratio"]
        coords = choose_positions(query.masks[0, 0].numpy() > 0, settings["train_ray_num"], share, generator)
        return self._item(replace(query, coords=coords[None], depth=None), chosen, step, number)

    def validation_items(self, step: int) -> Iterator[SceneItem]:
        """All views to test on."""
        return (self.rendering_item(self.query(index), step) for index in range(len(self.query_ids)))

    def initial_views(self, number: int, kind: str) -> tuple[ViewBatch, ViewBatch | None]:
        """What the ray features of a reference view are first computed from: references, itself first, and sources.

        Args:
            number: Position of the view.
            kind: depth (references only) or cost_volume.
        """
        near, own = self.neighbours(self.references.poses[number]), torch.tensor([number])
        near = np.concatenate([[number], near[near != number]])
        if kind == "depth":
            return self.references.select(torch.from_numpy(near[: self.settings["init_view_num"]])), None
        count = self.settings["init_src_view_num"]
        sources = self.references.select(torch.from_numpy(near[1 : 1 + count]))
        return replace(self.references.select(own), nn_ids=torch.arange(len(sources))[None]), sources

    def _item(self, query: ViewBatch, chosen: Int[np.ndarray, " n"], step: int, number: int | None = None) -> SceneItem:
        references = replace(self.references, depth=None, masks=None).select(torch.from_numpy(chosen))
        numbers = tuple(int(each) for each in chosen)
        return SceneItem(references, query, None, self.database.name, step, numbers, number)


def load_scene_views(cfg: Mapping[str, Any], data_dir: str | Path, use_depth: bool = False) -> SceneViews:
    """The scene that the config names.

    Args:
        cfg: Settings.
        data_dir: Folder of the data sets.
        use_depth: Load depth maps; only the first ray features of the depth variant need them.

    Raises:
        FileNotFoundError, ValueError: There is no such scene, or it is damaged.
    """
    if not cfg["database_name"]:
        raise ValueError("a network of one scene needs database_name in its config, such as dtu_test/birds/black_800")
    found = database(cfg["database_name"], data_dir)
    reference_ids, query_ids = found.splits(cfg["database_split"])
    references = load_views(found, reference_ids, pad=cfg["ref_pad_interval"], use_depth=use_depth)
    if cfg["use_consistent_depth_range"]:
        near, far = references.depth_range[:, 0].min(), references.depth_range[:, 1].max()
        references = replace(references, depth_range=torch.stack([near, far]).expand(len(references), 2).contiguous())
    return SceneViews(found, reference_ids, query_ids, references, cfg)


def camera_centers(poses: Float[Tensor, "n 3 4"]) -> Float[np.ndarray, "n 3"]:
    """Centres of world-to-camera poses."""
    return -(poses[:, :, :3].transpose(1, 2) @ poses[:, :, 3:])[..., 0].double().numpy()
