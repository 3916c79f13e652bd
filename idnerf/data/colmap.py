"""Photographs of one's own, posed by COLMAP and stored in LLFF's layout, for tests (spec 3.3)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from idnerf.data.forward_facing import ForwardFacingDataset, PosedScene
from idnerf.data.view_lists import colmap_pairs


class ColmapDataset(ForwardFacingDataset):
    """Targets among the central views of each scene; `test_views_method` "fixed" keeps the most central one."""

    name = "colmap"
    bound_factor = 0.47058824
    recenter = False

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
