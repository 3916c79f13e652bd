"""GPU kernels of the plane sweep, channels innermost; float32.

Arrays: features `B S h w C`, matrix `B S 3 4`, depth `B D H W`, warped `B S D H W C`, volume `B D H W 2C`. Every kernel
recomputes where a target pixel lands; nothing but its result is stored. Gradients of the features are added atomically:
their last digits depend on the order.
"""

from collections.abc import Sequence
from typing import Any

import triton.language as tl
from torch import Tensor
from triton.language import constexpr

from common.ops._triton import block, inner_products, interpolate, kernel, launch, spread, tile


@kernel
def _project(m, pixel, z, W):
    """Source pixels of target pixels at depth z, and the homogeneous coordinate."""
    x, y = (pixel % W).to(tl.float32), (pixel // W).to(tl.float32)
    u = tl.load(m) * x + tl.load(m + 1) * y + tl.load(m + 2) + tl.load(m + 3) / z
    v = tl.load(m + 4) * x + tl.load(m + 5) * y + tl.load(m + 6) + tl.load(m + 7) / z
    homogeneous = tl.load(m + 8) * x + tl.load(m + 9) * y + tl.load(m + 10) + tl.load(m + 11) / z
    floored = tl.where(homogeneous < 1e-6, 1e-6, homogeneous)  # keeps NaN
    return u / floored, v / floored, homogeneous


@kernel
def _land(m, pixel, z, W, h, w):
    """Source pixels, moved where no tap is inside if they are unseen (far outside, NaN)."""
    px, py, _ = _project(m, pixel, z, W)
    is_seen = (px > -1) & (py > -1) & (px < w) & (py < h)
    return tl.where(is_seen, px, -2.0), tl.where(is_seen, py, -2.0)


@kernel
def _warp_forward_kernel(
    features, matrix, depth, warped, D, H, W, h, w, S: constexpr, C: constexpr, BLOCK: constexpr, CHANNELS: constexpr
):
    """Features seen, for pixels of a (batch, source, plane)."""
    plane, pixel, exists = block(H * W, BLOCK)
    view, d = plane // D, plane % D
    z = tl.load(depth + (view // S * D + d) * H * W + pixel, mask=exists, other=1.0)
    px, py = _land(matrix + view * 12, pixel, z, W, h, w)
    row = (plane * H * W + pixel)[:, None] * C
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        seen = interpolate(features, view * h * w, px, py, channel, h, w, C)
        tl.store(warped + row + channel[None, :], seen, mask=exists[:, None] & (channel < C)[None, :])


@kernel
def _warp_backward_features_kernel(
    grad, matrix, depth, grad_features, D, H, W, h, w, S: constexpr, C: constexpr, BLOCK: constexpr, CHANNELS: constexpr
):
    """Add the gradient of the features, for pixels of a (batch, source, plane)."""
    plane, pixel, exists = block(H * W, BLOCK)
    view, d = plane // D, plane % D
    z = tl.load(depth + (view // S * D + d) * H * W + pixel, mask=exists, other=1.0)
    px, py = _land(matrix + view * 12, pixel, z, W, h, w)
    px = tl.where(exists, px, -2.0)
    row = (plane * H * W + pixel)[:, None] * C
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        mask = exists[:, None] & (channel < C)[None, :]
        value = tl.load(grad + row + channel[None, :], mask=mask, other=0.0)
        spread(grad_features, view * h * w, px, py, channel, value, h, w, C)


@kernel
def _warp_backward_depth_kernel(
    grad,
    features,
    matrix,
    depth,
    grad_depth,
    D,
    H,
    W,
    h,
    w,
    S: constexpr,
    C: constexpr,
    BLOCK: constexpr,
    CHANNELS: constexpr,
):
    """Gradient of the hypotheses, for pixels of a (batch, plane)."""
    plane, pixel, exists = block(H * W, BLOCK)
    b, d = plane // D, plane % D
    z = tl.load(depth + plane * H * W + pixel, mask=exists, other=1.0)
    total = tl.zeros((BLOCK,), tl.float32)
    for s in tl.static_range(S):
        view = b * S + s
        m = matrix + view * 12
        _, _, homogeneous = _project(m, pixel, z, W)
        px, py = _land(m, pixel, z, W, h, w)
        row = ((view * D + d) * H * W + pixel)[:, None] * C
        along_x = tl.zeros((BLOCK,), tl.float32)
        along_y = tl.zeros((BLOCK,), tl.float32)
        for start in range(0, C, CHANNELS):
            channel = start + tl.arange(0, CHANNELS)
            mask = exists[:, None] & (channel < C)[None, :]
            value = tl.load(grad + row + channel[None, :], mask=mask, other=0.0)
            _, slope_x, slope_y = inner_products(features, view * h * w, px, py, channel, value, h, w, C)
            along_x += slope_x
            along_y += slope_y
        # The quotient rule; below the floor of the homogeneous coordinate only the numerators move.
        moves = tl.where(homogeneous > 1e-6, tl.load(m + 11), 0.0)
        dx, dy = tl.load(m + 3) - px * moves, tl.load(m + 7) - py * moves
        total += tl.where(px > -2, (along_x * dx + along_y * dy) / tl.maximum(homogeneous, 1e-6), 0.0)
    tl.store(grad_depth + plane * H * W + pixel, -total / (z * z), mask=exists)


@kernel
def _variance_forward_kernel(
    features, matrix, depth, volume, D, H, W, h, w, S: constexpr, C: constexpr, BLOCK: constexpr, CHANNELS: constexpr
):
    """Variance and context, for pixels of a (batch, plane)."""
    plane, pixel, exists = block(H * W, BLOCK)
    b = plane // D
    z = tl.load(depth + plane * H * W + pixel, mask=exists, other=1.0)
    row = (plane * H * W + pixel)[:, None] * (2 * C)
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        mean = tl.zeros((BLOCK, CHANNELS), tl.float32)
        square = tl.zeros((BLOCK, CHANNELS), tl.float32)
        for s in tl.static_range(S):
            view = b * S + s
            px, py = _land(matrix + view * 12, pixel, z, W, h, w)
            seen = interpolate(features, view * h * w, px, py, channel, h, w, C)
            mean += seen / S
            square += seen * seen / S
        mask = exists[:, None] & (channel < C)[None, :]
        tl.store(volume + row + channel[None, :], square - mean * mean, mask=mask)
        tl.store(volume + row + C + channel[None, :], mean * mean / S, mask=mask)


@kernel
def _variance_backward_kernel(
    grad,
    features,
    matrix,
    depth,
    grad_features,
    D,
    H,
    W,
    h,
    w,
    S: constexpr,
    C: constexpr,
    BLOCK: constexpr,
    CHANNELS: constexpr,
):
    """Add the gradient of the features, for pixels of a (batch, plane)."""
    plane, pixel, exists = block(H * W, BLOCK)
    b = plane // D
    z = tl.load(depth + plane * H * W + pixel, mask=exists, other=1.0)
    row = (plane * H * W + pixel)[:, None] * (2 * C)
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        mean = tl.zeros((BLOCK, CHANNELS), tl.float32)
        for s in tl.static_range(S):
            view = b * S + s
            px, py = _land(matrix + view * 12, pixel, z, W, h, w)
            mean += interpolate(features, view * h * w, px, py, channel, h, w, C) / S
        mask = exists[:, None] & (channel < C)[None, :]
        grad_variance = tl.load(grad + row + channel[None, :], mask=mask, other=0.0)
        grad_context = tl.load(grad + row + C + channel[None, :], mask=mask, other=0.0)
        for s in tl.static_range(S):
            view = b * S + s
            px, py = _land(matrix + view * 12, pixel, z, W, h, w)
            px = tl.where(exists, px, -2.0)
            seen = interpolate(features, view * h * w, px, py, channel, h, w, C)
            value = 2 / S * (grad_variance * (seen - mean) + grad_context * mean / S)
            spread(grad_features, view * h * w, px, py, channel, value, h, w, C)


@kernel
def _difference_forward_kernel(
    features,
    matrix,
    depth,
    target,
    warped,
    squared,
    D,
    H,
    W,
    h,
    w,
    S: constexpr,
    C: constexpr,
    BLOCK: constexpr,
    CHANNELS: constexpr,
):
    """Features seen and squared difference to the target `B H W C`, for pixels of a (batch, source, plane)."""
    plane, pixel, exists = block(H * W, BLOCK)
    view, d = plane // D, plane % D
    b = view // S
    z = tl.load(depth + (b * D + d) * H * W + pixel, mask=exists, other=1.0)
    px, py = _land(matrix + view * 12, pixel, z, W, h, w)
    row = (plane * H * W + pixel)[:, None] * C
    own = (b * H * W + pixel)[:, None] * C
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        mask = exists[:, None] & (channel < C)[None, :]
        seen = interpolate(features, view * h * w, px, py, channel, h, w, C)
        difference = seen - tl.load(target + own + channel[None, :], mask=mask, other=0.0)
        tl.store(warped + row + channel[None, :], seen, mask=mask)
        tl.store(squared + row + channel[None, :], difference * difference, mask=mask)


@kernel
def _adaptive_forward_kernel(
    warped, squared, weight, volume, N, S: constexpr, C: constexpr, BLOCK: constexpr, CHANNELS: constexpr
):
    """Weighted means of the squared differences and of the features, for some of the N pixels and planes of a batch."""
    b, pixel, exists = block(N, BLOCK)
    row = (b * N + pixel)[:, None] * (2 * C)
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        mask = exists[:, None] & (channel < C)[None, :]
        cost = tl.zeros((BLOCK, CHANNELS), tl.float32)
        context = tl.zeros((BLOCK, CHANNELS), tl.float32)
        for s in tl.static_range(S):
            place = (b * S + s) * N + pixel
            share = tl.load(weight + place, mask=exists, other=0.0)[:, None] / S
            seen = place[:, None] * C + channel[None, :]
            cost += share * tl.load(squared + seen, mask=mask, other=0.0)
            context += share * tl.load(warped + seen, mask=mask, other=0.0)
        tl.store(volume + row + channel[None, :], cost, mask=mask)
        tl.store(volume + row + C + channel[None, :], context, mask=mask)


def warp_forward(features: Tensor, matrix: Tensor, depth: Tensor, warped: Tensor) -> None:
    """Fill `warped`."""
    _launch_per_view(_warp_forward_kernel, features, depth, features, matrix, depth, warped)


def warp_backward_features(grad: Tensor, matrix: Tensor, depth: Tensor, grad_features: Tensor) -> None:
    """Add to `grad_features`."""
    _launch_per_view(_warp_backward_features_kernel, grad_features, depth, grad, matrix, depth, grad_features)


def warp_backward_depth(grad: Tensor, features: Tensor, matrix: Tensor, depth: Tensor, grad_depth: Tensor) -> None:
    """Fill `grad_depth`."""
    _launch(_warp_backward_depth_kernel, features, depth, grad, features, matrix, depth, grad_depth)


def variance_forward(features: Tensor, matrix: Tensor, depth: Tensor, volume: Tensor) -> None:
    """Fill `volume`."""
    _launch(_variance_forward_kernel, features, depth, features, matrix, depth, volume)


def variance_backward(grad: Tensor, features: Tensor, matrix: Tensor, depth: Tensor, grad_features: Tensor) -> None:
    """Add to `grad_features`."""
    _launch(_variance_backward_kernel, features, depth, grad, features, matrix, depth, grad_features)


def difference_forward(
    features: Tensor, matrix: Tensor, depth: Tensor, target: Tensor, warped: Tensor, squared: Tensor
) -> None:
    """Fill `warped` and `squared`, the squared difference to `target` (`B H W C`)."""
    _launch_per_view(_difference_forward_kernel, features, depth, features, matrix, depth, target, warped, squared)


def adaptive_forward(warped: Tensor, squared: Tensor, weight: Tensor, volume: Tensor) -> None:
    """Fill `volume` with means over the views that `weight` (`B S D H W`) weighs."""
    B, S, D, H, W, C = warped.shape
    sizes = {"S": S, "C": C, **tile(C)}
    launch(_adaptive_forward_kernel, B, D * H * W, warped, squared, weight, volume, D * H * W, **sizes)


def _launch(kernel: Any, features: Tensor, depth: Tensor, *arrays: Tensor) -> None:
    """Run on the pixels of every (batch, plane)."""
    _launch_on_planes(kernel, depth.shape[0] * depth.shape[1], features, depth, arrays)


def _launch_per_view(kernel: Any, features: Tensor, depth: Tensor, *arrays: Tensor) -> None:
    """Run on the pixels of every (batch, source, plane)."""
    _launch_on_planes(kernel, features.shape[0] * features.shape[1] * depth.shape[1], features, depth, arrays)


def _launch_on_planes(kernel: Any, planes: int, features: Tensor, depth: Tensor, arrays: Sequence[Tensor]) -> None:
    _, S, h, w, C = features.shape
    _, D, H, W = depth.shape
    launch(kernel, planes, H * W, *arrays, D, H, W, h, w, S=S, C=C, **tile(C))
