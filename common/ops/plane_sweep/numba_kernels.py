"""CPU kernels of the plane sweep, channels innermost.

Arrays: features `B S h w C`, matrix `B S 3 4`, depth `B D H W`, warped `B S D H W C`, volume `B D H W 2C`. Every kernel
recomputes where a target pixel lands; nothing but its result is stored. Positions are float64 (numba's type of integer
times float32), what is done per channel has the arrays' own type.
"""

import numpy as np

from common.ops._compile import device_function, kernel

# Gradients of the features are summed by channel blocks, so that no two threads write to the same place.
CHANNEL_BLOCK = 16


def channel_blocks(channels):
    """How many blocks the channels make."""
    return -(-channels // CHANNEL_BLOCK)


@device_function
def _project(matrix, x, y, depth):
    """Source pixel of a target pixel, and its homogeneous coordinate."""
    u = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] + matrix[0, 3] / depth
    v = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] + matrix[1, 3] / depth
    z = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] + matrix[2, 3] / depth
    return u / max(z, 1e-6), v / max(z, 1e-6), z


@device_function
def _is_seen(px, py, width, height):
    """Some tap of the bilinear interpolation lies inside; false for NaN."""
    return px > -1 and py > -1 and px < width and py < height


@device_function
def _corners(px, py, width, height):
    """Clamped integer corners, and weights along x and y, zero outside."""
    x0, y0 = int(np.floor(px)), int(np.floor(py))
    left = 1 - (px - x0) if x0 >= 0 else 0.0
    right = px - x0 if x0 + 1 < width else 0.0
    top = 1 - (py - y0) if y0 >= 0 else 0.0
    bottom = py - y0 if y0 + 1 < height else 0.0
    return max(x0, 0), min(x0 + 1, width - 1), max(y0, 0), min(y0 + 1, height - 1), left, right, top, bottom


@device_function
def _interpolate(features, px, py, out):
    h, w, C = features.shape
    x0, x1, y0, y1, left, right, top, bottom = _corners(px, py, w, h)
    cast = features.dtype.type
    w00, w01, w10, w11 = cast(top * left), cast(top * right), cast(bottom * left), cast(bottom * right)
    f00, f01, f10, f11 = features[y0, x0], features[y0, x1], features[y1, x0], features[y1, x1]
    for c in range(C):
        out[c] = w00 * f00[c] + w01 * f01[c] + w10 * f10[c] + w11 * f11[c]


@device_function
def _scatter(grad_features, px, py, grad):
    h, w = grad_features.shape[:2]
    x0, x1, y0, y1, left, right, top, bottom = _corners(px, py, w, h)
    cast = grad_features.dtype.type
    _add_scaled(grad_features[y0, x0], cast(top * left), grad)
    _add_scaled(grad_features[y0, x1], cast(top * right), grad)
    _add_scaled(grad_features[y1, x0], cast(bottom * left), grad)
    _add_scaled(grad_features[y1, x1], cast(bottom * right), grad)


@device_function
def _add_scaled(total, weight, values):
    for c in range(len(values)):
        total[c] += weight * values[c]


@kernel
def warp_forward(start, stop, features, matrix, depth, warped):
    """Features seen, for a range of (batch, source, plane, row)."""
    S, h, w = features.shape[1:4]
    D, H, W = depth.shape[1:]
    for row in range(start, stop):
        b, s, d, y = row // (S * D * H), row // (D * H) % S, row // H % D, row % H
        for x in range(W):
            px, py, _ = _project(matrix[b, s], x, y, depth[b, d, y, x])
            if _is_seen(px, py, w, h):
                _interpolate(features[b, s], px, py, warped[b, s, d, y, x])
            else:
                warped[b, s, d, y, x] = 0


@kernel
def warp_backward_features(start, stop, grad, matrix, depth, grad_features):
    """Add the gradient of the features, for a range of (batch, source, channel block)."""
    S, h, w, C = grad_features.shape[1:]
    D, H, W = depth.shape[1:]
    blocks = (C + CHANNEL_BLOCK - 1) // CHANNEL_BLOCK
    for task in range(start, stop):
        b, s, block = task // (S * blocks), task // blocks % S, task % blocks
        first, last = block * CHANNEL_BLOCK, min((block + 1) * CHANNEL_BLOCK, C)
        for row in range(D * H):
            d, y = row // H, row % H
            for x in range(W):
                px, py, _ = _project(matrix[b, s], x, y, depth[b, d, y, x])
                if _is_seen(px, py, w, h):
                    _scatter(grad_features[b, s, :, :, first:last], px, py, grad[b, s, d, y, x, first:last])


@kernel
def warp_backward_depth(start, stop, grad, features, matrix, depth, grad_depth):
    """Gradient of the hypotheses, for a range of (batch, plane, row)."""
    S, h, w = features.shape[1:4]
    D, H, W = depth.shape[1:]
    for row in range(start, stop):
        b, d, y = row // (D * H), row // H % D, row % H
        for x in range(W):
            z = depth[b, d, y, x]
            total = 0.0
            for s in range(S):
                px, py, homogeneous = _project(matrix[b, s], x, y, z)
                if _is_seen(px, py, w, h):
                    along_x, along_y = _slope(features[b, s], grad[b, s, d, y, x], px, py)
                    # The quotient rule; below the floor of z only the numerators move.
                    dz = matrix[b, s, 2, 3] if homogeneous > 1e-6 else 0.0
                    dx, dy = matrix[b, s, 0, 3] - px * dz, matrix[b, s, 1, 3] - py * dz
                    total -= (along_x * dx + along_y * dy) / max(homogeneous, 1e-6)
            grad_depth[b, d, y, x] = total / (z * z)


@device_function
def _slope(features, grad, px, py):
    """How the sampled value, dotted with `grad`, changes along x and y of the source."""
    h, w, C = features.shape
    x0, x1, y0, y1 = _corners(px, py, w, h)[:4]
    f00, f01, f10, f11 = features[y0, x0], features[y0, x1], features[y1, x0], features[y1, x1]
    d00 = d01 = d10 = d11 = features.dtype.type(0)
    for c in range(C):
        d00 += f00[c] * grad[c]
        d01 += f01[c] * grad[c]
        d10 += f10[c] * grad[c]
        d11 += f11[c] * grad[c]
    # A tap outside counts as zero: its weight is zero along one axis, but not its place in the difference.
    if px < 0:
        d00 = d10 = features.dtype.type(0)
    if px >= w - 1:
        d01 = d11 = features.dtype.type(0)
    if py < 0:
        d00 = d01 = features.dtype.type(0)
    if py >= h - 1:
        d10 = d11 = features.dtype.type(0)
    fx, fy = px - np.floor(px), py - np.floor(py)
    return (1 - fy) * (d01 - d00) + fy * (d11 - d10), (1 - fx) * (d10 - d00) + fx * (d11 - d01)


@kernel
def variance_forward(start, stop, features, matrix, depth, volume):
    """Variance and context, for a range of (batch, plane, row)."""
    S, h, w, C = features.shape[1:]
    D, H, W = depth.shape[1:]
    for row in range(start, stop):
        b, d, y = row // (D * H), row // H % D, row % H
        value = np.zeros((3, C), features.dtype)
        for x in range(W):
            value[:] = 0
            for s in range(S):
                px, py, _ = _project(matrix[b, s], x, y, depth[b, d, y, x])
                if _is_seen(px, py, w, h):
                    _interpolate(features[b, s], px, py, value[0])
                    for c in range(C):
                        value[1, c] += value[0, c]
                        value[2, c] += value[0, c] * value[0, c]
            share = features.dtype.type(1 / S)
            for c in range(C):
                mean = value[1, c] * share
                volume[b, d, y, x, c] = value[2, c] * share - mean * mean
                volume[b, d, y, x, C + c] = mean * mean * share


@kernel
def variance_backward(start, stop, grad, features, matrix, depth, grad_features):
    """Add the gradient of the features, for a range of (batch, channel block)."""
    S, h, w, C = features.shape[1:]
    D, H, W = depth.shape[1:]
    blocks = (C + CHANNEL_BLOCK - 1) // CHANNEL_BLOCK
    share = features.dtype.type(1 / S)
    for task in range(start, stop):
        b, block = task // blocks, task % blocks
        first, last = block * CHANNEL_BLOCK, min((block + 1) * CHANNEL_BLOCK, C)
        value = np.zeros((S, last - first), features.dtype)
        mean = np.empty(last - first, features.dtype)
        for row in range(D * H):
            d, y = row // H, row % H
            for x in range(W):
                mean[:] = 0
                for s in range(S):
                    px, py, _ = _project(matrix[b, s], x, y, depth[b, d, y, x])
                    value[s] = 0
                    if _is_seen(px, py, w, h):
                        _interpolate(features[b, s, :, :, first:last], px, py, value[s])
                        _add_scaled(mean, share, value[s])
                of_variance, of_context = grad[b, d, y, x, first:last], grad[b, d, y, x, C + first : C + last]
                for s in range(S):
                    px, py, _ = _project(matrix[b, s], x, y, depth[b, d, y, x])
                    if _is_seen(px, py, w, h):
                        for c in range(last - first):
                            change = of_variance[c] * (value[s, c] - mean[c]) + of_context[c] * mean[c] * share
                            value[s, c] = 2 * share * change
                        _scatter(grad_features[b, s, :, :, first:last], px, py, value[s])
