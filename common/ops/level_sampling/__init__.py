"""Trilinear look-up in the levels of a feature volume at once, for inference: values, and their slopes by position.

A level is an array X Y Z C over the cube [-1, 1]^3, the outermost voxels' centres on its faces; outside of it are
zeros. What the levels say lies side by side. Nothing is recorded for gradients: a caller that knows the derivative of
its result by the values multiplies it by the slopes.
"""

import importlib
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from common.ops._backends import Backend, choose
from common.ops.grid_sample import grid_sample

Levels = Sequence[Float[Tensor, "_ _ _ _"]]


@torch.no_grad()
def sample_levels(levels: Levels, points: Float[Tensor, "P 3"], backend: Backend = "auto") -> Float[Tensor, "P LC"]:
    """Values at points."""
    if choose("sample_levels", backend, (*levels, points), ("numba",)) == "torch":
        return _sample_levels_torch(levels, points)
    values = points.new_empty(len(points), sum(level.shape[-1] for level in levels))
    _kernels().sample(levels, points.contiguous(), values)
    return values


@torch.no_grad()
def sample_levels_with_slopes(
    levels: Levels, points: Float[Tensor, "P 3"], backend: Backend = "auto"
) -> tuple[Float[Tensor, "P LC"], Float[Tensor, "3 P LC"]]:
    """Values at points, and their derivatives by x, y and z (inside a cell; across its border they jump)."""
    if choose("sample_levels_with_slopes", backend, (*levels, points), ("numba",)) == "torch":
        return _sample_levels_with_slopes_torch(levels, points)
    values = points.new_empty(len(points), sum(level.shape[-1] for level in levels))
    slopes = values.new_empty(3, *values.shape)
    _kernels().sample_with_slopes(levels, points.contiguous(), values, slopes)
    return values, slopes


def _sample_levels_torch(levels: Levels, points: Tensor) -> Tensor:
    grid = points.flip(-1)[None]
    return torch.cat([grid_sample(level.movedim(-1, 0)[None], grid, align_corners=True)[0] for level in levels]).T


def _sample_levels_with_slopes_torch(levels: Levels, points: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        points = points.detach().requires_grad_()
        values = _sample_levels_torch(levels, points)
        slopes = [torch.autograd.grad(channel.sum(), points, retain_graph=True)[0].T for channel in values.T]
    return values.detach(), torch.stack(slopes, dim=-1)


def _kernels():
    return importlib.import_module("common.ops.level_sampling.numba_kernels")
