"""Photographs of one's own, posed by COLMAP, for tests: in LLFF's layout (spec 3.3), or COLMAP's project as it is."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.baselines.source_views import resized_intrinsics
from common.datasets.colmap import has_colmap_model, read_colmap
from common.datasets.depth_range_estimation import with_estimated_bounds
from common.datasets.llff_normalization import normalize_llff
from idnerf.data.forward_facing import ForwardFacingDataset, PosedScene, posed_scene
from idnerf.data.items import Size
from idnerf.data.view_lists import colmap_pairs

_LOGGER = logging.getLogger(__name__)


class ColmapDataset(ForwardFacingDataset):
    """Targets among the central views of each scene; `test_views_method` "fixed" keeps the most central one."""

    name = "colmap"
    bound_factor = 0.47058824
    recenter = False
    expected = f"{ForwardFacingDataset.expected}, or projects of COLMAP with a model in sparse and images"

    def is_scene(self, folder: Path) -> bool:
        """Whether a folder has LLFF's file or a model of COLMAP."""
        return super().is_scene(folder) or (folder.is_dir() and has_colmap_model(folder))

    def read(self, folder: Path) -> PosedScene:
        """The scene in a folder, from LLFF's file where there is one; raises as the readers."""
        if super().is_scene(folder) or not has_colmap_model(folder):
            return super().read(folder)
        return read_project(folder, tuple(self.settings.img_wh), self.bound_factor)

    def split(self, scene: PosedScene) -> tuple[Sequence[int], Sequence[int]]:
        """View ids of sources and of targets."""
        centers = scene.cam_to_world[:, :3, 3]
        sources, targets = colmap_pairs(np.abs(centers - centers.mean(axis=0)).sum(axis=1).tolist())
        return sources, targets[:1] if self.settings.test_views_method == "fixed" else targets

    def near_far(self, bounds: Float[np.ndarray, "V1 2"]) -> Float[np.ndarray, "2"]:
        """Depth range of an item from the bounds of its views: their mean, or a little more than all of them."""
        if self.settings.nf_mode == "minmax":
            return np.array([0.8 * bounds.min(), 1.2 * bounds.max()])
        return super().near_far(bounds)


def read_project(folder: Path, size: Size, bound_factor: float) -> PosedScene:
    """A capture with COLMAP's model and photographs; depth bounds are those of the points that each view observes.

    Args:
        folder: Of the capture, as for `read_colmap`.
        size: Width and height of the resized pictures.
        bound_factor: As for `normalize_llff`.

    Raises:
        FileNotFoundError, ValueError: As `read_colmap`, or the bounds cannot be estimated.
    """
    scene = read_colmap(folder).with_pixel_origin("center")
    for note in scene.notes:
        _LOGGER.info("%s: %s", folder, note)
    if any(view.near_far is None for view in scene.views):
        scene = with_estimated_bounds(scene)
    photographs = list(scene.views)  # with the intrinsics of the stored pictures, which the lens belongs to
    scene = normalize_llff(scene, bound_factor, recenter=False)
    resized = []
    for view in scene.views:
        scales = (new / old for new, old in zip(size, view.image.size, strict=True))
        resized.append(dataclasses.replace(view, intrinsics=resized_intrinsics(view.intrinsics, *scales)))
    return posed_scene(dataclasses.replace(scene, name=folder.name, views=tuple(resized)), photographs)
