"""CPU kernels of the plane sweep, channels innermost.

Arrays: features `B S h w C`, matrix `B S 3 4`, depth `B D H W`, warped `B S D H W C`, volume `B D H W 2C`. Every kernel
recomputes where a target pixel lands; nothing but its result is stored. Positions are float64, what is done per channel
has the arrays' own type. Elements are indexed in place: a slice of an array costs more than what is done with it here.
"""

import numpy as np
from torch import Tensor

from common.ops._compile import device_function, kernel, launch

# Gradients of the features are summed by channel blocks, so that no two threads write to the same place.
CHANNEL_BLOCK = 16


@device_function
def _project(m, b, s, x, y, depth):
    """Source pixel of a target pixel, and its homogeneous coordinate."""
    u = m[b, s, 0, 0] * float(x) + m[b, s, 0, 1] * float(y) + m[b, s, 0, 2] + m[b, s, 0, 3] / float(depth)
    v = m[b, s, 1, 0] * float(x) + m[b, s, 1, 1] * float(y) + m[b, s, 1, 2] + m[b, s, 1, 3] / float(depth)
    z = m[b, s, 2, 0] * float(x) + m[b, s, 2, 1] * float(y) + m[b, s, 2, 2] + m[b, s, 2, 3] / float(depth)
    return u / max(z, 1e-6), v / max(z, 1e-6), z


@device_function
def _is_seen(px, py, width, height):
    """Some tap of the bilinear interpolation lies inside; false for NaN."""
    return px > -1 and py > -1 and px < width and py < height


@device_function
def _taps(px, py, width, height):
    """Clamped corners x0, x1, y0, y1 and the weights of 00, 01, 10, 11 (row, column), zero outside."""
    x0, y0 = int(np.floor(px)), int(np.floor(py))
    left = 1 - (px - x0) if x0 >= 0 else 0.0
    right = px - x0 if x0 + 1 < width else 0.0
    top = 1 - (py - y0) if y0 >= 0 else 0.0
    bottom = py - y0 if y0 + 1 < height else 0.0
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    return max(x0, 0), x1, max(y0, 0), y1, top * left, top * right, bottom * left, bottom * right


@kernel
def _warp_forward_kernel(start, stop, features, matrix, depth, warped):
    """Features seen, for a range of (batch, source, plane, row)."""
    S, h, w, C = features.shape[1:]
    D, H, W = depth.shape[1:]
    cast = features.dtype.type
    for row in range(start, stop):
        b, s, d, y = row // (S * D * H), row // (D * H) % S, row // H % D, row % H
        for x in range(W):
            px, py, _ = _project(matrix, b, s, x, y, depth[b, d, y, x])
            if _is_seen(px, py, w, h):
                x0, x1, y0, y1, w00, w01, w10, w11 = _taps(px, py, w, h)
                w00, w01, w10, w11 = cast(w00), cast(w01), cast(w10), cast(w11)
                for c in range(C):
                    warped[b, s, d, y, x, c] = (
                        w00 * features[b, s, y0, x0, c]
                        + w01 * features[b, s, y0, x1, c]
                        + w10 * features[b, s, y1, x0, c]
                        + w11 * features[b, s, y1, x1, c]
                    )
            else:
                for c in range(C):
                    warped[b, s, d, y, x, c] = 0


@kernel
def _warp_backward_features_kernel(start, stop, grad, matrix, depth, grad_features):
    """Add the gradient of the features, for a range of (batch, source, channel block)."""
    S, h, w, C = grad_features.shape[1:]
    D, H, W = depth.shape[1:]
    blocks = (C + CHANNEL_BLOCK - 1) // CHANNEL_BLOCK
    cast = grad_features.dtype.type
    for task in range(start, stop):
        b, s, block = task // (S * blocks), task // blocks % S, task % blocks
        first, last = block * CHANNEL_BLOCK, min((block + 1) * CHANNEL_BLOCK, C)
        for row in range(D * H):
            d, y = row // H, row % H
            for x in range(W):
                px, py, _ = _project(matrix, b, s, x, y, depth[b, d, y, x])
                if not _is_seen(px, py, w, h):
                    continue
                x0, x1, y0, y1, w00, w01, w10, w11 = _taps(px, py, w, h)
                w00, w01, w10, w11 = cast(w00), cast(w01), cast(w10), cast(w11)
                for c in range(first, last):
                    grad_features[b, s, y0, x0, c] += w00 * grad[b, s, d, y, x, c]
                for c in range(first, last):
                    grad_features[b, s, y0, x1, c] += w01 * grad[b, s, d, y, x, c]
                for c in range(first, last):
                    grad_features[b, s, y1, x0, c] += w10 * grad[b, s, d, y, x, c]
                for c in range(first, last):
                    grad_features[b, s, y1, x1, c] += w11 * grad[b, s, d, y, x, c]


@kernel
def _warp_backward_depth_kernel(start, stop, grad, features, matrix, depth, grad_depth):
    """Gradient of the hypotheses, for a range of (batch, plane, row)."""
    S, h, w, C = features.shape[1:]
    D, H, W = depth.shape[1:]
    zero = features.dtype.type(0)
    for row in range(start, stop):
        b, d, y = row // (D * H), row // H % D, row % H
        for x in range(W):
            z = float(depth[b, d, y, x])
            total = 0.0
            for s in range(S):
                px, py, homogeneous = _project(matrix, b, s, x, y, z)
                if not _is_seen(px, py, w, h):
                    continue
                x0, x1, y0, y1 = _taps(px, py, w, h)[:4]
                d00 = d01 = d10 = d11 = zero
                for c in range(C):
                    g = grad[b, s, d, y, x, c]
                    d00 += features[b, s, y0, x0, c] * g
                    d01 += features[b, s, y0, x1, c] * g
                    d10 += features[b, s, y1, x0, c] * g
                    d11 += features[b, s, y1, x1, c] * g
                along_x, along_y = _slope(px, py, w, h, d00, d01, d10, d11)
                # The quotient rule; below the floor of z only the numerators move.
                dz = matrix[b, s, 2, 3] if homogeneous > 1e-6 else 0.0
                dx, dy = matrix[b, s, 0, 3] - px * dz, matrix[b, s, 1, 3] - py * dz
                total -= (along_x * dx + along_y * dy) / max(homogeneous, 1e-6)
            grad_depth[b, d, y, x] = total / (z * z)


@device_function
def _slope(px, py, width, height, d00, d01, d10, d11):
    """How an interpolated value changes along x and y, from the values at its four taps; zero outside."""
    if px < 0:
        d00, d10 = 0 * d00, 0 * d10
    if px >= width - 1:
        d01, d11 = 0 * d01, 0 * d11
    if py < 0:
        d00, d01 = 0 * d00, 0 * d01
    if py >= height - 1:
        d10, d11 = 0 * d10, 0 * d11
    fx, fy = px - np.floor(px), py - np.floor(py)
    return (1 - fy) * (d01 - d00) + fy * (d11 - d10), (1 - fx) * (d10 - d00) + fx * (d11 - d01)


@kernel
def _variance_forward_kernel(start, stop, features, matrix, depth, volume):
    """Variance and context, for a range of (batch, plane, row)."""
    S, h, w, C = features.shape[1:]
    D, H, W = depth.shape[1:]
    cast = features.dtype.type
    share = cast(1 / S)
    for row in range(start, stop):
        b, d, y = row // (D * H), row // H % D, row % H
        for x in range(W):
            for c in range(2 * C):
                volume[b, d, y, x, c] = 0
            for s in range(S):
                px, py, _ = _project(matrix, b, s, x, y, depth[b, d, y, x])
                if not _is_seen(px, py, w, h):
                    continue
                x0, x1, y0, y1, w00, w01, w10, w11 = _taps(px, py, w, h)
                w00, w01, w10, w11 = cast(w00), cast(w01), cast(w10), cast(w11)
                for c in range(C):
                    value = (
                        w00 * features[b, s, y0, x0, c]
                        + w01 * features[b, s, y0, x1, c]
                        + w10 * features[b, s, y1, x0, c]
                        + w11 * features[b, s, y1, x1, c]
                    )
                    volume[b, d, y, x, c] += value * value
                    volume[b, d, y, x, C + c] += value
            for c in range(C):
                mean = volume[b, d, y, x, C + c] * share
                volume[b, d, y, x, c] = volume[b, d, y, x, c] * share - mean * mean
                volume[b, d, y, x, C + c] = mean * mean * share


@kernel
def _variance_backward_kernel(start, stop, grad, features, matrix, depth, grad_features):
    """Add the gradient of the features, for a range of (batch, channel block)."""
    S, h, w, C = features.shape[1:]
    D, H, W = depth.shape[1:]
    blocks = (C + CHANNEL_BLOCK - 1) // CHANNEL_BLOCK
    cast = features.dtype.type
    share = cast(1 / S)
    for task in range(start, stop):
        b, block = task // blocks, task % blocks
        first = block * CHANNEL_BLOCK
        count = min(CHANNEL_BLOCK, C - first)
        value = np.zeros((S, count), features.dtype)
        mean = np.empty(count, features.dtype)
        for row in range(D * H):
            d, y = row // H, row % H
            for x in range(W):
                for c in range(count):
                    mean[c] = 0
                for s in range(S):
                    px, py, _ = _project(matrix, b, s, x, y, depth[b, d, y, x])
                    if not _is_seen(px, py, w, h):
                        for c in range(count):
                            value[s, c] = 0
                        continue
                    x0, x1, y0, y1, w00, w01, w10, w11 = _taps(px, py, w, h)
                    w00, w01, w10, w11 = cast(w00), cast(w01), cast(w10), cast(w11)
                    for c in range(count):
                        value[s, c] = (
                            w00 * features[b, s, y0, x0, first + c]
                            + w01 * features[b, s, y0, x1, first + c]
                            + w10 * features[b, s, y1, x0, first + c]
                            + w11 * features[b, s, y1, x1, first + c]
                        )
                        mean[c] += value[s, c] * share
                for s in range(S):
                    px, py, _ = _project(matrix, b, s, x, y, depth[b, d, y, x])
                    if not _is_seen(px, py, w, h):
                        continue
                    for c in range(count):
                        spread = grad[b, d, y, x, first + c] * (value[s, c] - mean[c])
                        value[s, c] = 2 * share * (spread + grad[b, d, y, x, C + first + c] * mean[c] * share)
                    x0, x1, y0, y1, w00, w01, w10, w11 = _taps(px, py, w, h)
                    w00, w01, w10, w11 = cast(w00), cast(w01), cast(w10), cast(w11)
                    for c in range(count):
                        grad_features[b, s, y0, x0, first + c] += w00 * value[s, c]
                    for c in range(count):
                        grad_features[b, s, y0, x1, first + c] += w01 * value[s, c]
                    for c in range(count):
                        grad_features[b, s, y1, x0, first + c] += w10 * value[s, c]
                    for c in range(count):
                        grad_features[b, s, y1, x1, first + c] += w11 * value[s, c]


@kernel
def _difference_forward_kernel(start, stop, features, matrix, depth, target, warped, squared):
    """Features seen and squared difference to the target `B H W C`, for a range of (batch, source, plane, row)."""
    S, h, w, C = features.shape[1:]
    D, H, W = depth.shape[1:]
    cast = features.dtype.type
    for row in range(start, stop):
        b, s, d, y = row // (S * D * H), row // (D * H) % S, row // H % D, row % H
        for x in range(W):
            px, py, _ = _project(matrix, b, s, x, y, depth[b, d, y, x])
            if _is_seen(px, py, w, h):
                x0, x1, y0, y1, w00, w01, w10, w11 = _taps(px, py, w, h)
            else:
                x0, x1, y0, y1, w00, w01, w10, w11 = 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0
            w00, w01, w10, w11 = cast(w00), cast(w01), cast(w10), cast(w11)
            for c in range(C):
                seen = (
                    w00 * features[b, s, y0, x0, c]
                    + w01 * features[b, s, y0, x1, c]
                    + w10 * features[b, s, y1, x0, c]
                    + w11 * features[b, s, y1, x1, c]
                )
                warped[b, s, d, y, x, c] = seen
                squared[b, s, d, y, x, c] = (seen - target[b, y, x, c]) * (seen - target[b, y, x, c])


@kernel
def _adaptive_forward_kernel(start, stop, warped, squared, weight, volume):
    """Weighted means of the squared differences and of the features, for a range of (batch, plane, row)."""
    S, D, H, W, C = warped.shape[1:]
    share = warped.dtype.type(1 / S)
    for row in range(start, stop):
        b, d, y = row // (D * H), row // H % D, row % H
        for x in range(W):
            for c in range(2 * C):
                volume[b, d, y, x, c] = 0
            for s in range(S):
                scale = weight[b, s, d, y, x] * share
                for c in range(C):
                    volume[b, d, y, x, c] += scale * squared[b, s, d, y, x, c]
                for c in range(C):
                    volume[b, d, y, x, C + c] += scale * warped[b, s, d, y, x, c]


def warp_forward(features: Tensor, matrix: Tensor, depth: Tensor, warped: Tensor) -> None:
    """Fill `warped`."""
    launch(_warp_forward_kernel, warped[..., 0, 0].numel(), features, matrix, depth, warped)


def warp_backward_features(grad: Tensor, matrix: Tensor, depth: Tensor, grad_features: Tensor) -> None:
    """Add to `grad_features`."""
    tasks = grad.shape[0] * grad.shape[1] * _channel_blocks(grad)
    launch(_warp_backward_features_kernel, tasks, grad, matrix, depth, grad_features)


def warp_backward_depth(grad: Tensor, features: Tensor, matrix: Tensor, depth: Tensor, grad_depth: Tensor) -> None:
    """Fill `grad_depth`."""
    launch(_warp_backward_depth_kernel, depth[..., 0].numel(), grad, features, matrix, depth, grad_depth)


def variance_forward(features: Tensor, matrix: Tensor, depth: Tensor, volume: Tensor) -> None:
    """Fill `volume`."""
    launch(_variance_forward_kernel, depth[..., 0].numel(), features, matrix, depth, volume)


def variance_backward(grad: Tensor, features: Tensor, matrix: Tensor, depth: Tensor, grad_features: Tensor) -> None:
    """Add to `grad_features`."""
    tasks = features.shape[0] * _channel_blocks(features)
    launch(_variance_backward_kernel, tasks, grad, features, matrix, depth, grad_features)


def difference_forward(
    features: Tensor, matrix: Tensor, depth: Tensor, target: Tensor, warped: Tensor, squared: Tensor
) -> None:
    """Fill `warped` and `squared`, the squared difference to `target` (`B H W C`)."""
    rows = warped[..., 0, 0].numel()
    launch(_difference_forward_kernel, rows, features, matrix, depth, target, warped, squared)


def adaptive_forward(warped: Tensor, squared: Tensor, weight: Tensor, volume: Tensor) -> None:
    """Fill `volume` with means over the views that `weight` (`B S D H W`) weighs."""
    launch(_adaptive_forward_kernel, volume[..., 0, 0].numel(), warped, squared, weight, volume)


def _channel_blocks(x: Tensor) -> int:
    return -(-x.shape[-1] // CHANNEL_BLOCK)
