"""CPU kernels of trilinear interpolation, channels innermost.

Arrays: volume `B D H W C`, coordinates `B P 3` in [0, 1], samples `B P C`. Positions are computed in float64, what is
done per channel in the type of the arrays. Elements are indexed in place: a slice of an array costs more than what is
done with it here.
"""

import numpy as np
from torch import Tensor

from common.ops._compile import device_function, kernel, launch

# The gradient of the volume is summed by channel blocks, so that no two threads write to the same place.
CHANNEL_BLOCK = 4


@device_function
def _taps(coordinate, size):
    """Two clamped indices along an axis and their weights, zero outside; NaN lies outside."""
    position = coordinate * (size - 1.0)
    if not (position > -1 and position < size):
        return 0, 0, 0.0, 0.0
    first = int(np.floor(position))
    fraction = position - first
    before = 1 - fraction if first >= 0 else 0.0
    after = fraction if first + 1 < size else 0.0
    return max(first, 0), min(first + 1, size - 1), before, after


@kernel
def _sample_forward_kernel(start, stop, volume, coordinates, samples):
    """Values of a range of (batch, point)."""
    D, H, W, C = volume.shape[1:]
    P = coordinates.shape[1]
    cast = volume.dtype.type
    for index in range(start, stop):
        b, i = index // P, index % P
        x0, x1, left, right = _taps(float(coordinates[b, i, 0]), W)
        y0, y1, top, bottom = _taps(float(coordinates[b, i, 1]), H)
        z0, z1, near, far = _taps(float(coordinates[b, i, 2]), D)
        for c in range(C):
            samples[b, i, c] = 0
        for k in range(2):
            z, share = (z0, near) if k == 0 else (z1, far)
            w00, w01 = cast(share * top * left), cast(share * top * right)
            w10, w11 = cast(share * bottom * left), cast(share * bottom * right)
            for c in range(C):
                samples[b, i, c] += (
                    w00 * volume[b, z, y0, x0, c]
                    + w01 * volume[b, z, y0, x1, c]
                    + w10 * volume[b, z, y1, x0, c]
                    + w11 * volume[b, z, y1, x1, c]
                )


@kernel
def _backward_volume_kernel(start, stop, grad, coordinates, grad_volume):
    """Add the gradient of the volume, for a range of (batch, channel block)."""
    D, H, W, C = grad_volume.shape[1:]
    blocks = (C + CHANNEL_BLOCK - 1) // CHANNEL_BLOCK
    cast = grad_volume.dtype.type
    for task in range(start, stop):
        b, block = task // blocks, task % blocks
        first, last = block * CHANNEL_BLOCK, min((block + 1) * CHANNEL_BLOCK, C)
        for i in range(coordinates.shape[1]):
            x0, x1, left, right = _taps(float(coordinates[b, i, 0]), W)
            y0, y1, top, bottom = _taps(float(coordinates[b, i, 1]), H)
            z0, z1, near, far = _taps(float(coordinates[b, i, 2]), D)
            for k in range(2):
                z, share = (z0, near) if k == 0 else (z1, far)
                w00, w01 = cast(share * top * left), cast(share * top * right)
                w10, w11 = cast(share * bottom * left), cast(share * bottom * right)
                for c in range(first, last):
                    grad_volume[b, z, y0, x0, c] += w00 * grad[b, i, c]
                for c in range(first, last):
                    grad_volume[b, z, y0, x1, c] += w01 * grad[b, i, c]
                for c in range(first, last):
                    grad_volume[b, z, y1, x0, c] += w10 * grad[b, i, c]
                for c in range(first, last):
                    grad_volume[b, z, y1, x1, c] += w11 * grad[b, i, c]


@device_function
def _slope(coordinate, size):
    """Derivatives of the two weights of `_taps` by the coordinate."""
    position = coordinate * (size - 1.0)
    if not (position > -1 and position < size):
        return 0.0, 0.0
    first = int(np.floor(position))
    return -(size - 1.0) if first >= 0 else 0.0, size - 1.0 if first + 1 < size else 0.0


@kernel
def _backward_coordinates_kernel(start, stop, grad, volume, coordinates, grad_coordinates):
    """Gradient of a range of (batch, point)."""
    D, H, W, C = volume.shape[1:]
    P = coordinates.shape[1]
    for index in range(start, stop):
        b, i = index // P, index % P
        x, y, z = float(coordinates[b, i, 0]), float(coordinates[b, i, 1]), float(coordinates[b, i, 2])
        x0, x1, left, right = _taps(x, W)
        y0, y1, top, bottom = _taps(y, H)
        z0, z1, near, far = _taps(z, D)
        across, down, through = (left, right), (top, bottom), (near, far)
        dx, dy, dz = _slope(x, W), _slope(y, H), _slope(z, D)
        gx = gy = gz = 0.0
        for corner in range(8):
            i_x, i_y, i_z = corner & 1, corner >> 1 & 1, corner >> 2
            column, row, plane = x1 if i_x else x0, y1 if i_y else y0, z1 if i_z else z0
            dot = volume.dtype.type(0)
            for c in range(C):
                dot += volume[b, plane, row, column, c] * grad[b, i, c]
            gx += dot * dx[i_x] * down[i_y] * through[i_z]
            gy += dot * across[i_x] * dy[i_y] * through[i_z]
            gz += dot * across[i_x] * down[i_y] * dz[i_z]
        grad_coordinates[b, i, 0], grad_coordinates[b, i, 1], grad_coordinates[b, i, 2] = gx, gy, gz


def sample_forward(volume: Tensor, coordinates: Tensor, samples: Tensor) -> None:
    """Fill `samples`."""
    launch(_sample_forward_kernel, samples[..., 0].numel(), volume, coordinates, samples)


def backward_volume(grad: Tensor, coordinates: Tensor, grad_volume: Tensor) -> None:
    """Add to `grad_volume`."""
    tasks = grad_volume.shape[0] * -(-grad_volume.shape[-1] // CHANNEL_BLOCK)
    launch(_backward_volume_kernel, tasks, grad, coordinates, grad_volume)


def backward_coordinates(grad: Tensor, volume: Tensor, coordinates: Tensor, grad_coordinates: Tensor) -> None:
    """Fill `grad_coordinates`."""
    tasks = coordinates[..., 0].numel()
    launch(_backward_coordinates_kernel, tasks, grad, volume, coordinates, grad_coordinates)
