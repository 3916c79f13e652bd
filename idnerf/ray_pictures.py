"""Pictures of rays: six channels that tell a convolution where a camera stands and where its pixels look.

Channels 0-2 are the ray's origin, 3-5 its direction (unit z in the camera frame, not unit length), both in the world.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from common.cameras import invert_rigid
from common.rays import camera_rays, pixel_grid


def ray_pictures(
    intrinsics: Float[Tensor, "V 3 3"], world_to_cam: Float[Tensor, "V 4 4"], height: int, width: int
) -> Float[Tensor, "V 6 H W"]:
    """Camera centre and viewing direction of every pixel."""
    origins, directions = camera_rays(intrinsics, world_to_cam, height, width)
    return torch.cat([_everywhere(origins, height, width), directions.permute(0, 3, 1, 2)], dim=1)


def seen_from_first(
    world_to_cam: Float[Tensor, "V 4 4"], first: Float[Tensor, "4 4"], unit: Float[Tensor, ""]
) -> Float[Tensor, "V 4 4"]:
    """Poses in the frame of a first camera, with lengths in a unit of the scene such as that camera's near bound.

    Ray pictures made of these do not depend on where the world's origin is, how it is turned and what its unit is.
    """
    lengths = torch.ones_like(first)
    lengths[:3, 3] = 1 / unit
    return world_to_cam @ invert_rigid(first) * lengths


def released_ray_pictures(
    intrinsics: Float[Tensor, "V 3 3"], world_to_cam: Float[Tensor, "V 4 4"], height: int, width: int
) -> Float[Tensor, "V 6 H W"]:
    """As the released code builds them: the formula for an OpenGL camera-to-world matrix M, given world_to_cam.

    Translation of M everywhere, then M's rotation times ((x - cx)/fx, -(y - cy)/fy, -1).
    """
    focal = intrinsics[:, [0, 1], [0, 1]][:, None, None]
    center = intrinsics[:, :2, 2][:, None, None]
    x, y = ((pixel_grid(height, width, intrinsics) - center) / focal).unbind(dim=-1)
    directions = torch.einsum("vij,vjhw->vihw", world_to_cam[:, :3, :3], torch.stack([x, -y, -torch.ones_like(x)], 1))
    return torch.cat([_everywhere(world_to_cam[:, :3, 3], height, width), directions], dim=1)


def _everywhere(vectors: Float[Tensor, "V 3"], height: int, width: int) -> Float[Tensor, "V 3 H W"]:
    return vectors[:, :, None, None].expand(-1, -1, height, width)
