"""Trilinear interpolation in a volume, zero outside.

Coordinates (x, y, z) run from 0 to 1 across (W, H, D); 0 and 1 are the centres of the outermost voxels.
"""

import importlib
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from common.ops._backends import Backend, choose


def sample_volume(
    volume: Float[Tensor, "B C D H W"], coordinates: Float[Tensor, "B *points 3"], backend: Backend = "auto"
) -> Float[Tensor, "B *points C"]:
    """Values of the volume at points, channels last.

    Differentiable once in both arguments (the reference as often as PyTorch's sampling).

    Args:
        volume: Features; channels innermost in memory are read without a copy.
        coordinates: See the module.
        backend: See `common.ops`.
    """
    chosen = choose("sample_volume", backend, (volume, coordinates), ("numba", "triton"))
    if chosen == "torch":
        return _sample_volume_torch(volume, coordinates)
    innermost = volume.permute(0, 2, 3, 4, 1).contiguous()
    samples = _SampleVolume.apply(innermost, coordinates.flatten(1, -2).contiguous(), _kernels(chosen))
    return samples.unflatten(1, coordinates.shape[1:-1])


def _sample_volume_torch(volume: Tensor, coordinates: Tensor) -> Tensor:
    grid = (coordinates * 2.0 - 1.0).flatten(1, -2)[:, None, None]
    sampled = functional.grid_sample(volume, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return sampled[:, :, 0, 0].mT.unflatten(1, coordinates.shape[1:-1])


def _kernels(backend: str) -> ModuleType:
    return importlib.import_module(f"common.ops.volume_sampling.{backend}_kernels")


class _SampleVolume(torch.autograd.Function):
    """Volume `B D H W C`, coordinates `B P 3` to `B P C`."""

    @staticmethod
    def forward(ctx, volume: Tensor, coordinates: Tensor, kernels: ModuleType) -> Tensor:
        ctx.save_for_backward(volume, coordinates)
        ctx.kernels = kernels
        samples = volume.new_empty(*coordinates.shape[:2], volume.shape[-1])
        kernels.sample_forward(volume, coordinates, samples)
        return samples

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        volume, coordinates = ctx.saved_tensors
        grad = grad.contiguous()
        grad_volume = grad_coordinates = None
        if ctx.needs_input_grad[0]:
            grad_volume = torch.zeros_like(volume)
            ctx.kernels.backward_volume(grad, coordinates, grad_volume)
        if ctx.needs_input_grad[1]:
            grad_coordinates = torch.empty_like(coordinates)
            ctx.kernels.backward_coordinates(grad, volume, coordinates, grad_coordinates)
        return grad_volume, grad_coordinates, None
