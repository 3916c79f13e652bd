"""GPU kernels of the view vectors, channels innermost; float32.

Arrays: maps `B S h w C`, points `B P 3`, matrix `B S 3 4` (world to homogeneous pixel), centers `B S+1 3` (of the
sources, then the target), vectors `B S P C+4`. Gradients of the maps are added atomically: their last digits depend on
the order.
"""

from typing import Any

import triton.language as tl
from torch import Tensor
from triton.language import constexpr

from common.ops._triton import block, inner_products, interpolate, kernel, launch, spread, tile


@kernel
def _load_xyz(points, mask):
    x = tl.load(points, mask=mask, other=0.0)
    return x, tl.load(points + 1, mask=mask, other=0.0), tl.load(points + 2, mask=mask, other=0.0)


@kernel
def _project(m, x, y, z):
    """Source pixels of points, and the homogeneous coordinate."""
    u = tl.load(m) * x + tl.load(m + 1) * y + tl.load(m + 2) * z + tl.load(m + 3)
    v = tl.load(m + 4) * x + tl.load(m + 5) * y + tl.load(m + 6) * z + tl.load(m + 7)
    depth = tl.load(m + 8) * x + tl.load(m + 9) * y + tl.load(m + 10) * z + tl.load(m + 11)
    return u / tl.maximum(depth, 1e-6), v / tl.maximum(depth, 1e-6), depth


@kernel
def _clamp(position, N):
    """Into a map of N pixels; NaN becomes 0."""
    return tl.where(position > 0, tl.minimum(position, N - 1.0), 0.0)


@kernel
def _unit(x, y, z, center):
    """Unit vectors from a centre to points, and the distances."""
    x, y, z = x - tl.load(center), y - tl.load(center + 1), z - tl.load(center + 2)
    length = tl.sqrt(x * x + y * y + z * z)
    scale = 1 / (length + 1e-6)
    return x * scale, y * scale, z * scale, length


@kernel
def _sample_forward_kernel(
    maps,
    points,
    matrix,
    centers,
    vectors,
    P,
    h,
    w,
    S: constexpr,
    C: constexpr,
    BLOCK: constexpr,
    CHANNELS: constexpr,
):
    """View vectors of points in a (batch, source)."""
    view, i, exists = block(P, BLOCK)
    b = view // S
    x, y, z = _load_xyz(points + (b * P + i) * 3, exists)
    px, py, _ = _project(matrix + view * 12, x, y, z)
    px, py = _clamp(px, w), _clamp(py, h)
    row = (view * P + i) * (C + 4)
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        seen = interpolate(maps, view * h * w, px, py, channel, h, w, C)
        tl.store(vectors + row[:, None] + channel[None, :], seen, mask=exists[:, None] & (channel < C)[None, :])
    ax, ay, az, _ = _unit(x, y, z, centers + (b * (S + 1) + S) * 3)
    bx, by, bz, _ = _unit(x, y, z, centers + (view + b) * 3)
    dx, dy, dz = ax - bx, ay - by, az - bz
    scale = 1 / tl.maximum(tl.sqrt(dx * dx + dy * dy + dz * dz), 1e-6)
    tl.store(vectors + row + C, dx * scale, mask=exists)
    tl.store(vectors + row + C + 1, dy * scale, mask=exists)
    tl.store(vectors + row + C + 2, dz * scale, mask=exists)
    tl.store(vectors + row + C + 3, ax * bx + ay * by + az * bz, mask=exists)


@kernel
def _backward_maps_kernel(
    grad, points, matrix, grad_maps, P, h, w, S: constexpr, C: constexpr, BLOCK: constexpr, CHANNELS: constexpr
):
    """Add the gradient of the maps, for points in a (batch, source)."""
    view, i, exists = block(P, BLOCK)
    x, y, z = _load_xyz(points + (view // S * P + i) * 3, exists)
    px, py, _ = _project(matrix + view * 12, x, y, z)
    px, py = tl.where(exists, _clamp(px, w), -2.0), _clamp(py, h)
    row = (view * P + i)[:, None] * (C + 4)
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        mask = exists[:, None] & (channel < C)[None, :]
        value = tl.load(grad + row + channel[None, :], mask=mask, other=0.0)
        spread(grad_maps, view * h * w, px, py, channel, value, h, w, C)


@kernel
def _through_unit(ux, uy, uz, length, gx, gy, gz):
    """Gradient g of a unit vector, carried to the point: (g - u (u . g) (length + 1e-6) / length) / (length + 1e-6)."""
    along = (ux * gx + uy * gy + uz * gz) * (length + 1e-6) / tl.maximum(length, 1e-30)
    scale = 1 / (length + 1e-6)
    return (gx - ux * along) * scale, (gy - uy * along) * scale, (gz - uz * along) * scale


@kernel
def _through_direction(x, y, z, target, source, grad, mask):
    """Gradient of the four direction numbers, carried to the points."""
    g0, g1, g2 = _load_xyz(grad, mask)
    g3 = tl.load(grad + 3, mask=mask, other=0.0)
    ax, ay, az, a_length = _unit(x, y, z, target)
    bx, by, bz, b_length = _unit(x, y, z, source)
    dx, dy, dz = ax - bx, ay - by, az - bz
    length = tl.sqrt(dx * dx + dy * dy + dz * dz)
    scale = 1 / tl.maximum(length, 1e-6)
    along = tl.where(length > 1e-6, (dx * g0 + dy * g1 + dz * g2) * scale * scale, 0.0)
    gx, gy, gz = (g0 - dx * along) * scale, (g1 - dy * along) * scale, (g2 - dz * along) * scale
    rx, ry, rz = _through_unit(ax, ay, az, a_length, gx + g3 * bx, gy + g3 * by, gz + g3 * bz)
    sx, sy, sz = _through_unit(bx, by, bz, b_length, g3 * ax - gx, g3 * ay - gy, g3 * az - gz)
    return rx + sx, ry + sy, rz + sz


@kernel
def _backward_points_kernel(
    grad,
    maps,
    points,
    matrix,
    centers,
    grad_points,
    P,
    h,
    w,
    S: constexpr,
    C: constexpr,
    BLOCK: constexpr,
    CHANNELS: constexpr,
):
    """Gradient of points of a batch entry."""
    b, i, exists = block(P, BLOCK)
    point = (b * P + i) * 3
    x, y, z = _load_xyz(points + point, exists)
    tx = tl.zeros((BLOCK,), tl.float32)
    ty = tl.zeros((BLOCK,), tl.float32)
    tz = tl.zeros((BLOCK,), tl.float32)
    for s in tl.static_range(S):
        view = b * S + s
        m = matrix + view * 12
        px, py, depth = _project(m, x, y, z)
        row = (view * P + i) * (C + 4)
        along_x = tl.zeros((BLOCK,), tl.float32)
        along_y = tl.zeros((BLOCK,), tl.float32)
        for start in range(0, C, CHANNELS):
            channel = start + tl.arange(0, CHANNELS)
            mask = exists[:, None] & (channel < C)[None, :]
            value = tl.load(grad + row[:, None] + channel[None, :], mask=mask, other=0.0)
            _, slope_x, slope_y = inner_products(
                maps, view * h * w, _clamp(px, w), _clamp(py, h), channel, value, h, w, C
            )
            along_x += slope_x
            along_y += slope_y
        # A clamped pixel does not move.
        along_x = tl.where((px > 0) & (px < w - 1), along_x / tl.maximum(depth, 1e-6), 0.0)
        along_y = tl.where((py > 0) & (py < h - 1), along_y / tl.maximum(depth, 1e-6), 0.0)
        along_z = tl.where(depth > 1e-6, -(along_x * px + along_y * py), 0.0)
        target, source = centers + (b * (S + 1) + S) * 3, centers + (view + b) * 3
        gx, gy, gz = _through_direction(x, y, z, target, source, grad + row + C, exists)
        tx += gx + along_x * tl.load(m) + along_y * tl.load(m + 4) + along_z * tl.load(m + 8)
        ty += gy + along_x * tl.load(m + 1) + along_y * tl.load(m + 5) + along_z * tl.load(m + 9)
        tz += gz + along_x * tl.load(m + 2) + along_y * tl.load(m + 6) + along_z * tl.load(m + 10)
    tl.store(grad_points + point, tx, mask=exists)
    tl.store(grad_points + point + 1, ty, mask=exists)
    tl.store(grad_points + point + 2, tz, mask=exists)


def sample_forward(maps: Tensor, points: Tensor, matrix: Tensor, centers: Tensor, vectors: Tensor) -> None:
    """Fill `vectors`."""
    B, S = maps.shape[:2]
    _launch(_sample_forward_kernel, B * S, maps, points, maps, points, matrix, centers, vectors)


def backward_maps(grad: Tensor, points: Tensor, matrix: Tensor, grad_maps: Tensor) -> None:
    """Add to `grad_maps`."""
    B, S = grad_maps.shape[:2]
    _launch(_backward_maps_kernel, B * S, grad_maps, points, grad, points, matrix, grad_maps)


def backward_points(
    grad: Tensor, maps: Tensor, points: Tensor, matrix: Tensor, centers: Tensor, grad_points: Tensor
) -> None:
    """Fill `grad_points`."""
    _launch(_backward_points_kernel, maps.shape[0], maps, points, grad, maps, points, matrix, centers, grad_points)


def _launch(kernel: Any, batch: int, maps: Tensor, points: Tensor, *arrays: Tensor) -> None:
    _, S, h, w, C = maps.shape
    P = points.shape[1]
    launch(kernel, batch, P, *arrays, P, h, w, S=S, C=C, **tile(C))
