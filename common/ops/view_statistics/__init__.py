"""Mean and variance of what posed views show at the voxels of a world-aligned volume.

A view sees a voxel that projects, in front of it, to a pixel between the centres of the outermost ones. Features f are
read there by bilinear interpolation. Over the n views that see the voxel

    mean = 1/n sum f        variance = 1/n sum f^2 - mean^2        both 0 where no view sees it

The features seen in single views are never stored: memory is that of the result.
"""

import importlib
from types import ModuleType

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.autograd.function import once_differentiable

from common.ops._backends import Backend, choose
from common.ops.grid_sample import grid_sample

Axes = tuple[Float[Tensor, " X"], Float[Tensor, " Y"], Float[Tensor, " Z"]]


def view_statistics(
    features: Float[Tensor, "V C H W"],
    intrinsics: Float[Tensor, "V 3 3"],
    world_to_cam: Float[Tensor, "V 4 4"],
    axes: Axes,
    backend: Backend = "auto",
) -> tuple[Float[Tensor, "2*C X Y Z"], UInt8[Tensor, "X Y Z"]]:
    """Means, then variances, channels innermost in memory; and how many views see each voxel.

    Differentiable once in `features`; positions and visibility carry no gradient.

    Args:
        features: Of the views.
        intrinsics: At the size of `features`.
        world_to_cam: Of the views.
        axes: World coordinates of the voxels' centres along each axis.
        backend: See `common.ops`.
    """
    chosen = choose("view_statistics", backend, (features, intrinsics, world_to_cam, *axes), ("numba",))
    intrinsics, world_to_cam = intrinsics.detach().contiguous(), world_to_cam.detach().contiguous()
    if chosen == "torch":
        return _view_statistics_torch(features, intrinsics, world_to_cam, axes)
    maps = features.permute(0, 2, 3, 1).contiguous()
    volume, count = _ViewStatistics.apply(maps, _kernels(chosen), intrinsics, world_to_cam, *axes)
    return volume.permute(3, 0, 1, 2), count


def _view_statistics_torch(
    features: Float[Tensor, "V C H W"],
    intrinsics: Float[Tensor, "V 3 3"],
    world_to_cam: Float[Tensor, "V 4 4"],
    axes: Axes,
) -> tuple[Float[Tensor, "2*C X Y Z"], UInt8[Tensor, "X Y Z"]]:
    C, H, W = features.shape[1:]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    size = points.new_tensor([W - 1, H - 1])
    total = squares = features.new_zeros(C, *points.shape[:3])
    count = torch.zeros(points.shape[:3], dtype=torch.uint8, device=features.device)
    for view, to_pixel, to_cam in zip(features, intrinsics, world_to_cam, strict=True):
        # In two steps: released weights amplify the rounding of positions, which a single matrix would change.
        homogeneous = (points @ to_cam[:3, :3].mT + to_cam[:3, 3]) @ to_pixel.mT
        grid = 2 * (homogeneous[..., :2] / (homogeneous[..., 2:] + 1e-8)) / size - 1
        seen = (grid.abs() <= 1).all(dim=-1) & (homogeneous[..., 2] > 0)
        shown = grid_sample(view[None], grid[None], align_corners=True)[0] * seen
        total, squares, count = total + shown, squares + shown.square(), count + seen
    number = count.clamp(min=1)
    mean = total / number
    volume = torch.cat([mean, squares / number - mean.square()])
    return volume.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2), count


def _kernels(backend: str) -> ModuleType:
    return importlib.import_module(f"common.ops.view_statistics.{backend}_kernels")


class _ViewStatistics(torch.autograd.Function):
    """Maps `V H W C` and the geometry to volume `X Y Z 2C` and count `X Y Z`."""

    @staticmethod
    def forward(ctx, maps: Tensor, kernels: ModuleType, *geometry: Tensor) -> tuple[Tensor, Tensor]:
        volume = maps.new_empty(*[len(axis) for axis in geometry[2:]], 2 * maps.shape[-1])
        count = torch.empty(volume.shape[:3], dtype=torch.uint8)
        kernels.statistics_forward(maps, geometry, volume, count)
        ctx.save_for_backward(maps, volume, count, *geometry)
        ctx.kernels = kernels
        ctx.mark_non_differentiable(count)
        return volume, count

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        maps, volume, count, *geometry = ctx.saved_tensors
        grad_maps = torch.zeros_like(maps)
        ctx.kernels.statistics_backward(grad.contiguous(), maps, tuple(geometry), volume, count, grad_maps)
        return (grad_maps, *[None] * 6)
