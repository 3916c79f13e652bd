"""CPU kernels of the view vectors, channels innermost.

Arrays: maps `B S h w C`, points `B P 3`, matrix `B S 3 4` (world to homogeneous pixel), centers `B S+1 3` (of the
sources, then the target), vectors `B S P C+4`. Positions and directions are computed in float64, what is done per
channel in the type of the arrays.
"""

import math

from common.ops._compile import device_function, kernel

# Gradients of the maps are summed by channel blocks, so that no two threads write to the same place.
CHANNEL_BLOCK = 16


def channel_blocks(channels):
    """How many blocks the channels make."""
    return -(-channels // CHANNEL_BLOCK)


@device_function
def _homogeneous(matrix, p):
    u = float(matrix[0, 0]) * p[0] + float(matrix[0, 1]) * p[1] + float(matrix[0, 2]) * p[2] + matrix[0, 3]
    v = float(matrix[1, 0]) * p[0] + float(matrix[1, 1]) * p[1] + float(matrix[1, 2]) * p[2] + matrix[1, 3]
    z = float(matrix[2, 0]) * p[0] + float(matrix[2, 1]) * p[1] + float(matrix[2, 2]) * p[2] + matrix[2, 3]
    return u, v, z


@device_function
def _corners(u, v, z, width, height):
    """Corners and fractions of the pixel, clamped into the map; NaN becomes 0."""
    px, py = u / max(z, 1e-6), v / max(z, 1e-6)
    px = min(px, width - 1.0) if px > 0 else 0.0
    py = min(py, height - 1.0) if py > 0 else 0.0
    x0, y0 = int(px), int(py)
    return x0, min(x0 + 1, width - 1), y0, min(y0 + 1, height - 1), px - x0, py - y0


@device_function
def _unit(p, center):
    """Unit vector from a centre to a point, and the distance."""
    x, y, z = float(p[0]) - center[0], float(p[1]) - center[1], float(p[2]) - center[2]
    length = math.sqrt(x * x + y * y + z * z)
    scale = 1 / (length + 1e-6)
    return x * scale, y * scale, z * scale, length


@device_function
def _write_direction(p, source, target, out):
    ax, ay, az, _ = _unit(p, target)
    bx, by, bz, _ = _unit(p, source)
    dx, dy, dz = ax - bx, ay - by, az - bz
    scale = 1 / max(math.sqrt(dx * dx + dy * dy + dz * dz), 1e-6)
    out[0], out[1], out[2] = dx * scale, dy * scale, dz * scale
    out[3] = ax * bx + ay * by + az * bz


@kernel
def sample_forward(start, stop, maps, points, matrix, centers, vectors):
    """View vectors of a range of (batch, source, point)."""
    S, h, w, C = maps.shape[1:]
    P = points.shape[1]
    cast = maps.dtype.type
    for task in range(start, stop):
        b, s, i = task // (S * P), task // P % S, task % P
        p, out = points[b, i], vectors[b, s, i]
        u, v, z = _homogeneous(matrix[b, s], p)
        x0, x1, y0, y1, fx, fy = _corners(u, v, z, w, h)
        w00, w01, w10, w11 = cast((1 - fy) * (1 - fx)), cast((1 - fy) * fx), cast(fy * (1 - fx)), cast(fy * fx)
        f00, f01, f10, f11 = maps[b, s, y0, x0], maps[b, s, y0, x1], maps[b, s, y1, x0], maps[b, s, y1, x1]
        for c in range(C):
            out[c] = w00 * f00[c] + w01 * f01[c] + w10 * f10[c] + w11 * f11[c]
        _write_direction(p, centers[b, s], centers[b, S], out[C:])


@device_function
def _add_scaled(total, weight, values):
    for c in range(len(total)):
        total[c] += weight * values[c]


@kernel
def backward_maps(start, stop, grad, points, matrix, grad_maps):
    """Add the gradient of the maps, for a range of (batch, source, channel block)."""
    S, h, w, C = grad_maps.shape[1:]
    blocks = (C + CHANNEL_BLOCK - 1) // CHANNEL_BLOCK
    cast = grad_maps.dtype.type
    for task in range(start, stop):
        b, s, block = task // (S * blocks), task // blocks % S, task % blocks
        first, last = block * CHANNEL_BLOCK, min((block + 1) * CHANNEL_BLOCK, C)
        for i in range(points.shape[1]):
            u, v, z = _homogeneous(matrix[b, s], points[b, i])
            x0, x1, y0, y1, fx, fy = _corners(u, v, z, w, h)
            g = grad[b, s, i, first:last]
            _add_scaled(grad_maps[b, s, y0, x0, first:last], cast((1 - fy) * (1 - fx)), g)
            _add_scaled(grad_maps[b, s, y0, x1, first:last], cast((1 - fy) * fx), g)
            _add_scaled(grad_maps[b, s, y1, x0, first:last], cast(fy * (1 - fx)), g)
            _add_scaled(grad_maps[b, s, y1, x1, first:last], cast(fy * fx), g)


@device_function
def _through_pixel(maps, g, matrix, p):
    """Gradient of the sampled features, dotted with `g`, with respect to the point."""
    h, w, C = maps.shape
    u, v, z = _homogeneous(matrix, p)
    x0, x1, y0, y1, fx, fy = _corners(u, v, z, w, h)
    f00, f01, f10, f11 = maps[y0, x0], maps[y0, x1], maps[y1, x0], maps[y1, x1]
    d00 = d01 = d10 = d11 = maps.dtype.type(0)
    for c in range(C):
        d00 += f00[c] * g[c]
        d01 += f01[c] * g[c]
        d10 += f10[c] * g[c]
        d11 += f11[c] * g[c]
    safe = max(z, 1e-6)
    px, py = u / safe, v / safe
    # A clamped pixel does not move.
    along_x = ((1 - fy) * (d01 - d00) + fy * (d11 - d10)) / safe if 0 < px < w - 1 else 0.0
    along_y = ((1 - fx) * (d10 - d00) + fx * (d11 - d01)) / safe if 0 < py < h - 1 else 0.0
    along_z = -(along_x * px + along_y * py) if z > 1e-6 else 0.0
    gx = along_x * matrix[0, 0] + along_y * matrix[1, 0] + along_z * matrix[2, 0]
    gy = along_x * matrix[0, 1] + along_y * matrix[1, 1] + along_z * matrix[2, 1]
    gz = along_x * matrix[0, 2] + along_y * matrix[1, 2] + along_z * matrix[2, 2]
    return gx, gy, gz


@device_function
def _through_unit(ux, uy, uz, length, gx, gy, gz):
    """Gradient g of a unit vector, carried to the point: (g - u (u . g) (length + 1e-6) / length) / (length + 1e-6)."""
    along = (ux * gx + uy * gy + uz * gz) * (length + 1e-6) / max(length, 1e-30)
    scale = 1 / (length + 1e-6)
    return (gx - ux * along) * scale, (gy - uy * along) * scale, (gz - uz * along) * scale


@device_function
def _through_direction(p, source, target, g):
    ax, ay, az, a_length = _unit(p, target)
    bx, by, bz, b_length = _unit(p, source)
    dx, dy, dz = ax - bx, ay - by, az - bz
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    scale = 1 / max(length, 1e-6)
    along = (dx * g[0] + dy * g[1] + dz * g[2]) * scale * scale if length > 1e-6 else 0.0
    gx, gy, gz = (g[0] - dx * along) * scale, (g[1] - dy * along) * scale, (g[2] - dz * along) * scale
    rx, ry, rz = _through_unit(ax, ay, az, a_length, gx + g[3] * bx, gy + g[3] * by, gz + g[3] * bz)
    sx, sy, sz = _through_unit(bx, by, bz, b_length, g[3] * ax - gx, g[3] * ay - gy, g[3] * az - gz)
    return rx + sx, ry + sy, rz + sz


@kernel
def backward_points(start, stop, grad, maps, points, matrix, centers, grad_points):
    """Gradient of a range of (batch, point)."""
    S, C = maps.shape[1], maps.shape[4]
    P = points.shape[1]
    for index in range(start, stop):
        b, i = index // P, index % P
        p = points[b, i]
        tx = ty = tz = 0.0
        for s in range(S):
            g = grad[b, s, i]
            x, y, z = _through_pixel(maps[b, s], g[:C], matrix[b, s], p)
            dx, dy, dz = _through_direction(p, centers[b, s], centers[b, S], g[C:])
            tx, ty, tz = tx + x + dx, ty + y + dy, tz + z + dz
        grad_points[b, i, 0], grad_points[b, i, 1], grad_points[b, i, 2] = tx, ty, tz
