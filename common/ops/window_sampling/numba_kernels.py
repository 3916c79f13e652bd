"""CPU kernels of the windows, channels innermost.

Arrays: maps `V h w C`, positions `V P 2`, seen `V P C` (only the carried channels where others are compared),
similarity `P G`. A window is separable: along each axis the lookups of all its positions are one weighted sum of a few
neighbouring pixels (4 for 3 x 3 positions one pixel apart), so that a position costs 4 x 4 reads instead of 9 x 4.
Elements are indexed in place: a slice costs more than its use.
"""

import math

import numpy as np
import torch
from torch import Tensor

from common.ops._compile import device_function, kernel, launch

MIN_NORM = 1e-8
# Pixels of a row that are read together; weights are padded with zeros to a multiple of it.
TOGETHER = 4


@device_function
def _taps(position, size, radius, dilation, scale, weights):
    """Fill the weights of pixels first, first + 1, ...; return first and how many. NaN is taken as pixel 0."""
    center = (position + 1.0) * 0.5 * (size - 1)
    share = 1.0 / (2 * radius + 1)
    for k in range(len(weights)):
        weights[k] = 0
    first = 0
    count = 0
    for t in range(2 * radius + 1):
        place = (center + (t - radius) * dilation) * scale
        place = min(place, size - 1.0) if place > 0 else 0.0
        lower = int(place)
        if t == 0:
            first = lower
        fraction = place - lower
        weights[lower - first] += (1 - fraction) * share
        weights[lower - first + 1] += fraction * share
        count = lower - first + 2
    return first, count


@device_function
def _pixel(v, y, x, h, w, C):
    """Index of a pixel's first channel; beyond the border that of the border."""
    return np.uint64(((v * h + min(y, h - 1)) * w + min(x, w - 1)) * C)


@device_function
def _read(maps, v, x0, y0, nx, ny, wx, wy, begin, size, out, at):
    """out[at : at + size] = the weighted sum of channels begin, ..., begin + size - 1 of ny rows of nx pixels.

    Two rows of four pixels go through the channels together. Unsigned indices into one dimension: numba would look for
    negative ones at every element.
    """
    h, w, C = maps.shape[1:]
    flat = maps.reshape(-1)
    n, at, begin = np.uint64(size), np.uint64(at), np.uint64(begin)
    for ky in range(0, ny, 2):
        y1, y2 = y0 + ky, y0 + ky + 1
        for kx in range(0, nx, TOGETHER):
            x1, x2 = x0 + kx, x0 + kx + 1
            a1, b1 = begin + _pixel(v, y1, x1, h, w, C), begin + _pixel(v, y1, x2, h, w, C)
            a2, b2 = begin + _pixel(v, y2, x1, h, w, C), begin + _pixel(v, y2, x2, h, w, C)
            p1, q1, p2, q2 = wy[ky] * wx[kx], wy[ky] * wx[kx + 1], wy[ky + 1] * wx[kx], wy[ky + 1] * wx[kx + 1]
            is_first = ky == 0 and kx == 0
            if nx - kx <= 2:
                for c in range(n):
                    value = p1 * flat[a1 + c] + q1 * flat[b1 + c] + p2 * flat[a2 + c] + q2 * flat[b2 + c]
                    out[at + c] = value if is_first else out[at + c] + value
                continue
            x3, x4 = x0 + kx + 2, x0 + kx + 3
            d1, e1 = begin + _pixel(v, y1, x3, h, w, C), begin + _pixel(v, y1, x4, h, w, C)
            d2, e2 = begin + _pixel(v, y2, x3, h, w, C), begin + _pixel(v, y2, x4, h, w, C)
            r1, s1, r2, s2 = wy[ky] * wx[kx + 2], wy[ky] * wx[kx + 3], wy[ky + 1] * wx[kx + 2], wy[ky + 1] * wx[kx + 3]
            for c in range(n):
                first = p1 * flat[a1 + c] + q1 * flat[b1 + c] + r1 * flat[d1 + c] + s1 * flat[e1 + c]
                second = p2 * flat[a2 + c] + q2 * flat[b2 + c] + r2 * flat[d2 + c] + s2 * flat[e2 + c]
                value = first + second
                out[at + c] = value if is_first else out[at + c] + value


@device_function
def _add(maps, v, x0, y0, nx, ny, wx, wy, begin, size, values, at):
    """The transpose of `_read`: add values[at : at + size] to the pixels, weighted."""
    h, w, C = maps.shape[1:]
    flat = maps.reshape(-1)
    n, at = np.uint64(size), np.uint64(at)
    for ky in range(ny):
        row = (v * h + min(y0 + ky, h - 1)) * w
        for kx in range(nx):
            first = np.uint64((row + min(x0 + kx, w - 1)) * C + begin)
            weight = wy[ky] * wx[kx]
            for c in range(n):
                flat[first + c] += weight * values[at + c]


@device_function
def _products(vectors, first, second, size):
    """A . a, a . b and b . b of two pieces of an array."""
    first, second = np.uint64(first), np.uint64(second)
    aa = ab = bb = vectors.dtype.type(0)
    for c in range(np.uint64(size)):
        a, b = vectors[first + c], vectors[second + c]
        aa += a * a
        ab += a * b
        bb += b * b
    return aa, ab, bb


@kernel
def _sample_forward_kernel(start, stop, maps, positions, radius, dilation, scale_x, scale_y, length, seen):
    """A range of (view, position)."""
    h, w, C = maps.shape[1:]
    P = positions.shape[1]
    wx, wy = np.empty(length, maps.dtype), np.empty(length, maps.dtype)
    out = np.empty(C, maps.dtype)
    for index in range(start, stop):
        v, i = index // P, index % P
        x0, nx = _taps(float(positions[v, i, 0]), w, radius, dilation, scale_x, wx)
        y0, ny = _taps(float(positions[v, i, 1]), h, radius, dilation, scale_y, wy)
        _read(maps, v, x0, y0, nx, ny, wx, wy, 0, C, out, 0)
        for c in range(C):
            seen[v, i, c] = out[c]


@kernel
def _sample_backward_kernel(start, stop, grad, positions, radius, dilation, scale_x, scale_y, length, begin, grad_maps):
    """A range of views, for the channels from `begin` on: no two threads write to the same map."""
    h, w = grad_maps.shape[1:3]
    size = grad.shape[2]
    wx, wy = np.empty(length, grad_maps.dtype), np.empty(length, grad_maps.dtype)
    values = np.empty(size, grad_maps.dtype)
    for v in range(start, stop):
        for i in range(positions.shape[1]):
            x0, nx = _taps(float(positions[v, i, 0]), w, radius, dilation, scale_x, wx)
            y0, ny = _taps(float(positions[v, i, 1]), h, radius, dilation, scale_y, wy)
            for c in range(size):
                values[c] = grad[v, i, c]
            _add(grad_maps, v, x0, y0, nx, ny, wx, wy, begin, size, values, 0)


@kernel
def _compare_forward_kernel(start, stop, maps, positions, radius, dilation, scale_x, scale_y, length, similarity, seen):
    """A range of positions."""
    V, h, w, C = maps.shape
    G, carried = similarity.shape[1], seen.shape[2]
    compared = C - carried
    block = compared // (V - 1)
    size = block // G
    share = 2.0 / (V * (V - 1))
    wx, wy = np.empty(length, maps.dtype), np.empty(length, maps.dtype)
    vectors = np.empty(V * C, maps.dtype)
    for i in range(start, stop):
        for v in range(V):
            x0, nx = _taps(float(positions[v, i, 0]), w, radius, dilation, scale_x, wx)
            y0, ny = _taps(float(positions[v, i, 1]), h, radius, dilation, scale_y, wy)
            _read(maps, v, x0, y0, nx, ny, wx, wy, 0, C, vectors, v * C)
            for c in range(carried):
                seen[v, i, c] = vectors[v * C + compared + c]
        for g in range(G):
            similarity[i, g] = 0
        for j in range(V):
            for k in range(j + 1, V):
                for g in range(G):
                    aa, ab, bb = _products(
                        vectors, j * C + (k - 1) * block + g * size, k * C + j * block + g * size, size
                    )
                    similarity[i, g] += share * ab / (max(math.sqrt(aa), MIN_NORM) * max(math.sqrt(bb), MIN_NORM))


@kernel
def _compare_backward_kernel(
    start, stop, grad, maps, positions, radius, dilation, scale_x, scale_y, length, pairs, compared, grad_maps
):
    """A range of (pair, group): each has its own channels in both maps, so no two threads write to the same place."""
    V, h, w = maps.shape[:3]
    G = grad.shape[1]
    block = compared // (V - 1)
    size = block // G
    share = 2.0 / (V * (V - 1))
    cast = maps.dtype.type
    ax, ay, bx, by = (
        np.empty(length, maps.dtype),
        np.empty(length, maps.dtype),
        np.empty(length, maps.dtype),
        np.empty(length, maps.dtype),
    )
    vectors = np.empty(2 * size, maps.dtype)
    for task in range(start, stop):
        j, k, g = pairs[task // G, 0], pairs[task // G, 1], task % G
        begin_a, begin_b = (k - 1) * block + g * size, j * block + g * size
        for i in range(positions.shape[1]):
            xa, nxa = _taps(float(positions[j, i, 0]), w, radius, dilation, scale_x, ax)
            ya, nya = _taps(float(positions[j, i, 1]), h, radius, dilation, scale_y, ay)
            xb, nxb = _taps(float(positions[k, i, 0]), w, radius, dilation, scale_x, bx)
            yb, nyb = _taps(float(positions[k, i, 1]), h, radius, dilation, scale_y, by)
            _read(maps, j, xa, ya, nxa, nya, ax, ay, begin_a, size, vectors, 0)
            _read(maps, k, xb, yb, nxb, nyb, bx, by, begin_b, size, vectors, size)
            aa, ab, bb = _products(vectors, 0, size, size)
            # d cos / d a = b / (|a| |b|) - cos a / |a|^2, without the second term where |a| is held above its bound.
            norm_a, norm_b = max(math.sqrt(aa), MIN_NORM), max(math.sqrt(bb), MIN_NORM)
            cross = cast(grad[i, g] * share / (norm_a * norm_b))
            own_a = cast(-cross * ab / aa) if norm_a > MIN_NORM else cast(0)
            own_b = cast(-cross * ab / bb) if norm_b > MIN_NORM else cast(0)
            for c in range(size):
                a, b = vectors[c], vectors[size + c]
                vectors[c] = cross * b + own_a * a
                vectors[size + c] = cross * a + own_b * b
            _add(grad_maps, j, xa, ya, nxa, nya, ax, ay, begin_a, size, vectors, 0)
            _add(grad_maps, k, xb, yb, nxb, nyb, bx, by, begin_b, size, vectors, size)


def _settings(window, height: int, width: int) -> tuple[int, int, float, float, int]:
    """Radius, dilation, scales, and the length of the arrays of weights."""
    pixels = 2 * window.radius * window.dilation + 2
    return window.radius, window.dilation, *window.scales(height, width), -(-pixels // TOGETHER) * TOGETHER


def sample_forward(maps: Tensor, positions: Tensor, window, seen: Tensor) -> None:
    """Fill `seen`."""
    settings = _settings(window, *maps.shape[1:3])
    launch(_sample_forward_kernel, positions[..., 0].numel(), maps, positions, *settings, seen)


def sample_backward(grad: Tensor, positions: Tensor, window, grad_maps: Tensor) -> None:
    """Add to `grad_maps`."""
    _add_to_maps(grad, positions, window, 0, grad_maps)


def compare_forward(maps: Tensor, positions: Tensor, window, similarity: Tensor, seen: Tensor) -> None:
    """Fill `similarity` and `seen`."""
    settings = _settings(window, *maps.shape[1:3])
    launch(_compare_forward_kernel, positions.shape[1], maps, positions, *settings, similarity, seen)


def compare_backward(
    grad: Tensor, grad_seen: Tensor, maps: Tensor, positions: Tensor, window, grad_maps: Tensor
) -> None:
    """Add to `grad_maps`."""
    settings = _settings(window, *maps.shape[1:3])
    count, compared = len(maps), maps.shape[3] - grad_seen.shape[2]
    pairs = torch.tensor([(j, k) for j in range(count) for k in range(j + 1, count)])
    tasks = len(pairs) * grad.shape[1]
    launch(_compare_backward_kernel, tasks, grad, maps, positions, *settings, pairs, compared, grad_maps)
    if grad_seen.shape[2]:
        _add_to_maps(grad_seen, positions, window, compared, grad_maps)


def _add_to_maps(grad: Tensor, positions: Tensor, window, begin: int, grad_maps: Tensor) -> None:
    settings = _settings(window, *grad_maps.shape[1:3])
    launch(_sample_backward_kernel, len(grad_maps), grad, positions, *settings, begin, grad_maps)
