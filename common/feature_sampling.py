"""Resize feature maps, read volumes at continuous positions, and the matrix of a plane sweep.

Everything is corner-aligned: the centres of the outermost pixels or voxels are the ends of the range.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from common.cameras import projection_matrix, scale_intrinsics


def resize(x: Float[Tensor, "B C H W"], scale: float) -> Float[Tensor, "B C h w"]:
    """Corner-aligned bilinear resize by a factor; the input itself when the factor is 1."""
    if scale == 1:
        return x
    size = (round(x.shape[-2] * scale), round(x.shape[-1] * scale))
    return functional.interpolate(x, size, mode="bilinear", align_corners=True)


def sample_volume(
    volume: Float[Tensor, "B C D H W"], coordinates: Float[Tensor, "B *points 3"]
) -> Float[Tensor, "B *points C"]:
    """Trilinear interpolation, zero outside; coordinates (x, y, z) run from 0 to 1 across (W, H, D), corner-aligned."""
    B, C = volume.shape[:2]
    grid = (coordinates * 2.0 - 1.0).reshape(B, 1, 1, -1, 3)
    sampled = functional.grid_sample(volume, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return sampled.reshape(B, C, -1).mT.reshape(*coordinates.shape[:-1], C)


def target_to_source(
    source_intrinsics: Float[Tensor, "B S 3 3"],
    source_world_to_cam: Float[Tensor, "B S 4 4"],
    target_intrinsics: Float[Tensor, "B 3 3"],
    target_world_to_cam: Float[Tensor, "B 4 4"],
    source_scale: float = 1.0,
    target_scale: float = 1.0,
) -> Float[Tensor, "B S 3 4"]:
    """M with z' (x, y, 1)_source = M[:, :3] (u, v, 1)_target + M[:, 3] / depth; z' = source depth over target depth.

    The scales multiply the intrinsics (maps smaller than the images). Computed in float64: the inverse of a camera
    hundreds of units from the origin costs digits that the warp needs.
    """
    source = projection_matrix(scale_intrinsics(source_intrinsics.double(), source_scale), source_world_to_cam.double())
    target = projection_matrix(scale_intrinsics(target_intrinsics.double(), target_scale), target_world_to_cam.double())
    matrix = source @ torch.linalg.inv(target)[:, None]
    return matrix[..., :3, :].to(source_intrinsics.dtype)
