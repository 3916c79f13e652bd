"""The hash encoding in plain tensor operations: any device, any number of derivatives, also in the points."""

import itertools
import math

import torch
from torch import Tensor
from torch.nn import functional

from common.ops.hash_grid.layout import HashGridLayout

PRIMES = (1, 2654435761, 805459861)
_UINT32 = 0xFFFFFFFF


def hash_encode_torch(x: Tensor, parameters: Tensor, layout: HashGridLayout, interpolation: str) -> Tensor:
    """`common.ops.hash_grid.hash_encode`, level after level."""
    F = layout.features_per_level
    tables = parameters.split([size * F for size in layout.sizes])
    levels = zip(tables, layout.scales, layout.resolutions, strict=True)
    return torch.cat([_encode_level(x, table.view(-1, F), *level, interpolation) for table, *level in levels], dim=-1)


def _encode_level(x: Tensor, table: Tensor, scale: float, resolution: int, interpolation: str) -> Tensor:
    # s x + 0.5 is rounded once, as a fused multiply-add does; the float32 product is exact in float64.
    position = (x.double() * scale + 0.5).to(x.dtype)
    cell = position.detach().floor()
    weight = position - cell
    if interpolation == "smoothstep":
        weight = weight * weight * (3 - 2 * weight)
    D = x.shape[-1]
    corners = torch.tensor(list(itertools.product((0, 1), repeat=D)), device=x.device)
    # Integers as the GPU makes them: floor as a signed 32-bit integer (saturating), then read as unsigned.
    points = cell.double().clamp(-(2**31), 2**31 - 1).long()[:, None] + corners
    per_axis = torch.where(corners.bool(), weight[:, None], 1 - weight[:, None])
    per_corner = math.prod(per_axis.unbind(-1))
    entries = functional.embedding(_index(points & _UINT32, resolution, len(table)), table)
    return torch.einsum("nc,ncf->nf", per_corner, entries)


def _index(points: Tensor, resolution: int, size: int) -> Tensor:
    """Entry of every grid point `... D` (32-bit unsigned coordinates) in a level of `size` entries."""
    axes = points.unbind(-1)
    if resolution ** len(axes) <= size:
        index = sum(axis * resolution**power for power, axis in enumerate(axes))
    else:
        index = torch.zeros_like(axes[0])
        for axis, prime in zip(axes, PRIMES, strict=False):
            index = index ^ (axis * prime)
    return (index & _UINT32) % size
