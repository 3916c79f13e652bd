"""What the source views show at points in the world: the view vectors of image-based rendering.

A point p projects to pixel (x, y) of a source; features are read there by bilinear interpolation between pixel centres,
the border value stands for what lies outside, z is kept above 1e-6. Four direction numbers say how differently source
and target look at it, with unit vectors a and b from the target's and the source's centre to p:

    direction = (a - b) / max(|a - b|, 1e-6)        dot = a . b

The vector of a source is [features, direction, dot] (the layout of IBRNet's descendants, GeFu among them).
"""

import importlib
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from common.cameras import camera_center, project, projection_matrix
from common.ops._backends import Backend, choose


def sample_views(
    features: Float[Tensor, "B S C h w"],
    points: Float[Tensor, "B *points 3"],
    intrinsics: Float[Tensor, "B S 3 3"],
    world_to_cam: Float[Tensor, "B S 4 4"],
    target_center: Float[Tensor, "B 3"],
    backend: Backend = "auto",
) -> Float[Tensor, "B S *points C+4"]:
    """View vectors of points in every source.

    Differentiable once in `features` and `points` (the reference in everything, as often as PyTorch's sampling).

    Args:
        features: Maps of the source views.
        points: World positions.
        intrinsics: Of the sources, at the size of `features`.
        world_to_cam: Of the sources.
        target_center: Centre of the target camera.
        backend: See `common.ops`.
    """
    cameras = intrinsics, world_to_cam, target_center
    constant = not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in cameras))
    fast = ("numba", "triton") if constant else ()
    chosen = choose("sample_views", backend, (features, points, *cameras), fast)
    if chosen == "torch":
        return _sample_views_torch(features, points, *cameras)
    maps = features.permute(0, 1, 3, 4, 2).contiguous()
    flat = points.flatten(1, -2).contiguous()
    matrix = projection_matrix(intrinsics, world_to_cam)[..., :3, :].contiguous()
    centers = torch.cat([camera_center(world_to_cam), target_center[:, None]], dim=1)
    vectors = _SampleViews.apply(maps, flat, matrix, centers, _kernels(chosen))
    return vectors.unflatten(2, points.shape[1:-1])


def direction_features(
    points: Float[Tensor, "B P 3"], source_centers: Float[Tensor, "B S 3"], target_center: Float[Tensor, "B 3"]
) -> Float[Tensor, "B S P 4"]:
    """The four direction numbers of every point and source."""
    from_target = points - target_center[:, None]
    from_source = points[:, None] - source_centers[:, :, None]
    a = (from_target / (from_target.norm(dim=-1, keepdim=True) + 1e-6))[:, None]
    b = from_source / (from_source.norm(dim=-1, keepdim=True) + 1e-6)
    difference = a - b
    direction = difference / difference.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    return torch.cat([direction, (a * b).sum(dim=-1, keepdim=True)], dim=-1)


def _sample_views_torch(
    features: Tensor, points: Tensor, intrinsics: Tensor, world_to_cam: Tensor, target_center: Tensor
) -> Tensor:
    B, S, C, h, w = features.shape
    flat = points.flatten(1, -2)
    pixels, _ = project(flat[:, None].expand(-1, S, -1, -1), intrinsics, world_to_cam)
    grid = pixels * (2.0 / pixels.new_tensor([w - 1, h - 1]).clamp(min=1)) - 1.0
    seen = functional.grid_sample(
        features.flatten(0, 1), grid.reshape(B * S, -1, 1, 2), padding_mode="border", align_corners=True
    )
    seen = seen.reshape(B, S, C, -1).mT
    direction = direction_features(flat, camera_center(world_to_cam), target_center)
    return torch.cat([seen, direction], dim=-1).unflatten(2, points.shape[1:-1])


def _kernels(backend: str) -> ModuleType:
    return importlib.import_module(f"common.ops.view_sampling.{backend}_kernels")


class _SampleViews(torch.autograd.Function):
    """Maps `B S h w C`, points `B P 3`, matrix `B S 3 4`, centers `B S+1 3` to `B S P C+4`."""

    @staticmethod
    def forward(ctx, maps: Tensor, points: Tensor, matrix: Tensor, centers: Tensor, kernels: ModuleType) -> Tensor:
        ctx.save_for_backward(maps, points, matrix, centers)
        ctx.kernels = kernels
        vectors = maps.new_empty(*maps.shape[:2], points.shape[1], maps.shape[-1] + 4)
        kernels.sample_forward(maps, points, matrix, centers, vectors)
        return vectors

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        maps, points, matrix, centers = ctx.saved_tensors
        grad = grad.contiguous()
        grad_maps = grad_points = None
        if ctx.needs_input_grad[0]:
            grad_maps = torch.zeros_like(maps)
            ctx.kernels.backward_maps(grad, points, matrix, grad_maps)
        if ctx.needs_input_grad[1]:
            grad_points = torch.empty_like(points)
            ctx.kernels.backward_points(grad, maps, points, matrix, centers, grad_points)
        return grad_maps, grad_points, None, None, None
