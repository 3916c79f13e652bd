"""Pixel grids and the rays through them.

A ray is an origin (the camera centre, world frame) and a direction of unit z in the camera frame: the ray parameter is
the depth along the optical axis, and `origin + depth * direction` is the point seen at that depth. Pixel centres lie on
integers.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from common.cameras import camera_center


def pixel_grid(height: int, width: int, like: Tensor) -> Float[Tensor, "H W 2"]:
    """(x, y) of every pixel centre, on the device and in the dtype of `like`."""
    y, x = torch.meshgrid(
        torch.arange(height, device=like.device, dtype=like.dtype),
        torch.arange(width, device=like.device, dtype=like.dtype),
        indexing="ij",
    )
    return torch.stack([x, y], dim=-1)


def camera_rays(
    intrinsics: Float[Tensor, "*batch 3 3"], world_to_cam: Float[Tensor, "*batch 4 4"], height: int, width: int
) -> tuple[Float[Tensor, "*batch 3"], Float[Tensor, "*batch H W 3"]]:
    """Camera centres, and the world direction (unit z, not unit length) through every pixel.

    Computed in float64: a direction error is multiplied by the depth.
    """
    pixel_to_world = world_to_cam[..., :3, :3].double().mT @ torch.linalg.inv(intrinsics.double())
    pixels = pixel_grid(height, width, pixel_to_world)
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
    directions = torch.einsum("hwj,...ij->...hwi", homogeneous, pixel_to_world)
    origins = camera_center(world_to_cam.double())
    return origins.to(intrinsics.dtype), directions.to(intrinsics.dtype)
