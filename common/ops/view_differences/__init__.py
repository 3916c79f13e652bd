"""Do posed views agree with the depth of each of them? Differences of colour and of depth, as mean and variance.

A pixel of view i at its depth is a point of the world. Every view v, i among them, into whose picture it projects
(-1/2 <= x < W - 1/2, the same for y) shows a colour and has a depth there, read by bilinear interpolation with the
outermost values repeated:

    e_rgb = |colour_v - colour_i|      e_d = min(|1/z_v - 1/depth_v| / (1/near_v - 1/far_v), 3/2)

with z_v the depth of the point in view v. Over the n views that see the point: mean m = 1/n sum e, variance
1/n sum (e - m)^2. A point behind a camera is not treated specially, except that depths are at least 1e-5 where they are
inverted; one closer than 1e-4 to a camera's plane is not seen.
"""

import importlib

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from common.feature_sampling import target_to_source
from common.ops._backends import Backend, choose
from common.rays import pixel_grid

_MIN_DEPTH = 1e-5
_PLANE = 1e-4
_MAX_DIFFERENCE = 1.5


@torch.no_grad()
def view_differences(
    images: Float[Tensor, "V 3 H W"],
    depth: Float[Tensor, "V H W"],
    intrinsics: Float[Tensor, "V 3 3"],
    world_to_cam: Float[Tensor, "V 3 4"],
    near_far: Float[Tensor, "V 2"],
    backend: Backend = "auto",
) -> Float[Tensor, "V 8 H W"]:
    """Mean of the colour differences (3), their variance (3), mean (1) and variance (1) of the depth differences.

    No gradient. Memory is that of the result; the reference needs 5 V H W numbers more.

    Args:
        images: Of the views.
        depth: Along the optical axis of each view, not zero.
        intrinsics: At the size of `images`.
        world_to_cam: Of the views.
        near_far: Depth bounds of each view.
        backend: See `common.ops`.
    """
    chosen = choose("view_differences", backend, (images, depth, intrinsics, world_to_cam, near_far), ("numba",))
    matrix = _between_views(intrinsics, world_to_cam)
    inverse_range = 1 / (1 / near_far[:, 0] - 1 / near_far[:, 1])
    maps = torch.cat([images, depth[:, None]], dim=1)
    if chosen == "torch":
        return torch.stack([_differences_torch(maps, matrix[i], inverse_range, i) for i in range(len(maps))])
    maps = maps.permute(0, 2, 3, 1).contiguous()
    result = maps.new_empty(*depth.shape, 8)
    kernels = importlib.import_module("common.ops.view_differences.numba_kernels")
    kernels.differences(maps, matrix.contiguous(), inverse_range, result)
    return result.permute(0, 3, 1, 2)


def _between_views(
    intrinsics: Float[Tensor, "V 3 3"], world_to_cam: Float[Tensor, "V 3 4"]
) -> Float[Tensor, "V V 3 4"]:
    """M[i, v] with z_v (x, y, 1)_v = depth_i M[:, :3] (x, y, 1)_i + M[:, 3]."""
    count = len(intrinsics)
    last_row = world_to_cam.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(count, 1, 4)
    world_to_cam = torch.cat([world_to_cam, last_row], dim=1)
    sources = intrinsics.expand(count, -1, -1, -1), world_to_cam.expand(count, -1, -1, -1)
    return target_to_source(*sources, intrinsics, world_to_cam)


def _differences_torch(
    maps: Float[Tensor, "V 4 H W"], matrix: Float[Tensor, "V 3 4"], inverse_range: Float[Tensor, " V"], own: int
) -> Float[Tensor, "8 H W"]:
    """Differences of one view."""
    _, _, H, W = maps.shape
    pixels = pixel_grid(H, W, like=maps)
    ray = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
    point = torch.einsum("vij,hwj->vihw", matrix[..., :3], ray) * maps[own, 3] + matrix[..., 3, None, None]
    z = point[:, 2]
    is_in_plane = z.abs() < _PLANE
    seen = point[:, :2] / z.masked_fill(is_in_plane, 1.0)[:, None]
    size = maps.new_tensor([W, H])[:, None, None]
    is_seen = ((seen >= -0.5) & (seen < size - 0.5)).all(dim=1) & ~is_in_plane
    # Clamped by hand: what is far outside would lose all digits in the normalised coordinates.
    grid = (seen.clamp(min=0).minimum(size - 1) * (2 / (size - 1).clamp(min=1)) - 1).permute(0, 2, 3, 1)
    shown = functional.grid_sample(maps, grid, padding_mode="border", align_corners=True)
    color = (shown[:, :3] - maps[own, :3]).abs()
    disparity = 1 / z.clamp(min=_MIN_DEPTH) - 1 / shown[:, 3].clamp(min=_MIN_DEPTH)
    off = (disparity.abs() * inverse_range[:, None, None]).clamp(max=_MAX_DIFFERENCE)
    weight = (is_seen / is_seen.sum(dim=0).clamp(min=1)).to(maps.dtype)
    (color, spread), (off, off_spread) = (_moments(each, weight) for each in (color, off[:, None]))
    return torch.cat([color, spread, off, off_spread])


def _moments(
    values: Float[Tensor, "V C H W"], weight: Float[Tensor, "V H W"]
) -> tuple[Float[Tensor, "C H W"], Float[Tensor, "C H W"]]:
    mean = torch.einsum("vchw,vhw->chw", values, weight)
    return mean, torch.einsum("vchw,vhw->chw", (values - mean).square(), weight)
