"""CPU kernels of the statistics over views, channels innermost.

Arrays: maps `V H W C`, intrinsics `V 3 3`, world_to_cam `V 4 4`, axes `X`, `Y`, `Z`, volume `X Y Z 2C`, count `X Y Z`.
Everything is computed in the arrays' own type. Elements are indexed in place: a slice of an array costs more than
what is done with it here.
"""

import numpy as np
from torch import Tensor

from common.ops._compile import device_function, kernel, launch


@device_function
def _pixel(k, m, v, x, y, z, width, height):
    """Whether a view sees a point, and at which pixel; NaN is not seen.

    One rounding after the other as in `_view_statistics_torch`: the pixel is normalised and brought back.
    """
    cast = k.dtype.type
    a = m[v, 0, 0] * x + m[v, 0, 1] * y + m[v, 0, 2] * z + m[v, 0, 3]
    b = m[v, 1, 0] * x + m[v, 1, 1] * y + m[v, 1, 2] * z + m[v, 1, 3]
    c = m[v, 2, 0] * x + m[v, 2, 1] * y + m[v, 2, 2] * z + m[v, 2, 3]
    depth = k[v, 2, 0] * a + k[v, 2, 1] * b + k[v, 2, 2] * c
    if not depth > 0:
        return False, cast(0), cast(0)
    one, half = cast(1), cast(0.5)
    right, bottom = cast(width - 1), cast(height - 1)
    below = depth + cast(1e-8)
    px = np.divide(cast(2) * np.divide(k[v, 0, 0] * a + k[v, 0, 1] * b + k[v, 0, 2] * c, below), right) - one
    py = np.divide(cast(2) * np.divide(k[v, 1, 0] * a + k[v, 1, 1] * b + k[v, 1, 2] * c, below), bottom) - one
    is_seen = px >= -one and px <= one and py >= -one and py <= one
    return is_seen, (px + one) * half * right, (py + one) * half * bottom


@device_function
def _corners(px, py, width, height):
    """Corners x0, x1, y0, y1 of a pixel inside the map and the weights of 00, 01, 10, 11 (row, column)."""
    x0, y0 = min(int(px), width - 1), min(int(py), height - 1)
    fx, fy = px - x0, py - y0
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    return x0, x1, y0, y1, (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx


@kernel
def _statistics_forward_kernel(start, stop, maps, intrinsics, world_to_cam, x_axis, y_axis, z_axis, volume, count):
    """Statistics of a range of (x, y) columns."""
    V, H, W, C = maps.shape
    Y, Z = volume.shape[1], volume.shape[2]
    cast = maps.dtype.type
    for column in range(start, stop):
        i, j = column // Y, column % Y
        x, y = x_axis[i], y_axis[j]
        for k in range(Z):
            for c in range(2 * C):
                volume[i, j, k, c] = 0
            number = 0
            for v in range(V):
                seen, px, py = _pixel(intrinsics, world_to_cam, v, x, y, z_axis[k], W, H)
                if seen:
                    number += 1
                    x0, x1, y0, y1, w00, w01, w10, w11 = _corners(px, py, W, H)
                    w00, w01, w10, w11 = cast(w00), cast(w01), cast(w10), cast(w11)
                    for c in range(C):
                        shown = (
                            w00 * maps[v, y0, x0, c]
                            + w01 * maps[v, y0, x1, c]
                            + w10 * maps[v, y1, x0, c]
                            + w11 * maps[v, y1, x1, c]
                        )
                        volume[i, j, k, c] += shown
                        volume[i, j, k, C + c] += shown * shown
            count[i, j, k] = np.uint8(number)
            share = cast(1 / max(number, 1))
            for c in range(C):
                mean = volume[i, j, k, c] * share
                volume[i, j, k, c] = mean
                volume[i, j, k, C + c] = volume[i, j, k, C + c] * share - mean * mean


@kernel
def _statistics_backward_kernel(
    start, stop, grad, maps, intrinsics, world_to_cam, x_axis, y_axis, z_axis, volume, count, grad_maps
):
    """Add the gradient of the maps of a range of views: of f it is (g_mean + 2 (f - mean) g_variance) / n."""
    H, W, C = maps.shape[1:]
    X, Y, Z = count.shape
    cast = maps.dtype.type
    for v in range(start, stop):
        for i in range(X):
            for j in range(Y):
                for k in range(Z):
                    x, y, z = x_axis[i], y_axis[j], z_axis[k]
                    seen, px, py = _pixel(intrinsics, world_to_cam, v, x, y, z, W, H)
                    if not seen:
                        continue
                    x0, x1, y0, y1, w00, w01, w10, w11 = _corners(px, py, W, H)
                    w00, w01, w10, w11 = cast(w00), cast(w01), cast(w10), cast(w11)
                    share = cast(1 / max(count[i, j, k], 1))
                    for c in range(C):
                        shown = (
                            w00 * maps[v, y0, x0, c]
                            + w01 * maps[v, y0, x1, c]
                            + w10 * maps[v, y1, x0, c]
                            + w11 * maps[v, y1, x1, c]
                        )
                        apart = 2 * (shown - volume[i, j, k, c])
                        g = share * (grad[i, j, k, c] + apart * grad[i, j, k, C + c])
                        grad_maps[v, y0, x0, c] += w00 * g
                        grad_maps[v, y0, x1, c] += w01 * g
                        grad_maps[v, y1, x0, c] += w10 * g
                        grad_maps[v, y1, x1, c] += w11 * g


# Intrinsics, world_to_cam, then the three axes.
Geometry = tuple[Tensor, ...]


def statistics_forward(maps: Tensor, geometry: Geometry, volume: Tensor, count: Tensor) -> None:
    """Fill `volume` and `count`."""
    launch(_statistics_forward_kernel, count[..., 0].numel(), maps, *geometry, volume, count)


def statistics_backward(
    grad: Tensor, maps: Tensor, geometry: Geometry, volume: Tensor, count: Tensor, grad_maps: Tensor
) -> None:
    """Add to `grad_maps`; the work is shared by views, so that no two threads write to the same place."""
    launch(_statistics_backward_kernel, len(maps), grad, maps, *geometry, volume, count, grad_maps)
