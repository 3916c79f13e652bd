"""Bilinear and trilinear sampling, zero outside, that can be differentiated as often as a loss needs.

Sizes are any, square or not. A grid holds coordinates in [-1, 1], the last axis of the array first (x, y, z for an
array of planes, rows, columns). With N samples along an axis a coordinate t lies at

    (t + 1) / 2 (N - 1)          align_corners: -1 and 1 are the centres of the outermost samples
    ((t + 1) N - 1) / 2          otherwise: -1 and 1 are their outer borders

PyTorch's `grid_sample` computes the same; its second derivative depends on version, dimension and device, which is
found out by trying. Where it has none, and where anyone asks, the corners of each cell are gathered once and weighted
in plain tensor operations: every derivative then follows from the weights, the array is read once and written once,
and any order of differentiation is exact (inside a cell; across its border the derivative jumps).
"""

import functools
import itertools
import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Implementation = Literal["auto", "native", "gather"]


def grid_sample(
    source: Float[Tensor, "B C *size"],
    grid: Float[Tensor, "B *points d"],
    align_corners: bool,
    implementation: Implementation = "auto",
) -> Float[Tensor, "B C *points"]:
    """Values of `source` at the points of `grid`.

    Differentiable twice in both arguments, with `gather` any number of times.

    Args:
        source: Array of d axes, 2 or 3.
        grid: See the module.
        align_corners: See the module.
        implementation: `auto` takes PyTorch's where it can be differentiated twice or nobody differentiates.

    Raises:
        ValueError: The grid's last axis is not as long as the source has axes, or that number is not 2 or 3.
    """
    axes = source.dim() - 2
    if axes not in (2, 3) or grid.shape[-1] != axes:
        raise ValueError(
            f"expected an array of 2 or 3 axes and as many coordinates per point, got an array {tuple(source.shape)} "
            f"and a grid {tuple(grid.shape)}"
        )
    if implementation == "auto":
        is_constant = not (torch.is_grad_enabled() and (source.requires_grad or grid.requires_grad))
        native = is_constant or has_native_second_derivative(axes, source.device.type)
        implementation = "native" if native else "gather"
    sample = _sample_native if implementation == "native" else _sample_gathered
    return sample(source, grid.flatten(1, -2), align_corners).unflatten(2, grid.shape[1:-1])


@functools.cache
def has_native_second_derivative(axes: int, device: str) -> bool:
    """PyTorch's own sampling of 2 or 3 axes can be differentiated twice on this device, with the right result."""
    with torch.enable_grad():
        sizes = (1, 2, *range(3, 3 + axes))
        source = torch.linspace(-7, 9, math.prod(sizes), dtype=torch.float64, device=device).sin().view(sizes)
        grid = torch.linspace(-0.8, 0.9, 5 * axes, dtype=torch.float64, device=device).view(1, 5, axes)
        try:
            got, want = (_second_derivatives(sample, source, grid) for sample in (_sample_native, _sample_gathered))
        except (RuntimeError, NotImplementedError):  # what PyTorch raises for a derivative it does not have
            return False
    return all(torch.allclose(one, other) for one, other in zip(got, want, strict=True))


def _second_derivatives(sample, source: Tensor, grid: Tensor) -> tuple[Tensor, ...]:
    source, grid = source.clone().requires_grad_(), grid.clone().requires_grad_()
    first = torch.autograd.grad(sample(source, grid, True).square().sum(), (source, grid), create_graph=True)
    return torch.autograd.grad(sum(each.square().sum() for each in first), (source, grid))


def _sample_native(source: Tensor, grid: Float[Tensor, "B P d"], align_corners: bool) -> Float[Tensor, "B C P"]:
    spread = grid.unflatten(1, (1,) * (source.dim() - 3) + (-1,))
    sampled = functional.grid_sample(source, spread, padding_mode="zeros", align_corners=align_corners)
    return sampled.flatten(2)


def _sample_gathered(source: Tensor, grid: Float[Tensor, "B P d"], align_corners: bool) -> Float[Tensor, "B C P"]:
    B, C, *size = source.shape
    index, weight = corners(grid, tuple(size), align_corners)
    flat = source.flatten(2)
    values = torch.stack([flat[b].index_select(1, index[b].flatten()) for b in range(B)])
    return (values.view(B, C, *index.shape[1:]) * weight[:, None]).sum(dim=-1)


def corners(
    grid: Float[Tensor, "B P d"], size: tuple[int, ...], align_corners: bool
) -> tuple[Tensor, Float[Tensor, "B P K"]]:
    """Flat indices (valid everywhere) and weights (zero for what is outside) of the 2^d corners of every point's cell.

    The weights are differentiable functions of the grid; not a number lies outside.
    """
    per_axis = []
    for axis, length in enumerate(size):
        coordinate = grid[..., len(size) - 1 - axis]
        position = (coordinate + 1) * ((length - 1) / 2) if align_corners else ((coordinate + 1) * length - 1) / 2
        first = position.detach().nan_to_num(-2.0).clamp(-2, length).floor()
        after = position - first
        taps = []
        for number, weight in ((first, 1 - after), (first + 1, after)):
            is_inside = (number >= 0) & (number < length)
            taps.append((number.clamp(0, length - 1).long(), torch.where(is_inside, weight, 0.0)))
        per_axis.append(taps)
    indices, weights = [], []
    for taps in itertools.product(*per_axis):
        flat, weight = taps[0]
        for (number, factor), length in zip(taps[1:], size[1:], strict=True):
            flat, weight = flat * length + number, weight * factor
        indices.append(flat)
        weights.append(weight)
    return torch.stack(indices, dim=-1), torch.stack(weights, dim=-1)
