"""CPU kernel of the differences between views, channels innermost.

Arrays: maps `V H W 4` (colour and depth), matrix `V V 3 4`, inverse_range `V`, result `V H W 8`. Positions have the
arrays' own type. Elements are indexed in place: a slice of an array costs more than what is done with it here.
"""

import numpy as np
from torch import Tensor

from common.ops._compile import device_function, kernel, launch


@device_function
def _corners(px, py, width, height):
    """Corners x0, x1, y0, y1 nearest to a pixel and the fractions between them; outside the border counts."""
    px = min(max(px, 0 * px), px * 0 + (width - 1))
    py = min(max(py, 0 * py), py * 0 + (height - 1))
    x0, y0 = int(px), int(py)
    return x0, min(x0 + 1, width - 1), y0, min(y0 + 1, height - 1), px - x0, py - y0


@kernel
def _differences_kernel(start, stop, maps, matrix, inverse_range, result):
    """Mean and variance of the differences, for a range of (view, row)."""
    V, H, W, _ = maps.shape
    cast = maps.dtype.type
    half, one, plane, smallest, largest = cast(0.5), cast(1), cast(1e-4), cast(1e-5), cast(1.5)
    right, bottom = cast(W) - half, cast(H) - half
    difference = np.empty((V, 4), maps.dtype)
    mean = np.empty(4, maps.dtype)
    for row in range(start, stop):
        i, y = row // H, row % H
        for x in range(W):
            depth = maps[i, y, x, 3]
            u, v = cast(x) * depth, cast(y) * depth
            number = 0
            for other in range(V):
                z = (
                    matrix[i, other, 2, 0] * u
                    + matrix[i, other, 2, 1] * v
                    + matrix[i, other, 2, 2] * depth
                    + matrix[i, other, 2, 3]
                )
                if not abs(z) >= plane:
                    continue
                px = (
                    matrix[i, other, 0, 0] * u
                    + matrix[i, other, 0, 1] * v
                    + matrix[i, other, 0, 2] * depth
                    + matrix[i, other, 0, 3]
                ) / z
                py = (
                    matrix[i, other, 1, 0] * u
                    + matrix[i, other, 1, 1] * v
                    + matrix[i, other, 1, 2] * depth
                    + matrix[i, other, 1, 3]
                ) / z
                if not (px >= -half and px < right and py >= -half and py < bottom):
                    continue
                x0, x1, y0, y1, fx, fy = _corners(px, py, W, H)
                fx, fy = cast(fx), cast(fy)
                w00, w01 = (one - fy) * (one - fx), (one - fy) * fx
                w10, w11 = fy * (one - fx), fy * fx
                for c in range(4):
                    shown = (
                        w00 * maps[other, y0, x0, c]
                        + w01 * maps[other, y0, x1, c]
                        + w10 * maps[other, y1, x0, c]
                        + w11 * maps[other, y1, x1, c]
                    )
                    if c < 3:
                        difference[number, c] = abs(shown - maps[i, y, x, c])
                    else:
                        off = abs(one / max(z, smallest) - one / max(shown, smallest)) * inverse_range[other]
                        difference[number, c] = min(off, largest)
                number += 1
            _summarise(difference, number, mean, result, i, y, x)


@device_function
def _summarise(difference, number, mean, result, i, y, x):
    """Write mean and variance of the first `number` rows; 0 where there are none."""
    zero, share = difference.dtype.type(0), difference.dtype.type(1 / max(number, 1))
    for c in range(4):
        total = zero
        for k in range(number):
            total += difference[k, c]
        mean[c] = total * share
        spread = zero
        for k in range(number):
            spread += (difference[k, c] - mean[c]) * (difference[k, c] - mean[c])
        result[i, y, x, c if c < 3 else 6] = mean[c]
        result[i, y, x, c + 3 if c < 3 else 7] = spread * share


def differences(maps: Tensor, matrix: Tensor, inverse_range: Tensor, result: Tensor) -> None:
    """Fill `result`."""
    launch(_differences_kernel, maps.shape[0] * maps.shape[1], maps, matrix, inverse_range, result)
