"""ID-NeRF as a `Renderer`: any scene from any reader, any camera at any size.

Pictures are brought to sides that the encoder's attention windows divide, and large ones are made smaller. Lengths are
scaled so that the nearest bound of the sources is where DTU's is in training; depths are given back in scene units.
The sources are encoded once; the latent is imagined for every camera.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from common.cameras import Camera, crop_intrinsics
from common.datasets.depth_range_estimation import with_estimated_bounds
from common.datasets.loading import load_image
from common.datasets.scene import Scene, View
from common.renderer import Renderer, Rendering
from idnerf.networks.encoder import REDUCTION
from idnerf.networks.network import IdNerf
from idnerf.views import EncodedViews, SourceViews

NEAREST = 2.125  # DTU's near bound in the units of training
MOST_PIXELS = 960 * 640  # of a source picture: the larger of the paper's two sizes
CHUNK = 4096


class IdNerfRenderer(Renderer):
    """Renders with a trained network.

    Args:
        network: As `idnerf.load` returns it; it says how many source views there must be.
        device: Where to compute.
        most_pixels: Larger source pictures are made smaller.
        chunk: Rays at a time; memory grows with it.
    """

    def __init__(
        self,
        network: IdNerf,
        device: str | torch.device = "cpu",
        most_pixels: int = MOST_PIXELS,
        chunk: int = CHUNK,
    ):
        self.network = network.to(device).eval()
        self.device = torch.device(device)
        self._most_pixels, self._chunk = most_pixels, chunk
        self._scale = 1.0
        self._encoded: EncodedViews | None = None

    @torch.no_grad()
    def prepare(self, scene: Scene, source_ids: Sequence[int]) -> None:
        """Read the source views and encode them.

        Pictures of other sizes take the first one's. Depth bounds that the scene does not give are estimated.

        Raises:
            ValueError: Another number of sources than the weights are for.
        """
        if len(source_ids) != self.network.opt.n_src_views:
            raise ValueError(
                f"these weights of ID-NeRF take {self.network.opt.n_src_views} source views, got {len(source_ids)};"
                " choose as many, or take weights for another n_src_views"
            )
        scene = scene.with_pixel_origin("center")
        views = tuple(scene.views[index] for index in source_ids)
        if any(view.near_far is None for view in views):
            views = with_estimated_bounds(dataclasses.replace(scene, views=views)).views
        size = self._working_size(views[0].image.size)
        self._scale = NEAREST / min(view.near_far[0] for view in views)
        extrinsics = np.stack([view.world_to_cam for view in views])
        extrinsics[:, :3, 3] *= self._scale
        pictures = np.stack([load_image(view, size) for view in views])
        self._encoded = self.network.encode(
            SourceViews(
                self._tensor(pictures).permute(0, 3, 1, 2).contiguous(),
                self._tensor(extrinsics),
                self._tensor(np.stack([_resized_intrinsics(view, size) for view in views])),
                self._tensor([view.near_far for view in views]) * self._scale,
            )
        )

    @torch.no_grad()
    def render(self, camera: Camera) -> Rendering:
        """The picture seen by `camera`, on the camera's device; depth is 0 where nothing is."""
        if self._encoded is None:
            raise RuntimeError("prepare(scene, source_ids) must be called before render(camera)")
        target = self._in_training_units(camera)
        latent, _ = self.network.infer_latent(self._encoded, target)
        if not self.network.opt.nerf.legacy_coord:  # rays then start half a pixel further
            target = dataclasses.replace(target, intrinsics=crop_intrinsics(target.intrinsics, -0.5, -0.5))
        rendered = self.network.render(self._encoded, latent, target, chunk=self._chunk)
        shape, device = (camera.height, camera.width), camera.world_to_cam.device
        opacity = rendered["opacity"][:, 0].clamp(0, 1)
        # The network's depth is a sum over what is hit; over its opacity, it is where that is.
        depth = torch.where(opacity > 0.5, rendered["depth"][:, 0] / opacity.clamp(min=0.5), 0) / self._scale
        values = (rendered["rgb"].clamp(0, 1), depth, opacity)
        return Rendering(*(value.unflatten(0, shape).to(device) for value in values))

    def _in_training_units(self, camera: Camera) -> Camera:
        world_to_cam = self._tensor(camera.world_to_cam).clone()
        world_to_cam[:3, 3] *= self._scale
        near, far = camera.near_far
        near_far = (near * self._scale, far * self._scale)
        intrinsics = self._tensor(camera.intrinsics)
        return dataclasses.replace(camera, intrinsics=intrinsics, world_to_cam=world_to_cam, near_far=near_far)

    def _working_size(self, stored: tuple[int, int]) -> tuple[int, int]:
        """(width, height) near the stored size, at most `most_pixels`, in multiples of what attention divides."""
        block = REDUCTION * self.network.opt.encoder.attn_splits_list[0]
        factor = min(1.0, (self._most_pixels / (stored[0] * stored[1])) ** 0.5)
        return tuple(max(block, block * round(side * factor / block)) for side in stored)

    def _tensor(self, values: object) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)


def _resized_intrinsics(view: View, size: tuple[int, int]) -> np.ndarray:
    return view.intrinsics * np.array([[size[0] / view.image.size[0]], [size[1] / view.image.size[1]], [1.0]])
