"""GPU kernels of the hash encoding of points with three coordinates; float32.

A program handles points on one level, so that programs which run together read the same level; for the gradient of the
points it goes through the levels, which needs no sum between programs. The gradient of the parameters is added
atomically: its last digits depend on the order.

`levels` is the int64 table `L 4` of offset, size (entries), resolution and whether the level is hashed; corner k of a
cell has the bits (x, y, z).
"""

import functools

import torch
import triton.language as tl
from torch import Tensor
from triton.language import constexpr

from common.ops._triton import block, kernel, launch, tile
from common.ops.hash_grid.layout import HashGridLayout
from common.ops.hash_grid.reference import PRIMES

CORNERS = constexpr(8)
_PRIME_Y, _PRIME_Z = (constexpr(prime) for prime in PRIMES[1:])


@kernel
def _cell(coordinate, scale, exists):
    """Lower corner as an unsigned integer, and how far behind it, along one axis.

    s x + 0.5 is rounded once: the product of two float32 numbers is exact in float64.
    """
    position = (tl.load(coordinate, mask=exists, other=0.0).to(tl.float64) * scale + 0.5).to(tl.float32)
    corner = tl.floor(position)
    # A signed 32-bit integer (saturating; NaN is the lowest), then read as unsigned.
    whole = tl.where(corner > -2147483648.0, tl.minimum(corner, 2147483648.0), -2147483648.0).to(tl.int64)
    return tl.minimum(whole, 2147483647).to(tl.uint32), position - corner


@kernel
def _smooth(f, is_smooth: constexpr):
    """Weight of the upper corner along one axis."""
    return f * f * (3 - 2 * f) if is_smooth else f


@kernel
def _slope(f, is_smooth: constexpr):
    """Derivative of `_smooth`."""
    return 6 * f * (1 - f) if is_smooth else tl.full(f.shape, 1.0, tl.float32)


@kernel
def _entry(row, cx, cy, cz, k: constexpr):
    """Entries of corner k, counted from the first one of all levels; `row` is the level's in the table."""
    x, y, z = cx + (k >> 2), cy + (k >> 1 & 1), cz + (k & 1)
    size, resolution = tl.load(row + 1).to(tl.uint32), tl.load(row + 2).to(tl.uint32)
    if tl.load(row + 3) != 0:  # a hashed level's size is a power of two
        index = (x ^ (y * _PRIME_Y) ^ (z * _PRIME_Z)) & (size - 1)
    else:
        index = (x + y * resolution + z * (resolution * resolution)) % size
    return tl.load(row) + index.to(tl.int64)


@kernel
def _side(w, bit: constexpr):
    return w if bit else 1 - w


@kernel
def _forward_kernel(
    points, table, levels, scales, out, N, L: constexpr, C: constexpr, is_smooth: constexpr, BLOCK: constexpr
):
    """Features of points on a level."""
    level, i, exists = block(N, BLOCK)
    point, scale = points + i.to(tl.int64) * 3, tl.load(scales + level)
    cx, fx = _cell(point, scale, exists)
    cy, fy = _cell(point + 1, scale, exists)
    cz, fz = _cell(point + 2, scale, exists)
    wx, wy, wz = _smooth(fx, is_smooth), _smooth(fy, is_smooth), _smooth(fz, is_smooth)
    channel = tl.arange(0, C)[None, :]
    total = tl.zeros((BLOCK, C), tl.float32)
    for k in tl.static_range(CORNERS):
        weight = _side(wx, k >> 2) * _side(wy, k >> 1 & 1) * _side(wz, k & 1)
        entry = _entry(levels + level * 4, cx, cy, cz, k)[:, None] * C + channel
        total += weight[:, None] * tl.load(table + entry, mask=exists[:, None], other=0.0)
    tl.store(out + (i.to(tl.int64) * L + level)[:, None] * C + channel, total, mask=exists[:, None])


@kernel
def _backward_table_kernel(
    points, grad, levels, scales, grad_table, N, L: constexpr, C: constexpr, is_smooth: constexpr, BLOCK: constexpr
):
    """Add the gradient of the parameters, for points on a level."""
    level, i, exists = block(N, BLOCK)
    point, scale = points + i.to(tl.int64) * 3, tl.load(scales + level)
    cx, fx = _cell(point, scale, exists)
    cy, fy = _cell(point + 1, scale, exists)
    cz, fz = _cell(point + 2, scale, exists)
    wx, wy, wz = _smooth(fx, is_smooth), _smooth(fy, is_smooth), _smooth(fz, is_smooth)
    channel = tl.arange(0, C)[None, :]
    value = tl.load(grad + (i.to(tl.int64) * L + level)[:, None] * C + channel, mask=exists[:, None], other=0.0)
    for k in tl.static_range(CORNERS):
        weight = _side(wx, k >> 2) * _side(wy, k >> 1 & 1) * _side(wz, k & 1)
        entry = _entry(levels + level * 4, cx, cy, cz, k)[:, None] * C + channel
        tl.atomic_add(grad_table + entry, weight[:, None] * value, mask=exists[:, None], sem="relaxed")


@kernel
def _backward_points_kernel(
    points, grad, table, levels, scales, grad_x, N, L: constexpr, C: constexpr, is_smooth: constexpr, BLOCK: constexpr
):
    """Gradient of points: that of each weight is the product of its entry and `grad`."""
    _, i, exists = block(N, BLOCK)
    point = i.to(tl.int64) * 3
    channel = tl.arange(0, C)[None, :]
    gx = tl.zeros((BLOCK,), tl.float32)
    gy = tl.zeros((BLOCK,), tl.float32)
    gz = tl.zeros((BLOCK,), tl.float32)
    for level in range(L):
        scale = tl.load(scales + level)
        cx, fx = _cell(points + point, scale, exists)
        cy, fy = _cell(points + point + 1, scale, exists)
        cz, fz = _cell(points + point + 2, scale, exists)
        wx, wy, wz = _smooth(fx, is_smooth), _smooth(fy, is_smooth), _smooth(fz, is_smooth)
        value = tl.load(grad + (i.to(tl.int64) * L + level)[:, None] * C + channel, mask=exists[:, None], other=0.0)
        along_x = tl.zeros((BLOCK,), tl.float32)
        along_y = tl.zeros((BLOCK,), tl.float32)
        along_z = tl.zeros((BLOCK,), tl.float32)
        for k in tl.static_range(CORNERS):
            entry = _entry(levels + level * 4, cx, cy, cz, k)[:, None] * C + channel
            product = tl.sum(tl.load(table + entry, mask=exists[:, None], other=0.0) * value, axis=1)
            bx, by, bz = _side(wx, k >> 2), _side(wy, k >> 1 & 1), _side(wz, k & 1)
            along_x += ((k >> 2) * 2 - 1) * by * bz * product
            along_y += ((k >> 1 & 1) * 2 - 1) * bx * bz * product
            along_z += ((k & 1) * 2 - 1) * bx * by * product
        gx += scale.to(tl.float32) * _slope(fx, is_smooth) * along_x
        gy += scale.to(tl.float32) * _slope(fy, is_smooth) * along_y
        gz += scale.to(tl.float32) * _slope(fz, is_smooth) * along_z
    tl.store(grad_x + point, gx, mask=exists)
    tl.store(grad_x + point + 1, gy, mask=exists)
    tl.store(grad_x + point + 2, gz, mask=exists)


def forward(x: Tensor, parameters: Tensor, layout: HashGridLayout, smooth: bool) -> Tensor:
    """Features `N L*F`."""
    features = x.new_empty(len(x), layout.num_features)
    _launch(_forward_kernel, layout.n_levels, layout, smooth, x, parameters, *_tables(layout, x.device), features)
    return features


def backward_table(x: Tensor, grad: Tensor, layout: HashGridLayout, smooth: bool, grad_parameters: Tensor) -> None:
    """Add the gradient of the parameters."""
    tables = _tables(layout, x.device)
    _launch(_backward_table_kernel, layout.n_levels, layout, smooth, x, grad, *tables, grad_parameters)


def backward_points(x: Tensor, grad: Tensor, parameters: Tensor, layout: HashGridLayout, smooth: bool) -> Tensor:
    """Gradient of the points."""
    grad_x = torch.empty_like(x)
    _launch(_backward_points_kernel, 1, layout, smooth, x, grad, parameters, *_tables(layout, x.device), grad_x)
    return grad_x


def _launch(kernel, programs_per_block: int, layout: HashGridLayout, smooth: bool, x: Tensor, *arrays: Tensor) -> None:
    C = layout.features_per_level
    sizes = {"L": layout.n_levels, "C": C, "is_smooth": smooth, "BLOCK": tile(C)["BLOCK"]}
    launch(kernel, programs_per_block, len(x), x, *arrays, len(x), **sizes)


@functools.cache
def _tables(layout: HashGridLayout, device: torch.device) -> tuple[Tensor, Tensor]:
    """Once per device: a copy to the GPU for every call would wait for it."""
    is_hashed = [layout.is_hashed(level) for level in range(layout.n_levels)]
    levels = list(zip(layout.offsets[:-1], layout.sizes, layout.resolutions, is_hashed, strict=True))
    scales = torch.tensor(layout.scales, dtype=torch.float64, device=device)
    return torch.tensor(levels, dtype=torch.int64, device=device), scales
