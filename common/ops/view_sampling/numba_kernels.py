"""CPU kernels of the view vectors, channels innermost.

Arrays: maps `B S h w C`, points `B P 3`, matrix `B S 3 4` (world to homogeneous pixel), centers `B S+1 3` (of the
sources, then the target), vectors `B S P C+4`. Positions and directions are computed in float64, what is done per
channel in the type of the arrays. Elements are indexed in place: a slice of an array costs more than what is done with
it here.
"""

import math

from torch import Tensor

from common.ops._compile import device_function, kernel, launch

# Gradients of the maps are summed by channel blocks, so that no two threads write to the same place.
CHANNEL_BLOCK = 16


@device_function
def _homogeneous(m, b, s, x, y, z):
    u = m[b, s, 0, 0] * x + m[b, s, 0, 1] * y + m[b, s, 0, 2] * z + m[b, s, 0, 3]
    v = m[b, s, 1, 0] * x + m[b, s, 1, 1] * y + m[b, s, 1, 2] * z + m[b, s, 1, 3]
    return u, v, m[b, s, 2, 0] * x + m[b, s, 2, 1] * y + m[b, s, 2, 2] * z + m[b, s, 2, 3]


@device_function
def _corners(u, v, z, width, height):
    """Corners x0, x1, y0, y1 and fractions of the pixel, clamped into the map; NaN becomes 0."""
    px, py = u / max(z, 1e-6), v / max(z, 1e-6)
    px = min(px, width - 1.0) if px > 0 else 0.0
    py = min(py, height - 1.0) if py > 0 else 0.0
    x0, y0 = int(px), int(py)
    return x0, min(x0 + 1, width - 1), y0, min(y0 + 1, height - 1), px - x0, py - y0


@device_function
def _unit(x, y, z, centers, b, s):
    """Unit vector from a centre to a point, and the distance."""
    x, y, z = x - centers[b, s, 0], y - centers[b, s, 1], z - centers[b, s, 2]
    length = math.sqrt(x * x + y * y + z * z)
    scale = 1 / (length + 1e-6)
    return x * scale, y * scale, z * scale, length


@kernel
def _sample_forward_kernel(start, stop, maps, points, matrix, centers, vectors):
    """View vectors of a range of (batch, point)."""
    S, h, w, C = maps.shape[1:]
    P = points.shape[1]
    cast = maps.dtype.type
    for index in range(start, stop):
        b, i = index // P, index % P
        x, y, z = float(points[b, i, 0]), float(points[b, i, 1]), float(points[b, i, 2])
        ax, ay, az, _ = _unit(x, y, z, centers, b, S)
        for s in range(S):
            u, v, depth = _homogeneous(matrix, b, s, x, y, z)
            x0, x1, y0, y1, fx, fy = _corners(u, v, depth, w, h)
            w00, w01, w10, w11 = cast((1 - fy) * (1 - fx)), cast((1 - fy) * fx), cast(fy * (1 - fx)), cast(fy * fx)
            for c in range(C):
                vectors[b, s, i, c] = (
                    w00 * maps[b, s, y0, x0, c]
                    + w01 * maps[b, s, y0, x1, c]
                    + w10 * maps[b, s, y1, x0, c]
                    + w11 * maps[b, s, y1, x1, c]
                )
            bx, by, bz, _ = _unit(x, y, z, centers, b, s)
            dx, dy, dz = ax - bx, ay - by, az - bz
            scale = 1 / max(math.sqrt(dx * dx + dy * dy + dz * dz), 1e-6)
            vectors[b, s, i, C] = dx * scale
            vectors[b, s, i, C + 1] = dy * scale
            vectors[b, s, i, C + 2] = dz * scale
            vectors[b, s, i, C + 3] = ax * bx + ay * by + az * bz


@kernel
def _backward_maps_kernel(start, stop, grad, points, matrix, grad_maps):
    """Add the gradient of the maps, for a range of (batch, source, channel block)."""
    S, h, w, C = grad_maps.shape[1:]
    blocks = (C + CHANNEL_BLOCK - 1) // CHANNEL_BLOCK
    cast = grad_maps.dtype.type
    for task in range(start, stop):
        b, s, block = task // (S * blocks), task // blocks % S, task % blocks
        first, last = block * CHANNEL_BLOCK, min((block + 1) * CHANNEL_BLOCK, C)
        for i in range(points.shape[1]):
            x, y, z = float(points[b, i, 0]), float(points[b, i, 1]), float(points[b, i, 2])
            u, v, depth = _homogeneous(matrix, b, s, x, y, z)
            x0, x1, y0, y1, fx, fy = _corners(u, v, depth, w, h)
            w00, w01, w10, w11 = cast((1 - fy) * (1 - fx)), cast((1 - fy) * fx), cast(fy * (1 - fx)), cast(fy * fx)
            for c in range(first, last):
                grad_maps[b, s, y0, x0, c] += w00 * grad[b, s, i, c]
            for c in range(first, last):
                grad_maps[b, s, y0, x1, c] += w01 * grad[b, s, i, c]
            for c in range(first, last):
                grad_maps[b, s, y1, x0, c] += w10 * grad[b, s, i, c]
            for c in range(first, last):
                grad_maps[b, s, y1, x1, c] += w11 * grad[b, s, i, c]


@device_function
def _through_unit(ux, uy, uz, length, gx, gy, gz):
    """Gradient g of a unit vector, carried to the point: (g - u (u . g) (length + 1e-6) / length) / (length + 1e-6)."""
    along = (ux * gx + uy * gy + uz * gz) * (length + 1e-6) / max(length, 1e-30)
    scale = 1 / (length + 1e-6)
    return (gx - ux * along) * scale, (gy - uy * along) * scale, (gz - uz * along) * scale


@device_function
def _through_direction(x, y, z, centers, b, s, target, g0, g1, g2, g3):
    """Gradient of the four direction numbers, carried to the point."""
    ax, ay, az, a_length = _unit(x, y, z, centers, b, target)
    bx, by, bz, b_length = _unit(x, y, z, centers, b, s)
    dx, dy, dz = ax - bx, ay - by, az - bz
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    scale = 1 / max(length, 1e-6)
    along = (dx * g0 + dy * g1 + dz * g2) * scale * scale if length > 1e-6 else 0.0
    gx, gy, gz = (g0 - dx * along) * scale, (g1 - dy * along) * scale, (g2 - dz * along) * scale
    rx, ry, rz = _through_unit(ax, ay, az, a_length, gx + g3 * bx, gy + g3 * by, gz + g3 * bz)
    sx, sy, sz = _through_unit(bx, by, bz, b_length, g3 * ax - gx, g3 * ay - gy, g3 * az - gz)
    return rx + sx, ry + sy, rz + sz


@kernel
def _backward_points_kernel(start, stop, grad, maps, points, matrix, centers, grad_points):
    """Gradient of a range of (batch, point)."""
    S, h, w, C = maps.shape[1:]
    P = points.shape[1]
    m = matrix
    for index in range(start, stop):
        b, i = index // P, index % P
        x, y, z = float(points[b, i, 0]), float(points[b, i, 1]), float(points[b, i, 2])
        tx = ty = tz = 0.0
        for s in range(S):
            u, v, depth = _homogeneous(m, b, s, x, y, z)
            x0, x1, y0, y1, fx, fy = _corners(u, v, depth, w, h)
            d00 = d01 = d10 = d11 = maps.dtype.type(0)
            for c in range(C):
                g = grad[b, s, i, c]
                d00 += maps[b, s, y0, x0, c] * g
                d01 += maps[b, s, y0, x1, c] * g
                d10 += maps[b, s, y1, x0, c] * g
                d11 += maps[b, s, y1, x1, c] * g
            px, py = u / max(depth, 1e-6), v / max(depth, 1e-6)
            # A clamped pixel does not move.
            along_x = ((1 - fy) * (d01 - d00) + fy * (d11 - d10)) / max(depth, 1e-6) if 0 < px < w - 1 else 0.0
            along_y = ((1 - fx) * (d10 - d00) + fx * (d11 - d01)) / max(depth, 1e-6) if 0 < py < h - 1 else 0.0
            along_z = -(along_x * px + along_y * py) if depth > 1e-6 else 0.0
            gx, gy, gz = _through_direction(
                x,
                y,
                z,
                centers,
                b,
                s,
                S,
                grad[b, s, i, C],
                grad[b, s, i, C + 1],
                grad[b, s, i, C + 2],
                grad[b, s, i, C + 3],
            )
            tx += gx + along_x * m[b, s, 0, 0] + along_y * m[b, s, 1, 0] + along_z * m[b, s, 2, 0]
            ty += gy + along_x * m[b, s, 0, 1] + along_y * m[b, s, 1, 1] + along_z * m[b, s, 2, 1]
            tz += gz + along_x * m[b, s, 0, 2] + along_y * m[b, s, 1, 2] + along_z * m[b, s, 2, 2]
        grad_points[b, i, 0], grad_points[b, i, 1], grad_points[b, i, 2] = tx, ty, tz


def sample_forward(maps: Tensor, points: Tensor, matrix: Tensor, centers: Tensor, vectors: Tensor) -> None:
    """Fill `vectors`."""
    launch(_sample_forward_kernel, points[..., 0].numel(), maps, points, matrix, centers, vectors)


def backward_maps(grad: Tensor, points: Tensor, matrix: Tensor, grad_maps: Tensor) -> None:
    """Add to `grad_maps`."""
    tasks = grad_maps.shape[0] * grad_maps.shape[1] * -(-grad_maps.shape[-1] // CHANNEL_BLOCK)
    launch(_backward_maps_kernel, tasks, grad, points, matrix, grad_maps)


def backward_points(
    grad: Tensor, maps: Tensor, points: Tensor, matrix: Tensor, centers: Tensor, grad_points: Tensor
) -> None:
    """Fill `grad_points`."""
    launch(_backward_points_kernel, points[..., 0].numel(), grad, maps, points, matrix, centers, grad_points)
