"""The source views of one item, and the camera to render, taken from a loader's batch.

Cameras are OpenCV: `extrinsics` are world to camera (x right, y down, z forward), `intrinsics` in pixels of the
pictures with pixel centres on integers. An item is V source views followed by the target.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from common.cameras import Camera


@dataclass(frozen=True)
class SourceViews:
    """What the target is rendered from.

    Attributes:
        images: In [0, 1].
        extrinsics: World to camera.
        intrinsics: In pixels of `images`.
        near_fars: Depth bounds along the optical axis, scene units.
    """

    images: Float[Tensor, "V 3 H W"]
    extrinsics: Float[Tensor, "V 4 4"]
    intrinsics: Float[Tensor, "V 3 3"]
    near_fars: Float[Tensor, "V 2"]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        return self.images.shape[-2], self.images.shape[-1]

    def to(self, device: torch.device | str) -> "SourceViews":
        """The same views on a device."""
        return SourceViews(*(value.to(device) for value in vars(self).values()))


@dataclass(frozen=True)
class EncodedViews:
    """Source views with everything that does not depend on the target.

    Attributes:
        views: The sources.
        low: Features at 1/8 of the pictures' size: per view, 128 channels for each of the other views in order, then
            `num_tokens` channels, the same after the layer that fuses a view's vector (its part for them).
        high: The same, up-sampled.
        num_tokens: Channels of that layer.
    """

    views: SourceViews
    low: Float[Tensor, "V C h w"]
    high: Float[Tensor, "V C H2 W2"]
    num_tokens: int


def split_batch(batch: dict[str, Any]) -> tuple[SourceViews, Camera, Float[Tensor, "H W 3"]]:
    """Sources, target camera and target picture of a loader's batch of one item.

    Raises:
        ValueError: The batch holds more than one item.
    """
    count = len(batch["images"])
    if count != 1:
        raise ValueError(f"ID-NeRF renders one item at a time, got a batch of {count}; set batch_size to 1")
    images, extrinsics, intrinsics, near_fars = (
        batch[name][0] for name in ("images", "extrinsics", "intrinsics", "near_fars")
    )
    height, width = images.shape[-2:]
    near, far = near_fars[-1].tolist()
    camera = Camera(intrinsics[-1], extrinsics[-1], height, width, (near, far))
    sources = SourceViews(images[:-1], extrinsics[:-1], intrinsics[:-1], near_fars[:-1])
    return sources, camera, images[-1].permute(1, 2, 0)
