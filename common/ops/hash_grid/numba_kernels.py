"""CPU kernels of the hash encoding of points with three coordinates, float32.

A level's table is far larger than a core's cache, so a kernel computes where a block of points will read and asks for
that memory, and while it is on its way works on the block before. Levels are outermost over a few hundred points: their
features stay in the cache.

`levels` is the int64 table `L 3` of offset, size (entries) and resolution; corner k of a cell has the bits (x, y, z).
"""

import numpy as np
import torch
from torch import Tensor

from common.block_gradient import BLOCK as GRADIENT_BLOCK
from common.ops._compile import device_function, kernel, launch
from common.ops._intrinsics import prefetch_rows_8, scatter_scaled_8, weighted_sum_8
from common.ops.hash_grid.layout import HashGridLayout
from common.ops.hash_grid.reference import PRIMES

BLOCK = 32  # points whose reads are under way at once
CHUNK = 512  # points encoded level by level
CORNERS = 8
SLOT = CORNERS * BLOCK
_PRIME_Y, _PRIME_Z = PRIMES[1:]


def forward(x: Tensor, parameters: Tensor, layout: HashGridLayout, smooth: bool) -> Tensor:
    """Features `N L*F`."""
    features = x.new_empty(len(x), layout.num_features)
    launch(_forward_kernel, len(x), x, parameters, *_sizes(layout), smooth, features.view(-1))
    return features


def backward_table(
    x: Tensor,
    grad: Tensor,
    layout: HashGridLayout,
    smooth: bool,
    grad_parameters: Tensor,
    is_touched: Tensor | None = None,
) -> None:
    """Add the gradient of the parameters, and set the flag of every group of 8 that is added to.

    A level has one thread: no two threads write to the same place.
    """
    parts = min(torch.get_num_threads(), layout.n_levels)
    flags = torch.empty(0, dtype=torch.uint8) if is_touched is None else is_touched
    launch(_backward_table_kernel, parts, parts, x, grad.view(-1), *_sizes(layout), smooth, grad_parameters, flags)


def backward_points(x: Tensor, grad: Tensor, parameters: Tensor, layout: HashGridLayout, smooth: bool) -> Tensor:
    """Gradient of the points."""
    grad_x = torch.zeros_like(x)
    launch(_backward_points_kernel, len(x), x, grad, parameters, *_sizes(layout), smooth, grad_x)
    return grad_x


def mark(x: Tensor, layout: HashGridLayout, is_marked: Tensor) -> None:
    """Set the flag of every group of 8 parameters that encoding the points reads."""
    launch(_mark_kernel, len(x), x, *_sizes(layout), is_marked)


def _sizes(layout: HashGridLayout) -> tuple[Tensor, Tensor, int]:
    levels = list(zip(layout.offsets[:-1], layout.sizes, layout.resolutions, strict=True))
    return torch.tensor(levels), torch.tensor(layout.scales, dtype=torch.float64), layout.features_per_level


@device_function
def _weights(x, first, count, scale, smooth, cell, axis, weight):
    """Lower corner of every point's cell `3 BLOCK`, weights of both sides `2 3 BLOCK`, of all corners `8 BLOCK`."""
    one, two, three = np.float32(1), np.float32(2), np.float32(3)
    for d in range(3):
        for j in range(count):
            position = np.float32(np.float64(x[first + j, d]) * scale + 0.5)
            corner = np.floor(position)
            w = position - corner
            if smooth:
                w = w * w * (three - two * w)
            axis[0, d, j] = one - w
            axis[1, d, j] = w
            whole = min(np.float64(corner), 2147483647.0)
            if not whole > -2147483648.0:  # NaN too
                whole = -2147483648.0
            cell[d, j] = np.uint32(np.int32(whole))
    for k in range(CORNERS):
        for j in range(count):
            weight[k, j] = axis[k >> 2, 0, j] * axis[(k >> 1) & 1, 1, j] * axis[k & 1, 2, j]


@device_function
def _indices(cell, count, level, index):
    """Entries of the corners `8 BLOCK`, from the level's first one."""
    size, resolution = level[1], level[2]
    is_hashed = resolution * resolution * resolution > size
    for k in range(CORNERS):
        dx, dy, dz = np.uint32(k >> 2), np.uint32((k >> 1) & 1), np.uint32(k & 1)
        if is_hashed:  # a hashed level's size is a power of two
            mask = np.uint32(size - 1)
            for j in range(count):
                y = np.uint32(cell[1, j] + dy) * np.uint32(_PRIME_Y)
                z = np.uint32(cell[2, j] + dz) * np.uint32(_PRIME_Z)
                index[k, j] = np.uint32(np.uint32(cell[0, j] + dx) ^ np.uint32(y) ^ np.uint32(z)) & mask
        else:
            row, plane = np.uint32(resolution), np.uint32(resolution * resolution)
            for j in range(count):
                y = np.uint32(cell[1, j] + dy) * row
                z = np.uint32(cell[2, j] + dz) * plane
                entry = np.uint32(np.uint32(cell[0, j] + dx) + np.uint32(y) + np.uint32(z))
                # Modulo without an integer division, for which there are no vector instructions: the quotient of
                # 32-bit integers in float64 is right or, where it is whole, one too small.
                quotient = np.uint32(np.int64(np.float64(entry) / np.float64(size)))
                rest = np.uint32(entry - np.uint32(quotient * np.uint32(size)))
                index[k, j] = rest if rest < size else np.uint32(rest - np.uint32(size))


@device_function
def _num_blocks(chunk, end, levels):
    return (end - chunk + BLOCK - 1) // BLOCK * len(levels)


@device_function
def _prepare(number, chunk, end, x, levels, scales, smooth, cell, axis, index, weight):
    """Find the entries and weights of the `number`-th block of a chunk; its level, first point and number of points.

    Behind the last block there are no points.
    """
    blocks = (end - chunk + BLOCK - 1) // BLOCK
    level, first = number // blocks, chunk + number % blocks * BLOCK
    if level == len(levels):
        return level - 1, first, 0
    count = min(BLOCK, end - first)
    _weights(x, first, count, scales[level], smooth, cell, axis, weight)
    _indices(cell, count, levels[level], index)
    return level, first, count


@device_function
def _sum_entries(table, origin, features, index, weight, at, out, place):
    """As `weighted_sum_8`, for any number of features."""
    for c in range(features):
        total = np.float32(0)
        for k in range(CORNERS):
            entry = origin + np.int64(index[at + k * BLOCK]) * features
            total += weight[at + k * BLOCK] * table[entry + c]
        out[place + c] = total


@device_function
def _add_to_entries(table, origin, features, index, weight, at, grad, place):
    """As `scatter_scaled_8`, for any number of features."""
    for k in range(CORNERS):
        entry = origin + np.int64(index[at + k * BLOCK]) * features
        for c in range(features):
            table[entry + c] += weight[at + k * BLOCK] * grad[place + c]


@device_function
def _flag_entries(flags, origin, features, index, count):
    for k in range(CORNERS):
        for j in range(count):
            flags[(origin + np.int64(index[k, j]) * features) // GRADIENT_BLOCK] = 1


@kernel
def _forward_kernel(start, stop, x, table, levels, scales, features, smooth, out):
    """Features `N*L*F`, for a range of points."""
    cell, axis = np.empty((3, BLOCK), np.uint32), np.empty((2, 3, BLOCK), np.float32)
    slot_index, slot_weight = np.empty((2, CORNERS, BLOCK), np.uint32), np.empty((2, CORNERS, BLOCK), np.float32)
    index, weight, width = slot_index.reshape(-1), slot_weight.reshape(-1), features * len(levels)
    for chunk in range(start, stop, CHUNK):
        end = min(chunk + CHUNK, stop)
        level, first, count = _prepare(
            0, chunk, end, x, levels, scales, smooth, cell, axis, slot_index[0], slot_weight[0]
        )
        for j in range(count):
            prefetch_rows_8(table, levels[level, 0] * features, features, index, j, BLOCK)
        for number in range(_num_blocks(chunk, end, levels)):
            slot, other = number % 2, 1 - number % 2
            following, next_first, many = _prepare(
                number + 1, chunk, end, x, levels, scales, smooth, cell, axis, slot_index[other], slot_weight[other]
            )
            origin, next_origin = levels[level, 0] * features, levels[following, 0] * features
            here, there = slot * SLOT, other * SLOT
            for j in range(max(count, many)):
                if j < many:
                    prefetch_rows_8(table, next_origin, features, index, there + j, BLOCK)
                if j < count:
                    place = (first + j) * width + level * features
                    if features == 8:
                        weighted_sum_8(table, origin, index, weight, here + j, BLOCK, out, place)
                    else:
                        _sum_entries(table, origin, features, index, weight, here + j, out, place)
            level, first, count = following, next_first, many


@kernel
def _backward_table_kernel(start, stop, parts, x, grad, all_levels, all_scales, features, smooth, table, flags):
    """Add the gradient of the parameters, for a range of parts: every `parts`-th level, so that all take as long."""
    cell, axis = np.empty((3, BLOCK), np.uint32), np.empty((2, 3, BLOCK), np.float32)
    slot_index, slot_weight = np.empty((2, CORNERS, BLOCK), np.uint32), np.empty((2, CORNERS, BLOCK), np.float32)
    index, weight, width = slot_index.reshape(-1), slot_weight.reshape(-1), features * len(all_levels)
    for part in range(start, stop):
        levels, scales = all_levels[part::parts], all_scales[part::parts]
        for chunk in range(0, len(x), CHUNK):
            end = min(chunk + CHUNK, len(x))
            level, first, count = _prepare(
                0, chunk, end, x, levels, scales, smooth, cell, axis, slot_index[0], slot_weight[0]
            )
            for j in range(count):
                prefetch_rows_8(table, levels[level, 0] * features, features, index, j, BLOCK)
            for number in range(_num_blocks(chunk, end, levels)):
                slot, other = number % 2, 1 - number % 2
                following, next_first, many = _prepare(
                    number + 1, chunk, end, x, levels, scales, smooth, cell, axis, slot_index[other], slot_weight[other]
                )
                origin, next_origin = levels[level, 0] * features, levels[following, 0] * features
                here, there = slot * SLOT, other * SLOT
                if len(flags) > 0:
                    _flag_entries(flags, origin, features, slot_index[slot], count)
                for j in range(max(count, many)):
                    if j < many:
                        prefetch_rows_8(table, next_origin, features, index, there + j, BLOCK)
                    if j < count:
                        place = (first + j) * width + (level * parts + part) * features
                        if features == 8:
                            scatter_scaled_8(table, origin, index, weight, here + j, BLOCK, grad, place)
                        else:
                            _add_to_entries(table, origin, features, index, weight, here + j, grad, place)
                level, first, count = following, next_first, many


@kernel
def _backward_points_kernel(start, stop, x, grad, table, levels, scales, features, smooth, grad_x):
    """Add the gradient of a range of points: that of each weight is the product of its entry and `grad`."""
    cell, index = np.empty((3, BLOCK), np.uint32), np.empty((CORNERS, BLOCK), np.uint32)
    axis, weight = np.empty((2, 3, BLOCK), np.float32), np.empty((CORNERS, BLOCK), np.float32)
    slope, flat_index = np.empty(3, np.float32), index.reshape(-1)
    for level in range(len(levels)):
        origin, column = levels[level, 0] * features, level * features
        for first in range(start, stop, BLOCK):
            count = min(BLOCK, stop - first)
            _weights(x, first, count, scales[level], smooth, cell, axis, weight)
            _indices(cell, count, levels[level], index)
            for j in range(count):
                prefetch_rows_8(table, origin, features, flat_index, j, BLOCK)
            for j in range(count):
                for d in range(3):
                    slope[d] = np.float32(scales[level])
                    if smooth:
                        position = np.float32(np.float64(x[first + j, d]) * scales[level] + 0.5)
                        f = position - np.floor(position)
                        slope[d] *= np.float32(6) * f * (np.float32(1) - f)
                for k in range(CORNERS):
                    i, product = origin + np.int64(index[k, j]) * features, np.float32(0)
                    for c in range(features):
                        product += table[i + c] * grad[first + j, column + c]
                    bx, by, bz = k >> 2, (k >> 1) & 1, k & 1
                    wx, wy, wz = axis[bx, 0, j], axis[by, 1, j], axis[bz, 2, j]
                    grad_x[first + j, 0] += np.float32(2 * bx - 1) * slope[0] * wy * wz * product
                    grad_x[first + j, 1] += np.float32(2 * by - 1) * slope[1] * wx * wz * product
                    grad_x[first + j, 2] += np.float32(2 * bz - 1) * slope[2] * wx * wy * product


@kernel
def _mark_kernel(start, stop, x, levels, scales, features, is_marked):
    """Set flags, for a range of points. Threads may set the same flag: to the same value."""
    cell, index = np.empty((3, BLOCK), np.uint32), np.empty((CORNERS, BLOCK), np.uint32)
    axis, weight = np.empty((2, 3, BLOCK), np.float32), np.empty((CORNERS, BLOCK), np.float32)
    for level in range(len(levels)):
        for first in range(start, stop, BLOCK):
            count = min(BLOCK, stop - first)
            _weights(x, first, count, scales[level], False, cell, axis, weight)
            _indices(cell, count, levels[level], index)
            _flag_entries(is_marked, levels[level, 0] * features, features, index, count)
