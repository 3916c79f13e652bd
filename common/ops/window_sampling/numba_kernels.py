"""CPU kernels of the windows, channels innermost.

Arrays: maps `V h w C`, positions `V P 2`, seen `V P C`, similarity `P G`. A window is separable: along each axis the
lookups of all its positions are one weighted sum of a few neighbouring pixels (4 for 3 x 3 positions one pixel apart),
so that a position costs 4 x 4 reads instead of 9 x 4. Elements are indexed in place: a slice costs more than its use.
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
def _read(maps, v, x0, y0, nx, ny, wx, wy, begin, end, out, at):
    """out[at : at + end - begin] = the weighted sum of channels begin to end of ny rows of nx pixels."""
    h, w = maps.shape[1:3]
    for c in range(begin, end):
        out[at + c - begin] = 0
    shift = at - begin
    for ky in range(ny):
        y = min(y0 + ky, h - 1)
        row = wy[ky]
        for kx in range(0, nx, TOGETHER):
            a, b = min(x0 + kx, w - 1), min(x0 + kx + 1, w - 1)
            wa, wb = row * wx[kx], row * wx[kx + 1]
            if nx - kx <= 2:
                for c in range(begin, end):
                    out[shift + c] += wa * maps[v, y, a, c] + wb * maps[v, y, b, c]
            else:
                d, e = min(x0 + kx + 2, w - 1), min(x0 + kx + 3, w - 1)
                wd, we = row * wx[kx + 2], row * wx[kx + 3]
                for c in range(begin, end):
                    out[shift + c] += (
                        wa * maps[v, y, a, c] + wb * maps[v, y, b, c] + wd * maps[v, y, d, c] + we * maps[v, y, e, c]
                    )


@device_function
def _add(maps, v, x0, y0, nx, ny, wx, wy, begin, end, values, at):
    """The transpose of `_read`: add values[at : at + end - begin] to the pixels, weighted."""
    h, w = maps.shape[1:3]
    shift = at - begin
    for ky in range(ny):
        y = min(y0 + ky, h - 1)
        for kx in range(nx):
            x = min(x0 + kx, w - 1)
            weight = wy[ky] * wx[kx]
            for c in range(begin, end):
                maps[v, y, x, c] += weight * values[shift + c]


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
def _sample_backward_kernel(start, stop, grad, positions, radius, dilation, scale_x, scale_y, length, grad_maps):
    """A range of views: no two threads write to the same map."""
    h, w, C = grad_maps.shape[1:]
    wx, wy = np.empty(length, grad_maps.dtype), np.empty(length, grad_maps.dtype)
    values = np.empty(C, grad_maps.dtype)
    for v in range(start, stop):
        for i in range(positions.shape[1]):
            x0, nx = _taps(float(positions[v, i, 0]), w, radius, dilation, scale_x, wx)
            y0, ny = _taps(float(positions[v, i, 1]), h, radius, dilation, scale_y, wy)
            for c in range(C):
                values[c] = grad[v, i, c]
            _add(grad_maps, v, x0, y0, nx, ny, wx, wy, 0, C, values, 0)


@kernel
def _compare_forward_kernel(start, stop, maps, positions, radius, dilation, scale_x, scale_y, length, similarity):
    """A range of positions."""
    V, h, w, C = maps.shape
    G = similarity.shape[1]
    block = C // (V - 1)
    size = block // G
    share = 2.0 / (V * (V - 1))
    wx, wy = np.empty(length, maps.dtype), np.empty(length, maps.dtype)
    vectors = np.empty(V * C, maps.dtype)
    for i in range(start, stop):
        for v in range(V):
            x0, nx = _taps(float(positions[v, i, 0]), w, radius, dilation, scale_x, wx)
            y0, ny = _taps(float(positions[v, i, 1]), h, radius, dilation, scale_y, wy)
            _read(maps, v, x0, y0, nx, ny, wx, wy, 0, C, vectors, v * C)
        for g in range(G):
            similarity[i, g] = 0
        for j in range(V):
            for k in range(j + 1, V):
                for g in range(G):
                    a, b = j * C + (k - 1) * block + g * size, k * C + j * block + g * size
                    aa = ab = bb = maps.dtype.type(0)
                    for c in range(size):
                        aa += vectors[a + c] * vectors[a + c]
                        ab += vectors[a + c] * vectors[b + c]
                        bb += vectors[b + c] * vectors[b + c]
                    similarity[i, g] += share * ab / (max(math.sqrt(aa), MIN_NORM) * max(math.sqrt(bb), MIN_NORM))


@kernel
def _compare_backward_kernel(
    start, stop, grad, maps, positions, radius, dilation, scale_x, scale_y, length, pairs, grad_maps
):
    """A range of (pair, group): each has its own channels in both maps, so no two threads write to the same place."""
    V, h, w, C = maps.shape
    G = grad.shape[1]
    block = C // (V - 1)
    size = block // G
    share = 2.0 / (V * (V - 1))
    cast = maps.dtype.type
    ax, ay, bx, by = (
        np.empty(length, maps.dtype),
        np.empty(length, maps.dtype),
        np.empty(length, maps.dtype),
        np.empty(length, maps.dtype),
    )
    a, b = np.empty(size, maps.dtype), np.empty(size, maps.dtype)
    for task in range(start, stop):
        j, k, g = pairs[task // G, 0], pairs[task // G, 1], task % G
        begin_a, begin_b = (k - 1) * block + g * size, j * block + g * size
        for i in range(positions.shape[1]):
            xa, nxa = _taps(float(positions[j, i, 0]), w, radius, dilation, scale_x, ax)
            ya, nya = _taps(float(positions[j, i, 1]), h, radius, dilation, scale_y, ay)
            xb, nxb = _taps(float(positions[k, i, 0]), w, radius, dilation, scale_x, bx)
            yb, nyb = _taps(float(positions[k, i, 1]), h, radius, dilation, scale_y, by)
            _read(maps, j, xa, ya, nxa, nya, ax, ay, begin_a, begin_a + size, a, 0)
            _read(maps, k, xb, yb, nxb, nyb, bx, by, begin_b, begin_b + size, b, 0)
            aa = ab = bb = cast(0)
            for c in range(size):
                aa += a[c] * a[c]
                ab += a[c] * b[c]
                bb += b[c] * b[c]
            # d cos / d a = b / (|a| |b|) - cos a / |a|^2, without the second term where |a| is held above its bound.
            norm_a, norm_b = max(math.sqrt(aa), MIN_NORM), max(math.sqrt(bb), MIN_NORM)
            cross = cast(grad[i, g] * share / (norm_a * norm_b))
            own_a = cast(-cross * ab / aa) if norm_a > MIN_NORM else cast(0)
            own_b = cast(-cross * ab / bb) if norm_b > MIN_NORM else cast(0)
            for c in range(size):
                value = a[c]
                a[c] = cross * b[c] + own_a * value
                b[c] = cross * value + own_b * b[c]
            _add(grad_maps, j, xa, ya, nxa, nya, ax, ay, begin_a, begin_a + size, a, 0)
            _add(grad_maps, k, xb, yb, nxb, nyb, bx, by, begin_b, begin_b + size, b, 0)


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
    settings = _settings(window, *grad_maps.shape[1:3])
    launch(_sample_backward_kernel, len(grad_maps), grad, positions, *settings, grad_maps)


def compare_forward(maps: Tensor, positions: Tensor, window, similarity: Tensor) -> None:
    """Fill `similarity`."""
    settings = _settings(window, *maps.shape[1:3])
    launch(_compare_forward_kernel, positions.shape[1], maps, positions, *settings, similarity)


def compare_backward(grad: Tensor, maps: Tensor, positions: Tensor, window, grad_maps: Tensor) -> None:
    """Add to `grad_maps`."""
    settings = _settings(window, *maps.shape[1:3])
    pairs = torch.combinations(torch.arange(len(maps)))
    tasks = len(pairs) * grad.shape[1]
    launch(_compare_backward_kernel, tasks, grad, maps, positions, *settings, pairs, grad_maps)
