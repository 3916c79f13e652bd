"""From which views a camera is rendered, and their maps, computed once per set of views (spec 3.5, 9.1)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from common.checkpoints import load_checkpoint
from neuray_mrvm.config import rendering_settings
from neuray_mrvm.databases.database import Database
from neuray_mrvm.model_checkpoints import load_network_state, network_state, ray_feature_shapes
from neuray_mrvm.networks.generalization import GeneralizationNetwork
from neuray_mrvm.networks.per_scene import PerSceneNetwork
from neuray_mrvm.networks.ray_rendering import PreparedViews, RayNetwork
from neuray_mrvm.per_scene_data import SceneViews
from neuray_mrvm.view_loading import choose_sources, load_views, nearest_ids


class ReferenceViews(ABC):
    """The views of a scene that may be references.

    Args:
        network: In eval mode, on `device`.
        device: Where maps are computed and kept.

    Attributes:
        num_prepared: How many sets of views were encoded so far.
    """

    def __init__(self, network: RayNetwork, device: torch.device):
        self.network, self.device = network, device
        self.num_prepared = 0
        self._key: tuple[Any, ...] | None = None
        self._prepared: PreparedViews | None = None

    def prepared(self, pose: Float[Tensor, "3 4"]) -> PreparedViews:
        """The maps of the views nearest to a camera. Neighbouring cameras with the same nearest views share them."""
        key = self._nearest(pose)
        if key != self._key or self._prepared is None:
            self._prepared = None  # first: two sets would need twice the memory
            self._prepared, self._key = self._encoded(key), key
            self.num_prepared += 1
        return self._prepared

    @abstractmethod
    def _nearest(self, pose: Float[Tensor, "3 4"]) -> tuple[Any, ...]:
        """Which views, in an order that the camera does not change."""

    @abstractmethod
    def _encoded(self, key: tuple[Any, ...]) -> PreparedViews:
        """Their maps."""


class AnySceneViews(ReferenceViews):
    """For a network that renders any scene.

    Args:
        network: See `ReferenceViews`.
        device: See `ReferenceViews`.
        database: The scene.
        ids: Of the views that may be references.
        cfg: Of the network; `train_dataset_cfg` says how many references and sources, and how they are padded.
    """

    def __init__(
        self,
        network: GeneralizationNetwork,
        device: torch.device,
        database: Database,
        ids: Sequence[str],
        cfg: Mapping[str, Any],
    ):
        super().__init__(network, device)
        self._database, self._ids = database, list(ids)
        self._order = {view_id: number for number, view_id in enumerate(ids)}
        self._settings = rendering_settings(cfg)
        self._use_depth = cfg["init_net_type"] == "depth"

    def _nearest(self, pose: Float[Tensor, "3 4"]) -> tuple[str, ...]:
        near = nearest_ids(self._database, pose.numpy(), self._ids)[: self._settings["min_wn"]]
        return tuple(sorted(near, key=self._order.__getitem__))

    def _encoded(self, key: tuple[str, ...]) -> PreparedViews:
        choice = choose_sources(self._database, key, self._ids, self._settings)
        views = load_views(self._database, choice.loaded, self._settings["ref_pad_interval"], use_depth=self._use_depth)
        references, sources = choice.split(views)
        return self.network.prepare(references.to(self.device), None if sources is None else sources.to(self.device))


class OneSceneViews(ReferenceViews):
    """For a network of one scene.

    Args:
        network: See `ReferenceViews`.
        device: See `ReferenceViews`.
        views: Of the scene.
    """

    def __init__(self, network: PerSceneNetwork, device: torch.device, views: SceneViews):
        super().__init__(network, device)
        self._views = views

    def _nearest(self, pose: Float[Tensor, "3 4"]) -> tuple[int, ...]:
        near = self._views.neighbours(pose)[: self._views.settings["neighbor_view_num"]]
        return tuple(sorted(near.tolist()))

    def _encoded(self, key: tuple[int, ...]) -> PreparedViews:
        references = replace(self._views.references, depth=None, masks=None).select(torch.tensor(key))
        return self.network.prepare(references.to(self.device), key)


def load_scene_network(cfg: Mapping[str, Any], path: str | Path, views: SceneViews) -> tuple[PerSceneNetwork, int]:
    """The network of a scene from its checkpoint, and the checkpoint's step.

    Raises:
        FileNotFoundError: There is no such file.
        RuntimeError: It is damaged, not of one scene, or of another scene.
    """
    content = load_checkpoint(path)
    state = network_state(content, path)
    shapes = ray_feature_shapes(state)
    if not shapes:
        raise RuntimeError(
            f"checkpoint {path} is for any scene; render it with --render_type gen, or name the checkpoint of this"
            " scene with --load_ckpt_path"
        )
    height, width = views.references.size
    expected = (len(views.references), height // 4, width // 4)
    if (len(shapes), *shapes[0][-2:]) != expected:
        have, need = (f"{n} views with maps of {w} x {h}" for n, h, w in ((len(shapes), *shapes[0][-2:]), expected))
        raise RuntimeError(
            f"checkpoint {path} has ray features of {have} but {views.database.name} needs {need}; it was trained on"
            " another scene or size"
        )
    network = PerSceneNetwork(cfg, shapes)
    load_network_state(network, state, path)
    return network, int(content.get("step", 0))
