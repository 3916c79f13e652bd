"""Read feature maps and volumes at continuous positions.

`pixels` are (x, y) with the centre of the top-left pixel at (0, 0) (corner-aligned sampling); what lies outside is zero
or the nearest border value. A warp reads a source view's features at the pixels where a target pixel at a hypothetical
depth lands.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from common.cameras import projection_matrix, scale_intrinsics
from common.rays import pixel_grid


def resize(x: Float[Tensor, "B C H W"], scale: float) -> Float[Tensor, "B C h w"]:
    """Corner-aligned bilinear resize by a factor; the input itself when the factor is 1."""
    if scale == 1:
        return x
    size = (round(x.shape[-2] * scale), round(x.shape[-1] * scale))
    return functional.interpolate(x, size, mode="bilinear", align_corners=True)


def sample_image(
    features: Float[Tensor, "B C H W"], pixels: Float[Tensor, "B *grid 2"], padding: str = "zeros"
) -> Float[Tensor, "B C *grid"]:
    """Bilinear interpolation at pixels.

    Args:
        features: Maps.
        pixels: (x, y) in pixels of the maps.
        padding: "zeros" or "border", the value outside.
    """
    B, C, H, W = features.shape
    size = pixels.new_tensor([W - 1, H - 1]).clamp(min=1)
    grid = (pixels * (2.0 / size) - 1.0).reshape(B, -1, pixels.shape[-2], 2)
    sampled = functional.grid_sample(features, grid, mode="bilinear", padding_mode=padding, align_corners=True)
    return sampled.reshape(B, C, *pixels.shape[1:-1])


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


def warp_pixels(matrix: Float[Tensor, "B S 3 4"], depth: Float[Tensor, "B D H W"]) -> Float[Tensor, "B S D H W 2"]:
    """Source pixels of every target pixel at every hypothetical depth; no test for points behind the source camera."""
    B, S = matrix.shape[:2]
    _, D, H, W = depth.shape
    pixels = pixel_grid(H, W, matrix)
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
    rotated = torch.einsum("bsij,hwj->bsihw", matrix[..., :3], homogeneous)
    projected = rotated[:, :, :, None] + matrix[..., 3, None, None, None] / depth[:, None, None]
    x, y, z = projected.unbind(dim=2)
    z = z.clamp(min=1e-6)
    return torch.stack([x / z, y / z], dim=-1).reshape(B, S, D, H, W, 2)


def warp_features(
    features: Float[Tensor, "B S C h w"], matrix: Float[Tensor, "B S 3 4"], depth: Float[Tensor, "B D H W"]
) -> Float[Tensor, "B S C D H W"]:
    """Source features seen by every target pixel at every hypothetical depth, zero outside the source image."""
    B, S = matrix.shape[:2]
    pixels = warp_pixels(matrix, depth)
    warped = sample_image(features.flatten(0, 1), pixels.flatten(0, 1))
    return warped.unflatten(0, (B, S))
