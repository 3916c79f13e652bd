"""GeFu as a `Renderer`: any scene from any reader, any camera at any size.

The networks halve their input five times, so pictures are padded on the right and at the bottom to multiples of 32 and
cropped again; cameras stay as they are. Source features are computed once per source set.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from common.cameras import Camera
from common.datasets.loading import load_image
from common.datasets.scene import Scene
from common.renderer import Renderer, Rendering

BLOCK = 32


class GefuRenderer(Renderer):
    """Renders with a trained network.

    Args:
        network: As `gefu.load` returns it.
        device: Where to compute.
    """

    def __init__(self, network: nn.Module, device: str | torch.device = "cpu"):
        self.network = network.to(device).eval()
        self.device = torch.device(device)
        self._sources: dict[str, Tensor] = {}
        self._features = None

    @torch.no_grad()
    def prepare(self, scene: Scene, source_ids: Sequence[int]) -> None:
        """Read at least two source views and compute their features; pictures of other sizes take the first one's."""
        if len(source_ids) < 2:
            raise ValueError(f"GeFu compares source views with each other and needs at least 2, got {len(source_ids)}")
        views = [scene.with_pixel_origin("center").views[index] for index in source_ids]
        pictures, intrinsics = [], []
        for view in views:
            picture = load_image(view)
            height, width = (pictures[0] if pictures else picture).shape[:2]
            scale = np.array([[width / picture.shape[1]], [height / picture.shape[0]], [1.0]])
            if picture.shape[:2] != (height, width):
                picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
            pictures.append(picture)
            intrinsics.append(view.intrinsics * scale)
        images = self._tensor(np.stack(pictures)).permute(0, 3, 1, 2)[None] * 2 - 1
        right, bottom = padded(images.shape[-1]) - images.shape[-1], padded(images.shape[-2]) - images.shape[-2]
        images = nn.functional.pad(images[0], (0, right, 0, bottom), mode="replicate")[None]
        self._sources = {
            "src_exts": self._tensor(np.stack([view.world_to_cam for view in views]))[None],
            "src_ixts": self._tensor(np.stack(intrinsics))[None],
        }
        self._features = self.network.encode(images)

    @torch.no_grad()
    def render(self, camera: Camera) -> Rendering:
        """The picture seen by `camera`, on the camera's device; opacity is 1, GeFu has no empty space."""
        if self._features is None:
            raise RuntimeError("prepare(scene, source_ids) must be called before render(camera)")
        size = padded(camera.height), padded(camera.width)
        target = {
            "tar_ext": self._tensor(camera.world_to_cam)[None],
            "tar_ixt": self._tensor(camera.intrinsics)[None],
            "near_far": self._tensor(camera.near_far)[None],
        }
        outputs = self.network.render_target(self._features, self._sources | target, size)
        rgb, depth = (
            outputs[name][0].unflatten(0, size)[: camera.height, : camera.width].to(camera.world_to_cam.device)
            for name in ("rgb_level1", "depth_level1")
        )
        return Rendering(rgb, depth, torch.ones_like(depth))

    def _tensor(self, values: object) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)


def padded(side: int) -> int:
    """The next multiple of 32."""
    return -(-side // BLOCK) * BLOCK
