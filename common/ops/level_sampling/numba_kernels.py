"""CPU kernels of the look-up in several levels.

Arrays: level `X Y Z C`, points `P 3` in [-1, 1], values `P LC`, slopes `3 P LC`; a level's channels start at column
`offset`. Positions are computed in float64, what is done per channel in the type of the arrays. Elements are indexed in
place: a slice of an array costs more than what is done with it here.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from common.ops._compile import device_function, kernel, launch


@device_function
def _taps(coordinate, size):
    """Two clamped indices along an axis and their weights, zero outside; NaN lies outside."""
    position = (coordinate + 1) * (0.5 * (size - 1))
    if not (position > -1 and position < size):
        return 0, 0, 0.0, 0.0
    first = int(np.floor(position))
    fraction = position - first
    before = 1 - fraction if first >= 0 else 0.0
    after = fraction if first + 1 < size else 0.0
    return max(first, 0), min(first + 1, size - 1), before, after


@device_function
def _slopes(coordinate, size):
    """Derivatives of the two weights of `_taps`."""
    steepness = 0.5 * (size - 1)
    position = (coordinate + 1) * steepness
    if not (position > -1 and position < size):
        return 0.0, 0.0
    return -steepness if position >= 0 else 0.0, steepness if position < size - 1 else 0.0


@kernel
def _sample_kernel(start, stop, level, points, offset, values):
    """Values of a range of points."""
    X, Y, Z, C = level.shape
    cast = level.dtype.type
    for i in range(start, stop):
        x0, x1, u0, u1 = _taps(float(points[i, 0]), X)
        y0, y1, v0, v1 = _taps(float(points[i, 1]), Y)
        z0, z1, w0, w1 = _taps(float(points[i, 2]), Z)
        s00, s01, s10, s11 = cast(u0 * v0), cast(u0 * v1), cast(u1 * v0), cast(u1 * v1)
        near, far = cast(w0), cast(w1)
        for c in range(C):
            first = s00 * level[x0, y0, z0, c] + s01 * level[x0, y1, z0, c]
            first += s10 * level[x1, y0, z0, c] + s11 * level[x1, y1, z0, c]
            second = s00 * level[x0, y0, z1, c] + s01 * level[x0, y1, z1, c]
            second += s10 * level[x1, y0, z1, c] + s11 * level[x1, y1, z1, c]
            values[i, offset + c] = near * first + far * second


@kernel
def _sample_with_slopes_kernel(start, stop, level, points, offset, values, slopes):
    """Values and slopes of a range of points."""
    X, Y, Z, C = level.shape
    cast = level.dtype.type
    for i in range(start, stop):
        x0, x1, a0, a1 = _taps(float(points[i, 0]), X)
        y0, y1, b0, b1 = _taps(float(points[i, 1]), Y)
        z0, z1, c0, c1 = _taps(float(points[i, 2]), Z)
        u0, u1, v0, v1, w0, w1 = cast(a0), cast(a1), cast(b0), cast(b1), cast(c0), cast(c1)
        a0, a1 = _slopes(float(points[i, 0]), X)
        b0, b1 = _slopes(float(points[i, 1]), Y)
        c0, c1 = _slopes(float(points[i, 2]), Z)
        du0, du1, dv0, dv1, dw0, dw1 = cast(a0), cast(a1), cast(b0), cast(b1), cast(c0), cast(c1)
        for c in range(C):
            p000, p001 = level[x0, y0, z0, c], level[x0, y0, z1, c]
            p010, p011 = level[x0, y1, z0, c], level[x0, y1, z1, c]
            p100, p101 = level[x1, y0, z0, c], level[x1, y0, z1, c]
            p110, p111 = level[x1, y1, z0, c], level[x1, y1, z1, c]
            line00, line01 = w0 * p000 + w1 * p001, w0 * p010 + w1 * p011
            line10, line11 = w0 * p100 + w1 * p101, w0 * p110 + w1 * p111
            face0, face1 = v0 * line00 + v1 * line01, v0 * line10 + v1 * line11
            values[i, offset + c] = u0 * face0 + u1 * face1
            slopes[0, i, offset + c] = du0 * face0 + du1 * face1
            slopes[1, i, offset + c] = u0 * (dv0 * line00 + dv1 * line01) + u1 * (dv0 * line10 + dv1 * line11)
            back = v0 * (dw0 * p000 + dw1 * p001) + v1 * (dw0 * p010 + dw1 * p011)
            front = v0 * (dw0 * p100 + dw1 * p101) + v1 * (dw0 * p110 + dw1 * p111)
            slopes[2, i, offset + c] = u0 * back + u1 * front


def sample(levels: Sequence[Tensor], points: Tensor, values: Tensor) -> None:
    """Fill `values`."""
    offset = 0
    for level in levels:
        launch(_sample_kernel, len(points), level, points, offset, values)
        offset += level.shape[-1]


def sample_with_slopes(levels: Sequence[Tensor], points: Tensor, values: Tensor, slopes: Tensor) -> None:
    """Fill `values` and `slopes`."""
    offset = 0
    for level in levels:
        launch(_sample_with_slopes_kernel, len(points), level, points, offset, values, slopes)
        offset += level.shape[-1]
