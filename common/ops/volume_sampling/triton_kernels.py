"""GPU kernels of trilinear interpolation, channels innermost; float32.

Arrays: volume `B D H W C`, coordinates `B P 3` in [0, 1], samples `B P C`. A program handles points of one batch entry;
gradients of the volume are added atomically: their last digits depend on the order.
"""

from typing import Any

import triton.language as tl
from torch import Tensor
from triton.language import constexpr

from common.ops._triton import block, inner_products, interpolate, kernel, launch, spread, tile


@kernel
def _position(coordinates, exists, N):
    """Position in voxels along an axis of N voxels; where no tap is inside (far outside, NaN, no such point), -2."""
    position = tl.load(coordinates, mask=exists, other=-1.0) * (N - 1)
    return tl.where(exists & (position > -1) & (position < N), position, -2.0)


@kernel
def _land(coordinates, exists, D, H, W):
    """Plane before a point, how far behind it, x there and in the next plane (-2 where there is no plane), and y."""
    px = _position(coordinates, exists, W)
    py = _position(coordinates + 1, exists, H)
    pz = _position(coordinates + 2, exists, D)
    z = tl.floor(pz)
    near = tl.where((z >= 0) & (z < D), px, -2.0)
    far = tl.where((z >= -1) & (z < D - 1), px, -2.0)
    return z.to(tl.int64), pz - z, near, far, py


@kernel
def _sample_forward_kernel(
    volume, coordinates, samples, P, D, H, W, C: constexpr, BLOCK: constexpr, CHANNELS: constexpr
):
    """Values at points of a batch entry."""
    b, i, exists = block(P, BLOCK)
    point = b * P + i
    z, fz, near, far, py = _land(coordinates + point * 3, exists, D, H, W)
    first = (b * D + z) * H * W
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        before = interpolate(volume, first, near, py, channel, H, W, C)
        behind = interpolate(volume, first + H * W, far, py, channel, H, W, C)
        value = (1 - fz)[:, None] * before + fz[:, None] * behind
        tl.store(samples + point[:, None] * C + channel[None, :], value, mask=exists[:, None] & (channel < C)[None, :])


@kernel
def _backward_volume_kernel(
    grad, coordinates, grad_volume, P, D, H, W, C: constexpr, BLOCK: constexpr, CHANNELS: constexpr
):
    """Add the gradient of the volume, for points of a batch entry."""
    b, i, exists = block(P, BLOCK)
    point = b * P + i
    z, fz, near, far, py = _land(coordinates + point * 3, exists, D, H, W)
    first = (b * D + z) * H * W
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        mask = exists[:, None] & (channel < C)[None, :]
        value = tl.load(grad + point[:, None] * C + channel[None, :], mask=mask, other=0.0)
        spread(grad_volume, first, near, py, channel, (1 - fz)[:, None] * value, H, W, C)
        spread(grad_volume, first + H * W, far, py, channel, fz[:, None] * value, H, W, C)


@kernel
def _backward_coordinates_kernel(
    grad, volume, coordinates, grad_coordinates, P, D, H, W, C: constexpr, BLOCK: constexpr, CHANNELS: constexpr
):
    """Gradient of points of a batch entry."""
    b, i, exists = block(P, BLOCK)
    point = b * P + i
    z, fz, near, far, py = _land(coordinates + point * 3, exists, D, H, W)
    first = (b * D + z) * H * W
    gx = tl.zeros((BLOCK,), tl.float32)
    gy = tl.zeros((BLOCK,), tl.float32)
    gz = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        mask = exists[:, None] & (channel < C)[None, :]
        value = tl.load(grad + point[:, None] * C + channel[None, :], mask=mask, other=0.0)
        before, before_x, before_y = inner_products(volume, first, near, py, channel, value, H, W, C)
        behind, behind_x, behind_y = inner_products(volume, first + H * W, far, py, channel, value, H, W, C)
        gx += (1 - fz) * before_x + fz * behind_x
        gy += (1 - fz) * before_y + fz * behind_y
        gz += behind - before
    tl.store(grad_coordinates + point * 3, gx * (W - 1), mask=exists)
    tl.store(grad_coordinates + point * 3 + 1, gy * (H - 1), mask=exists)
    tl.store(grad_coordinates + point * 3 + 2, gz * (D - 1), mask=exists)


def sample_forward(volume: Tensor, coordinates: Tensor, samples: Tensor) -> None:
    """Fill `samples`."""
    _launch(_sample_forward_kernel, volume, coordinates, volume, coordinates, samples)


def backward_volume(grad: Tensor, coordinates: Tensor, grad_volume: Tensor) -> None:
    """Add to `grad_volume`."""
    _launch(_backward_volume_kernel, grad_volume, coordinates, grad, coordinates, grad_volume)


def backward_coordinates(grad: Tensor, volume: Tensor, coordinates: Tensor, grad_coordinates: Tensor) -> None:
    """Fill `grad_coordinates`."""
    _launch(_backward_coordinates_kernel, volume, coordinates, grad, volume, coordinates, grad_coordinates)


def _launch(kernel: Any, volume: Tensor, coordinates: Tensor, *arrays: Tensor) -> None:
    _, D, H, W, C = volume.shape
    B, P, _ = coordinates.shape
    launch(kernel, B, P, *arrays, P, D, H, W, C=C, **tile(C))
