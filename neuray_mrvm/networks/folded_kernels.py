"""The CPU kernel of `folded_pass.py`: from points to what the views say of them, a tile of pairs at a time.

A pair is a point and a view that sees it. A tile holds all pairs of some consecutive points; its arrays are `channels x
lanes`, a lane per pair (or per point, where the views have been summed), and stay in a core's cache.
"""

import math
from typing import NamedTuple

import numpy as np
from torch import Tensor

from common.ops._compile import device_function, kernel, launch
from common.ops._intrinsics import dense_block
from common.ops.softplus.numba_kernels import exp_of_minus, log_of_one_plus

LANES = 144
# `dense_block` computes so many outputs of so many lanes.
OUTPUTS, STEP = 8, 16
IMAGE, SEEN, HIDDEN = 32, 35, 32
# Rows of the last features of a pair: 32 features, its visibility, its direction.
VISIBILITY, DIRECTION = 32, 33
_ZERO, _ONE, _TWO, _HALF = np.float32(0), np.float32(1), np.float32(2), np.float32(0.5)
_TINY = np.float32(1e-8)
# The sigmoid of this is 1.
_CERTAIN = np.float32(100)


class Layers(NamedTuple):
    """Weights of every layer in the order in which they are applied: (blocks, inputs, 8 outputs), then their biases."""

    heads_in: np.ndarray
    heads_hidden: np.ndarray
    heads_out: np.ndarray
    embed: np.ndarray
    direction_in: np.ndarray
    direction_out: np.ndarray
    base_and_neuray: np.ndarray
    neuray_out: np.ndarray
    base_shared: np.ndarray
    base_out: np.ndarray
    vis_in: np.ndarray
    vis_out: np.ndarray
    vis2_in: np.ndarray
    vis2_out: np.ndarray
    geometry_in: np.ndarray
    geometry_out: np.ndarray
    rgb_in: np.ndarray
    rgb_hidden: np.ndarray
    rgb_out: np.ndarray


class Views(NamedTuple):
    """The views: world to homogeneous pixels, centres, (-1 / near, 1 / (1 / near - 1 / far)), maps V h w C."""

    matrix: np.ndarray
    centers: np.ndarray
    ranges: np.ndarray
    pictures: np.ndarray
    image_feats: np.ndarray
    ray_feats: np.ndarray


class Samples(NamedTuple):
    """Points P 3, unit vectors to the query of every ray R 3, and the samples' extents towards it and away from it."""

    points: np.ndarray
    to_query: np.ndarray
    before: np.ndarray
    after: np.ndarray


@device_function
def _elu(x):
    return x if x > _ZERO else exp_of_minus(x) - _ONE


@device_function
def _sigmoid(x):
    e = exp_of_minus(x)
    return np.divide(_ONE if x > _ZERO else e, _ONE + e)


@device_function
def _softplus(x):
    return (x if x > _ZERO else _ZERO) + log_of_one_plus(exp_of_minus(x))


@device_function
def _tanh(x):
    e = exp_of_minus(_TWO * x)
    size = np.divide(_ONE - e, _ONE + e)
    return size if x > _ZERO else -size


@device_function
def _dense(weight, x, y, lanes, activate):
    """Y = weight x + bias for some lanes, and its ELU where asked."""
    blocks, inputs, stride = weight.shape[0], weight.shape[1] - 1, x.shape[1]
    weights, entering, leaving = weight.reshape(-1), x.reshape(-1), y.reshape(-1)
    for block in range(blocks):
        place, row = block * (inputs + 1) * OUTPUTS, block * OUTPUTS
        for t in range(0, lanes, STEP):
            dense_block(weights, place, inputs, entering, t, leaving, row * stride + t, stride)
        if activate:
            _elu_rows(y, row, row + OUTPUTS, lanes)


@device_function
def _elu_rows(y, first, last, lanes):
    for o in range(first, last):
        for t in range(lanes):
            y[o, t] = _elu(y[o, t])


@device_function
def _place(position, length, whole):
    """The two map pixels around a position of the picture, and how far it lies between them; see `look_up`."""
    if length != whole:
        position = position * (length / (whole - 1)) - 0.5
    position = min(position, length - 1.0) if position > 0 else 0.0
    before = int(position)
    return before, min(before + 1, length - 1), np.float32(position - before)


@device_function
def _read(maps, v, px, py, height, width, row):
    """Bilinear values of a view's map."""
    x0, x1, fx = _place(px, maps.shape[2], width)
    y0, y1, fy = _place(py, maps.shape[1], height)
    w00, w01, w10, w11 = (_ONE - fy) * (_ONE - fx), (_ONE - fy) * fx, fy * (_ONE - fx), fy * fx
    for c in range(maps.shape[3]):
        above = w00 * maps[v, y0, x0, c] + w01 * maps[v, y0, x1, c]
        row[c] = above + w10 * maps[v, y1, x0, c] + w11 * maps[v, y1, x1, c]


@device_function
def _see_point(i, t, views, samples, features, seen, x, interval, row):
    """The pairs of point i as lanes from t on: their maps, directions and intervals; returns the lane after them."""
    m, height, width = views.matrix, views.pictures.shape[1], views.pictures.shape[2]
    px, py, pz = samples.points[i, 0], samples.points[i, 1], samples.points[i, 2]
    ray = i // (len(samples.points) // len(samples.to_query))
    qx, qy, qz = samples.to_query[ray, 0], samples.to_query[ray, 1], samples.to_query[ray, 2]
    for v in range(len(m)):
        depth = m[v, 2, 0] * px + m[v, 2, 1] * py + m[v, 2, 2] * pz + m[v, 2, 3]
        if abs(depth) < 1e-4:
            continue
        u = (m[v, 0, 0] * px + m[v, 0, 1] * py + m[v, 0, 2] * pz + m[v, 0, 3]) / depth
        w = (m[v, 1, 0] * px + m[v, 1, 1] * py + m[v, 1, 2] * pz + m[v, 1, 3]) / depth
        if not (u >= -0.5 and u < width - 0.5 and w >= -0.5 and w < height - 0.5):
            continue
        _read(views.ray_feats, v, u, w, height, width, row)
        for c in range(views.ray_feats.shape[3]):
            features[c, t] = row[c]
        _read(views.pictures, v, u, w, height, width, seen[t])
        _read(views.image_feats, v, u, w, height, width, seen[t, 3:])
        dx, dy, dz = views.centers[v, 0] - px, views.centers[v, 1] - py, views.centers[v, 2] - pz
        share = _ONE / max(math.sqrt(dx * dx + dy * dy + dz * dz), np.float32(1e-5))
        dx, dy, dz = dx * share, dy * share, dz * share
        x[DIRECTION, t], x[DIRECTION + 1, t], x[DIRECTION + 2, t] = dx - qx, dy - qy, dz - qz
        x[DIRECTION + 3, t] = dx * qx + dy * qy + dz * qz
        s = (-_ONE / max(depth, np.float32(1e-5)) - views.ranges[v, 0]) * views.ranges[v, 1]
        interval[0, t], interval[1, t] = s - samples.before[i], s + samples.after[i]
        t += 1
    return t


@device_function
def _decode(layers, smallest, features, interval, a, b, lanes):
    """Hit probability and visibility of the pairs, doubled and centred, below their ray features (spec 5.4)."""
    width = layers.heads_in.shape[1] - 1
    heads, channels = layers.heads_in.shape[0] * OUTPUTS // width, width
    _dense(layers.heads_in, features, a, lanes, True)
    for head in range(heads):
        first, last = head * channels, (head + 1) * channels
        hidden = layers.heads_hidden[first // OUTPUTS : last // OUTPUTS]
        _dense(hidden, a[first:last], b[first:last], lanes, True)
    _dense(layers.heads_out, b, a, lanes, False)
    if heads == 3:
        a[5, :lanes] = _CERTAIN
    # Short loops, so that the compiler finds the vectors in them.
    for k in range(6):
        for t in range(lanes):
            a[k, t] = _softplus(a[k, t]) if k < 4 else _sigmoid(a[k, t])
    for surface in range(2):
        for end in range(2):
            for t in range(lanes):
                s = (interval[end, t] - a[surface, t]) * (a[2 + surface, t] + smallest)
                b[2 * surface + end, t] = _HALF + _HALF * _tanh(s)
    for t in range(lanes):
        share, total = a[4, t], a[5, t]
        start = total * (share * b[0, t] + (_ONE - share) * b[2, t])
        stop = total * (share * b[1, t] + (_ONE - share) * b[3, t])
        features[channels, t] = _TWO * (stop - start) - _ONE
        features[channels + 1, t] = _ONE - _TWO * start


@device_function
def _moments(rows, channels, weight, first, number, out, place):
    """Weighted sum of the views' rows, then of their squared distances to it, as columns of the points."""
    mean, variance = np.empty(channels, np.float32), np.empty(channels, np.float32)
    for p in range(number):
        mean[:], variance[:] = 0, 0
        for t in range(first[p], first[p + 1]):
            w = weight[t]
            for c in range(channels):
                mean[c] += w * rows[t, c]
        for t in range(first[p], first[p + 1]):
            w = weight[t]
            for c in range(channels):
                apart = rows[t, c] - mean[c]
                variance[c] += w * apart * apart
        for c in range(channels):
            out[place + c, p] = mean[c]
            out[place + channels + c, p] = variance[c]


@device_function
def _rounded(count):
    return (count + STEP - 1) // STEP * STEP


@device_function
def _share_evenly(first, number, weight):
    for p in range(number):
        for t in range(first[p], first[p + 1]):
            weight[t] = _ONE / (np.float32(first[p + 1] - first[p]) + _TINY)


@device_function
def _describe(layers, features, seen, x, u, a, b, weight, own_weight, first, number, lanes, sums, shared, point):
    """Features of the pairs in `x` and their visibility (spec 5.5, steps 1 to 7)."""
    count = first[number]
    _dense(layers.embed, features, u[SEEN:], lanes, False)
    for c in range(SEEN, u.shape[0]):
        for t in range(lanes):
            u[c, t] = max(u[c, t], _ZERO)
    _dense(layers.direction_in, x[DIRECTION:], a, lanes, True)
    _dense(layers.direction_out, a, b, lanes, True)
    for t in range(count):
        for c in range(SEEN):
            value = seen[t, c] + b[c, t]
            seen[t, c] = value
            u[c, t] = value
    _dense(layers.base_and_neuray, u, a, lanes, False)
    base = layers.base_shared.shape[0] * OUTPUTS
    _elu_rows(a, base, base + 8, lanes)
    _dense(layers.neuray_out, a[base:], b, lanes, False)
    _share_evenly(first, number, weight)
    for t in range(lanes):
        own_weight[t] = _sigmoid(b[0, t]) * weight[t]
    _moments(seen, SEEN, own_weight, first, number, sums, 0)
    _moments(seen, SEEN, weight, first, number, sums, 2 * SEEN)
    _dense(layers.base_shared, sums, shared, _rounded(number), False)
    for p in range(number):
        point[first[p] : first[p + 1]] = p
    for c in range(base):
        for t in range(lanes):
            a[c, t] += shared[c, point[t]]
    _elu_rows(a, 0, base, lanes)
    _dense(layers.base_out, a, x, lanes, True)
    _scale(x, weight, b, lanes)
    _dense(layers.vis_in, b, a, lanes, True)
    _dense(layers.vis_out, a, b, lanes, True)
    for t in range(lanes):
        weight[t] = _sigmoid(b[HIDDEN, t])
    for c in range(HIDDEN):
        for t in range(lanes):
            x[c, t] += b[c, t]
    _scale(x, weight, b, lanes)
    _dense(layers.vis2_in, b, a, lanes, True)
    _dense(layers.vis2_out, a, b, lanes, False)
    for t in range(lanes):
        x[VISIBILITY, t] = _sigmoid(b[0, t])


@device_function
def _scale(x, weight, y, lanes):
    for c in range(HIDDEN):
        for t in range(lanes):
            y[c, t] = x[c, t] * weight[t]


@device_function
def _normalise(x, first, number, weight):
    """The pairs' shares of their points' visibility."""
    for p in range(number):
        total = _TINY
        for t in range(first[p], first[p + 1]):
            total += x[VISIBILITY, t]
        for t in range(first[p], first[p + 1]):
            weight[t] = x[VISIBILITY, t] / total


@device_function
def _blend(layers, x, rgb, a, b, first, number, lanes, colors, start):
    """Colours of the points (spec 5.5, step 12)."""
    _dense(layers.rgb_in, x, a, lanes, True)
    _dense(layers.rgb_hidden, a, b, lanes, True)
    _dense(layers.rgb_out, b, a, lanes, False)
    for p in range(number):
        largest, total = np.float32(-np.inf), _ZERO
        for t in range(first[p], first[p + 1]):
            largest = max(largest, a[0, t])
        for c in range(3):
            colors[start + p, c] = 0
        for t in range(first[p], first[p + 1]):
            share = exp_of_minus(a[0, t] - largest)
            total += share
            for c in range(3):
                colors[start + p, c] += share * rgb[t, c]
        for c in range(3):
            colors[start + p, c] /= max(total, _TINY)


@kernel
def _render_kernel(start, stop, samples, views, layers, smallest, lanes, geometry, colors, num_views):
    """A range of points: what the ray attention reads, colours, and numbers of views."""
    f, count_views = np.float32, len(views.matrix)
    features, x = np.zeros((layers.embed.shape[1] - 1, lanes), f), np.zeros((DIRECTION + 4, lanes), f)
    u, sums = np.zeros((layers.base_and_neuray.shape[1] - 1, lanes), f), np.zeros((4 * SEEN, lanes), f)
    scratch = max(layers.heads_in.shape[0], layers.base_and_neuray.shape[0]) * OUTPUTS
    a, b, shared = np.zeros((scratch, lanes), f), np.zeros((scratch, lanes), f), np.zeros((64, lanes), f)
    seen, interval, row = np.zeros((lanes, SEEN + 1), f), np.zeros((2, lanes), f), np.zeros(len(features), f)
    rgb, weight, own_weight = np.zeros((lanes, 3), f), np.zeros(lanes, f), np.zeros(lanes, f)
    first, point = np.zeros(lanes + 1, np.int64), np.zeros(lanes, np.int32)
    i = start
    while i < stop:
        number, count = 0, 0
        while i + number < stop and number < lanes and count + count_views <= lanes:
            last = _see_point(i + number, count, views, samples, features, seen, x, interval, row)
            num_views[i + number] = last - count
            number, count = number + 1, last
            first[number] = count
        for t in range(count):
            for c in range(3):
                rgb[t, c] = seen[t, c]
        used = _rounded(count)
        _decode(layers, f(smallest), features, interval, a, b, used)
        _describe(layers, features, seen, x, u, a, b, weight, own_weight, first, number, used, sums, shared, point)
        _normalise(x, first, number, weight)
        for t in range(count):
            for c in range(HIDDEN):
                seen[t, c] = x[c, t]
        _moments(seen, HIDDEN, weight, first, number, sums, 0)
        for p in range(number):
            total = _ZERO
            for t in range(first[p], first[p + 1]):
                total += weight[t]
            sums[2 * HIDDEN, p] = total / np.float32(count_views)
        points = _rounded(number)
        _dense(layers.geometry_in, sums, a, points, True)
        _dense(layers.geometry_out, a, shared, points, True)
        for p in range(number):
            for c in range(geometry.shape[1]):
                geometry[i + p, c] = shared[c, p]
        _blend(layers, x, rgb, a, b, first, number, used, colors, i)
        i += number


def render(
    samples: Samples,
    views: Views,
    layers: Layers,
    smallest: float,
    geometry: Tensor,
    colors: Tensor,
    num_views: Tensor,
) -> None:
    """Fill `geometry` (P, 16), `colors` (P, 3) and `num_views` (P)."""
    lanes = max(LANES, -(-len(views.matrix) // STEP) * STEP)
    constants = samples, views, layers, float(smallest), lanes
    launch(_render_kernel, len(samples.points), *constants, geometry, colors, num_views)
