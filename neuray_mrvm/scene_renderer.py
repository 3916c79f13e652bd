"""NeuRay as a `Renderer`: any scene from any reader, any camera at any size.

All source views are references, encoded once. The depth variant reads the depth maps of the scene; where it has none, a
plane sweep between the sources makes them, on any machine. Pictures are mirrored on the right and at the bottom up to
what the networks need; cameras stay as they are.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float

from common.baselines.source_views import PosedImage, load_sources, resized_intrinsics
from common.baselines.view_depths import view_depths
from common.cameras import Camera
from common.datasets.depth_range_estimation import with_estimated_bounds
from common.datasets.loading import load_depth
from common.datasets.scene import Scene
from common.renderer import Renderer, Rendering
from neuray_mrvm.config import rendering_settings
from neuray_mrvm.networks.generalization import GeneralizationNetwork
from neuray_mrvm.networks.ray_rendering import PreparedViews
from neuray_mrvm.picture_rendering import render_picture
from neuray_mrvm.view_batch import ViewBatch
from neuray_mrvm.view_loading import padded

SMALLEST_SIDE = 32  # pixels; the networks halve pictures four times
_LOGGER = logging.getLogger(__name__)
DepthMap = Float[np.ndarray, "_ _"]


class NeurayRenderer(Renderer):
    """Renders with a trained network for any scene.

    Args:
        network: As `neuray_mrvm.load` returns it, with `render_depth` set.
        cfg: Its settings.
        device: Where to compute.
        use_scene_depth: Read the depth maps that a scene has; False sweeps planes for all views.

    Attributes:
        num_neighbors: Views that a cost volume compares each source with.
    """

    def __init__(
        self,
        network: GeneralizationNetwork,
        cfg: Mapping[str, Any],
        device: str | torch.device = "cpu",
        use_scene_depth: bool = True,
    ):
        self.network, self.device = network.to(device).eval(), torch.device(device)
        self.num_neighbors = int(rendering_settings(cfg)["cost_volume_nn_num"])
        self._pad = int(rendering_settings(cfg)["ref_pad_interval"])
        self._use_depth, self._use_scene_depth = cfg["init_net_type"] == "depth", use_scene_depth
        self._prepared: PreparedViews | None = None

    @torch.no_grad()
    def prepare(self, scene: Scene, source_ids: Sequence[int]) -> None:
        """Read at least two source views and encode them; pictures of other sizes take the first one's.

        Depth bounds that the scene does not give are estimated from its pictures.

        Raises:
            ValueError: Fewer than two sources, unknown ones, or pictures too small.
        """
        if len(source_ids) < 2:
            raise ValueError(
                f"NeuRay compares source views with each other and needs at least 2, got {len(source_ids)}"
            )
        photographs = load_sources(scene, source_ids)
        if any(scene.views[index].near_far is None for index in source_ids):
            chosen = replace(scene, views=tuple(scene.views[index] for index in source_ids), pairs={}, splits={})
            near_fars = [view.near_far for view in with_estimated_bounds(chosen).views]
        else:
            near_fars = [scene.views[index].near_far for index in source_ids]
        height, width = photographs[0].image.shape[:2]
        if min(height, width) < SMALLEST_SIDE:
            raise ValueError(f"NeuRay needs pictures of at least {SMALLEST_SIDE} pixels a side, got {width} x {height}")
        photographs = [_resized(photograph, width, height) for photograph in photographs]
        depths = self._depths(scene, source_ids, photographs, near_fars) if self._use_depth else None
        views = padded(_view_batch(photographs, near_fars, depths), self._pad).to(self.device)
        if self._use_depth:
            self._prepared = self.network.prepare(views)
        else:
            self._prepared = self.network.prepare(replace(views, nn_ids=self._neighbors(photographs)), views)

    def render(self, camera: Camera) -> Rendering:
        """The picture seen by `camera`, on the camera's device; empty space is black, and opacity is 1 everywhere."""
        if self._prepared is None:
            raise RuntimeError("prepare(scene, source_ids) must be called before render(camera)")
        device = camera.world_to_cam.device
        query = ViewBatch(
            poses=camera.world_to_cam[None, :3].float(),
            Ks=camera.intrinsics[None].float(),
            depth_range=torch.tensor([camera.near_far], dtype=torch.float32, device=device),
            size=(camera.height, camera.width),
        )
        maps = render_picture(self.network, self._prepared, query.to(self.device))
        suffix = "_fine" if "pixel_colors_nr_fine" in maps else ""
        rgb, depth = (torch.from_numpy(maps[f"{name}{suffix}"]) for name in ("pixel_colors_nr", "render_depth"))
        rgb, depth = rgb.clamp(0, 1).to(device), depth.to(device)
        return Rendering(rgb, depth, torch.ones_like(depth))

    def _depths(
        self,
        scene: Scene,
        source_ids: Sequence[int],
        photographs: Sequence[PosedImage],
        near_fars: Sequence[tuple[float, float]],
    ) -> list[DepthMap]:
        height, width = photographs[0].image.shape[:2]
        stored: list[DepthMap | None] = [None] * len(photographs)
        if self._use_scene_depth:
            views = [scene.views[index] for index in source_ids]
            origin = scene.pixel_origin
            stored = [
                load_depth(v, (width, height), pixel_origin=origin) if v.depth is not None else None for v in views
            ]
        missing = sum(depth is None for depth in stored)
        if not missing:
            return stored
        _LOGGER.warning(
            "%s: %d of %d sources get their depth from a plane sweep between the sources, not from depth maps",
            scene.name,
            missing,
            len(stored),
        )
        swept = view_depths(photographs, near_fars)
        return [other if depth is None else depth for depth, other in zip(stored, swept, strict=True)]

    def _neighbors(self, photographs: Sequence[PosedImage]) -> torch.Tensor:
        """The nearest others of each, repeated where there are too few."""
        centers = torch.from_numpy(np.stack([photograph.center for photograph in photographs]))
        order = torch.cdist(centers, centers).fill_diagonal_(torch.inf).argsort(dim=1)[:, :-1]
        return order[:, torch.arange(self.num_neighbors) % order.shape[1]].to(self.device)


def _view_batch(
    photographs: Sequence[PosedImage], near_fars: Sequence[tuple[float, float]], depths: Sequence[DepthMap] | None
) -> ViewBatch:
    def stacked(arrays: Sequence[np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(np.stack(arrays).astype(np.float32))

    return ViewBatch(
        poses=stacked([photograph.world_to_cam[:3] for photograph in photographs]),
        Ks=stacked([photograph.intrinsics for photograph in photographs]),
        depth_range=stacked([np.array(near_far) for near_far in near_fars]),
        imgs=stacked([photograph.image.transpose(2, 0, 1) for photograph in photographs]),
        depth=None if depths is None else stacked([depth[None] for depth in depths]),
        size=photographs[0].image.shape[:2],
    )


def _resized(photograph: PosedImage, width: int, height: int) -> PosedImage:
    H, W = photograph.image.shape[:2]
    if (height, width) == (H, W):
        return photograph
    image = cv2.resize(photograph.image, (width, height), interpolation=cv2.INTER_AREA)
    return PosedImage(image, resized_intrinsics(photograph.intrinsics, width / W, height / H), photograph.world_to_cam)
