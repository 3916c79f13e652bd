"""Plane sweep: source features seen by every target pixel at every hypothetical depth, and their aggregation.

A target pixel (u, v) at depth d lands in a source view at

    z' (x, y, 1) = M[:, :3] (u, v, 1) + M[:, 3] / d         M from `common.feature_sampling.target_to_source`

The features are read there by bilinear interpolation between pixel centres, zero outside the source image; a point
behind the source camera is not treated specially (z' is kept above 1e-6).

    mean_c = 1/S sum_s f_sc        variance_c = 1/S sum_s f_sc^2 - mean_c^2        context_c = mean_c^2 / S

`sweep_variance` fuses the warp with this aggregation: the features seen in the single views are never stored. (The
context is what the released GeFu computes; a cascade that wants the variance alone takes the first half.)

Results have channels innermost in memory, whatever the order of axes says.
"""

import importlib
from collections.abc import Callable
from functools import partial
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from common.ops._backends import Backend, choose
from common.parallel import run_in_threads
from common.rays import pixel_grid


def warp_features(
    features: Float[Tensor, "B S C h w"],
    matrix: Float[Tensor, "B S 3 4"],
    depth: Float[Tensor, "B D H W"],
    backend: Backend = "auto",
) -> Float[Tensor, "B S C D H W"]:
    """Source features seen by every target pixel at every hypothesis.

    Differentiable once in `features` and `depth` (the reference also in `matrix`, and as often as PyTorch's sampling).

    Args:
        features: Of the source views.
        matrix: Target to source, see the module.
        depth: Hypotheses of every target pixel, z in the target camera, not zero.
        backend: See `common.ops`.
    """
    fast = _available(matrix)
    chosen = choose("warp_features", backend, (features, matrix, depth), fast)
    if chosen == "torch":
        return _warp_features_torch(features, matrix, depth)
    warped = _Warp.apply(_innermost(features), matrix.contiguous(), depth.contiguous(), _kernels(chosen))
    return warped.permute(0, 1, 5, 2, 3, 4)


def sweep_variance(
    features: Float[Tensor, "B S C h w"],
    matrix: Float[Tensor, "B S 3 4"],
    depth: Float[Tensor, "B D H W"],
    backend: Backend = "auto",
) -> Float[Tensor, "B 2*C D H W"]:
    """Variance over the views, then context, of the features seen at every hypothesis.

    Differentiable once in `features`; where `depth` needs a gradient the reference runs (a named back-end refuses).

    Args:
        features: Of the source views.
        matrix: Target to source, see the module.
        depth: Hypotheses of every target pixel, z in the target camera, not zero.
        backend: See `common.ops`.
    """
    fast = () if depth.requires_grad and torch.is_grad_enabled() else _available(matrix)
    chosen = choose("sweep_variance", backend, (features, matrix, depth), fast)
    if chosen == "torch":
        return _sweep_variance_torch(features, matrix, depth)
    volume = _Variance.apply(_innermost(features), matrix.contiguous(), depth.contiguous(), _kernels(chosen))
    return volume.permute(0, 4, 1, 2, 3)


def sweep_adaptive(
    features: Float[Tensor, "B S C h w"],
    matrix: Float[Tensor, "B S 3 4"],
    depth: Float[Tensor, "B D H W"],
    target: Float[Tensor, "B C H W"],
    weigh: Callable[[Tensor, int], Tensor],
    backend: Backend = "auto",
) -> Float[Tensor, "B 2*C D H W"]:
    """Cost and context aggregated over the views with weights that depend on how well each view fits the target.

        e_s = (f_s - target)^2    w_s = weigh(e_s)    cost = 1/S sum_s w_s e_s    context = 1/S sum_s w_s f_s

    One plane after the other: what the single views see is stored for one plane at a time. The kernels have no
    gradient; where one is needed the reference runs (a named back-end refuses).

    Args:
        features: Of the source views.
        matrix: Target to source, see the module.
        depth: Hypotheses of every target pixel, z in the target camera, not zero.
        target: The target's own feature, the same at all hypotheses.
        weigh: From the squared differences `B*S C H W` of a plane, and its index, to weights `B*S 1 H W`.
        backend: See `common.ops`.
    """
    tensors = features, matrix, depth, target
    is_constant = not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors))
    chosen = choose("sweep_adaptive", backend, tensors, ("numba", "triton") if is_constant else ())
    aggregate = _adaptive_plane_torch if chosen == "torch" else partial(_adaptive_plane_fast, _kernels(chosen))
    features, matrix, target = _innermost(features), matrix.contiguous(), target.permute(0, 2, 3, 1).contiguous()
    volume = features.new_empty(*depth.shape, 2 * features.shape[-1])

    def sweep(plane: int) -> None:
        part = depth[:, plane : plane + 1].contiguous()
        volume[:, plane] = aggregate(features, matrix, part, target, lambda squared: weigh(squared, plane))[:, 0]

    planes = [partial(sweep, plane) for plane in range(depth.shape[1])]
    if features.device.type == "cpu" and is_constant and chosen != "triton":  # whose interpreter knows one program
        run_in_threads(planes)
    else:
        for plane in planes:
            plane()
    return volume.permute(0, 4, 1, 2, 3)


def _available(matrix: Tensor) -> tuple[str, ...]:
    """The kernels treat the cameras as constants."""
    return () if matrix.requires_grad and torch.is_grad_enabled() else ("numba", "triton")


def _innermost(features: Float[Tensor, "B S C h w"]) -> Float[Tensor, "B S h w C"]:
    return features.permute(0, 1, 3, 4, 2).contiguous()


def warp_pixels(matrix: Float[Tensor, "B S 3 4"], depth: Float[Tensor, "B D H W"]) -> Float[Tensor, "B S D H W 2"]:
    """Source pixels (x, y) of every target pixel at every hypothesis."""
    _, _, H, W = depth.shape
    pixels = pixel_grid(H, W, like=matrix)
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
    rotated = torch.einsum("bsij,hwj->bsihw", matrix[..., :3], homogeneous)
    projected = rotated[:, :, :, None] + matrix[..., 3, None, None, None] / depth[:, None, None]
    x, y, z = projected.unbind(dim=2)
    z = z.clamp(min=1e-6)
    return torch.stack([x / z, y / z], dim=-1)


def _warp_features_torch(features: Tensor, matrix: Tensor, depth: Tensor) -> Tensor:
    B, S, C, h, w = features.shape
    _, D, H, W = depth.shape
    size = matrix.new_tensor([w - 1, h - 1]).clamp(min=1)
    grid = (warp_pixels(matrix, depth) * (2.0 / size) - 1.0).reshape(B * S, D * H, W, 2)
    warped = functional.grid_sample(features.flatten(0, 1), grid, padding_mode="zeros", align_corners=True)
    return warped.reshape(B, S, C, D, H, W)


def _sweep_variance_torch(features: Tensor, matrix: Tensor, depth: Tensor) -> Tensor:
    warped = _warp_features_torch(features, matrix, depth)
    mean_square = warped.mean(dim=1).square()
    variance = warped.square().mean(dim=1) - mean_square
    return torch.cat([variance, mean_square / warped.shape[1]], dim=1)


def _adaptive_plane_torch(
    features: Tensor, matrix: Tensor, depth: Tensor, target: Tensor, weigh: Callable[[Tensor], Tensor]
) -> Tensor:
    warped = _warp_features_torch(features.permute(0, 1, 4, 2, 3), matrix, depth)[:, :, :, 0]
    squared = (warped - target.permute(0, 3, 1, 2)[:, None]).square()
    weight = weigh(squared.flatten(0, 1)).unflatten(0, warped.shape[:2])
    volume = torch.cat([(weight * squared).mean(dim=1), (weight * warped).mean(dim=1)], dim=1)
    return volume.permute(0, 2, 3, 1)[:, None]


def _adaptive_plane_fast(
    kernels: ModuleType,
    features: Tensor,
    matrix: Tensor,
    depth: Tensor,
    target: Tensor,
    weigh: Callable[[Tensor], Tensor],
) -> Tensor:
    B, S, _, _, C = features.shape
    warped = features.new_empty(B, S, *depth.shape[1:], C)
    squared = torch.empty_like(warped)
    kernels.difference_forward(features, matrix, depth, target, warped, squared)
    weight = weigh(squared[:, :, 0].flatten(0, 1).permute(0, 3, 1, 2)).reshape(B, S, *depth.shape[1:])
    volume = features.new_empty(*depth.shape, 2 * C)
    kernels.adaptive_forward(warped, squared, weight.contiguous(), volume)
    return volume


def _kernels(backend: str) -> ModuleType:
    return importlib.import_module(f"common.ops.plane_sweep.{backend}_kernels")


class _Warp(torch.autograd.Function):
    """Channels innermost: features `B S h w C` to `B S D H W C`."""

    @staticmethod
    def forward(ctx, features: Tensor, matrix: Tensor, depth: Tensor, kernels: ModuleType) -> Tensor:
        ctx.save_for_backward(features, matrix, depth)
        ctx.kernels = kernels
        warped = features.new_empty(*features.shape[:2], *depth.shape[1:], features.shape[-1])
        kernels.warp_forward(features, matrix, depth, warped)
        return warped

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None, None]:
        features, matrix, depth = ctx.saved_tensors
        grad = grad.contiguous()
        grad_features = grad_depth = None
        if ctx.needs_input_grad[0]:
            grad_features = torch.zeros_like(features)
            ctx.kernels.warp_backward_features(grad, matrix, depth, grad_features)
        if ctx.needs_input_grad[2]:
            grad_depth = torch.empty_like(depth)
            ctx.kernels.warp_backward_depth(grad, features, matrix, depth, grad_depth)
        return grad_features, None, grad_depth, None


class _Variance(torch.autograd.Function):
    """Channels innermost: features `B S h w C` to `B D H W 2C`."""

    @staticmethod
    def forward(ctx, features: Tensor, matrix: Tensor, depth: Tensor, kernels: ModuleType) -> Tensor:
        ctx.save_for_backward(features, matrix, depth)
        ctx.kernels = kernels
        volume = features.new_empty(*depth.shape, 2 * features.shape[-1])
        kernels.variance_forward(features, matrix, depth, volume)
        return volume

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None, None]:
        features, matrix, depth = ctx.saved_tensors
        grad_features = torch.zeros_like(features)
        ctx.kernels.variance_backward(grad.contiguous(), features, matrix, depth, grad_features)
        return grad_features, None, None, None
