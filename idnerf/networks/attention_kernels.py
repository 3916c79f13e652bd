"""CPU kernels of the three-pass attention, without gradients: few tokens per sample, or many samples per ray.

The refinement has 10^4 samples with 4 tokens each: 16 samples side by side, in the last axis of small tables. The ray
attention has 128 samples on each ray: keys side by side. Both do all of the layer, so that nothing but the tokens goes
through memory. Arrays: x and out `N T C`; weights as in the layer, heads of 4 channels.
"""

import numpy as np
from torch import Tensor

from common.ops._compile import device_function, kernel, launch
from common.ops._intrinsics import float_from_bits

HEADS = 4
HEAD_CHANNELS = 4
INNER = HEADS * HEAD_CHANNELS
PASSES = 3
SIDE_BY_SIDE = 32
EPSILON = 1e-6
# From here on the keys of one sequence fill the processor's vectors.
MANY_TOKENS = 16

# Scores are halved (the root of 4 channels), and in powers of 2 instead of e.
_SCALE = np.float32(0.5 * 1.4426950408889634)
_SMALLEST = np.float32(-126.0)
_SAFE_POWER = np.float32(60.0)
# ln(2)^n / n!
_C1, _C2, _C3 = np.float32(0.693147180), np.float32(0.240226507), np.float32(0.0555041087)
_C4, _C5, _C6 = np.float32(0.00961812911), np.float32(0.00133335581), np.float32(0.000154035304)


@device_function
def _power_of_2(x):
    """2^x for x <= 100, to 2e-7 of the value: an exponent's bits times a polynomial on [-1/2, 1/2]."""
    x = max(x, _SMALLEST)
    k = np.floor(x + np.float32(0.5))
    r = x - k
    p = ((((_C6 * r + _C5) * r + _C4) * r + _C3) * r + _C2) * r + _C1
    bits = (np.int32(k) + np.int32(127)) << np.int32(23)
    return (p * r + np.float32(1)) * float_from_bits(np.int32(bits))


@device_function
def _project(x, weight, tokens, channels, lanes, out):
    """out[t INNER + o] = weight[o] . x[t channels ...], for all lanes; channels are a multiple of 4."""
    for t in range(tokens):
        for o in range(INNER):
            to = t * INNER + o
            for lane in range(lanes):
                out[to, lane] = 0
            for c in range(0, channels, 4):
                first = t * channels + c
                w0, w1, w2, w3 = weight[o, c], weight[o, c + 1], weight[o, c + 2], weight[o, c + 3]
                for lane in range(lanes):
                    out[to, lane] += (
                        w0 * x[first, lane]
                        + w1 * x[first + 1, lane]
                        + w2 * x[first + 2, lane]
                        + w3 * x[first + 3, lane]
                    )


@device_function
def _finish(x, o, fc, gamma, beta, tokens, channels, lanes, mean, scale):
    """X = LayerNorm(fc o + x) of every token, for all lanes."""
    for t in range(tokens):
        for lane in range(lanes):
            mean[lane] = 0
            scale[lane] = 0
        for c in range(channels):
            to = t * channels + c
            for k in range(0, INNER, 4):
                first = t * INNER + k
                w0, w1, w2, w3 = fc[c, k], fc[c, k + 1], fc[c, k + 2], fc[c, k + 3]
                for lane in range(lanes):
                    x[to, lane] += (
                        w0 * o[first, lane]
                        + w1 * o[first + 1, lane]
                        + w2 * o[first + 2, lane]
                        + w3 * o[first + 3, lane]
                    )
            for lane in range(lanes):
                mean[lane] += x[to, lane]
        for lane in range(lanes):
            mean[lane] *= np.float32(1.0 / channels)
        for c in range(channels):
            for lane in range(lanes):
                x[t * channels + c, lane] -= mean[lane]
                scale[lane] += x[t * channels + c, lane] * x[t * channels + c, lane]
        for lane in range(lanes):
            scale[lane] = np.float32(1) / np.sqrt(scale[lane] * np.float32(1.0 / channels) + np.float32(EPSILON))
        for c in range(channels):
            for lane in range(lanes):
                x[t * channels + c, lane] = x[t * channels + c, lane] * scale[lane] * gamma[c] + beta[c]


@device_function
def _attend_lanes(q, k, v, tokens, scores, total, top, out):
    """One pass of all heads; the tables are `token x INNER, lane`."""
    for head in range(HEADS):
        for i in range(tokens):
            at = i * INNER + head * HEAD_CHANNELS
            for lane in range(SIDE_BY_SIDE):
                top[lane] = np.float32(-3e38)
                total[lane] = 0
            for j in range(tokens):
                key = j * INNER + head * HEAD_CHANNELS
                for lane in range(SIDE_BY_SIDE):
                    score = _SCALE * (
                        q[at, lane] * k[key, lane]
                        + q[at + 1, lane] * k[key + 1, lane]
                        + q[at + 2, lane] * k[key + 2, lane]
                        + q[at + 3, lane] * k[key + 3, lane]
                    )
                    scores[j, lane] = score
                    top[lane] = max(top[lane], score)
            for j in range(tokens):
                for lane in range(SIDE_BY_SIDE):
                    weight = _power_of_2(scores[j, lane] - top[lane])
                    scores[j, lane] = weight
                    total[lane] += weight
            for lane in range(SIDE_BY_SIDE):
                total[lane] = np.float32(1) / total[lane]
            for c in range(HEAD_CHANNELS):
                for lane in range(SIDE_BY_SIDE):
                    out[at + c, lane] = 0
                for j in range(tokens):
                    value = j * INNER + head * HEAD_CHANNELS + c
                    for lane in range(SIDE_BY_SIDE):
                        out[at + c, lane] += scores[j, lane] * v[value, lane]
                for lane in range(SIDE_BY_SIDE):
                    out[at + c, lane] *= total[lane]


@kernel
def _few_tokens_kernel(start, stop, x, w_q, w_k, w_v, fc, gamma, beta, out):
    """A range of blocks of SIDE_BY_SIDE samples."""
    N, T, C = x.shape
    lanes = np.zeros((T * C, SIDE_BY_SIDE), np.float32)
    q = np.empty((T * INNER, SIDE_BY_SIDE), np.float32)
    k = np.empty((T * INNER, SIDE_BY_SIDE), np.float32)
    v = np.empty((T * INNER, SIDE_BY_SIDE), np.float32)
    o = np.empty((T * INNER, SIDE_BY_SIDE), np.float32)
    scores = np.empty((T, SIDE_BY_SIDE), np.float32)
    total, top = np.empty(SIDE_BY_SIDE, np.float32), np.empty(SIDE_BY_SIDE, np.float32)
    for block in range(start, stop):
        first = block * SIDE_BY_SIDE
        count = min(SIDE_BY_SIDE, N - first)
        for lane in range(count):
            for t in range(T):
                for c in range(C):
                    lanes[t * C + c, lane] = x[first + lane, t, c]
        _project(lanes, w_q, T, C, SIDE_BY_SIDE, q)
        _project(lanes, w_k, T, C, SIDE_BY_SIDE, k)
        _project(lanes, w_v, T, C, SIDE_BY_SIDE, v)
        _attend_lanes(q, k, v, T, scores, total, top, o)
        _attend_lanes(o, o, o, T, scores, total, top, q)
        _attend_lanes(q, q, q, T, scores, total, top, o)
        _finish(lanes, o, fc, gamma, beta, T, C, SIDE_BY_SIDE, top, total)
        for lane in range(count):
            for t in range(T):
                for c in range(C):
                    out[first + lane, t, c] = lanes[t * C + c, lane]


@device_function
def _largest(values, count, lanes):
    """The largest of `count` values; side by side, because a running maximum is not vectorised."""
    for lane in range(SIDE_BY_SIDE):
        lanes[lane] = np.float32(-3e38)
    whole = count // SIDE_BY_SIDE * SIDE_BY_SIDE
    for first in range(0, whole, SIDE_BY_SIDE):
        for lane in range(SIDE_BY_SIDE):
            lanes[lane] = max(lanes[lane], values[first + lane])
    top = lanes[0]
    for lane in range(1, SIDE_BY_SIDE):
        top = max(top, lanes[lane])
    for j in range(whole, count):
        top = max(top, values[j])
    return top


@device_function
def _largest_norm(x, h, tokens):
    """The largest length of a head's vectors."""
    largest = np.float32(0)
    for j in range(tokens):
        square = x[h, j] * x[h, j] + x[h + 1, j] * x[h + 1, j] + x[h + 2, j] * x[h + 2, j] + x[h + 3, j] * x[h + 3, j]
        largest = max(largest, square)
    return np.sqrt(largest)


@device_function
def _attend_keys(q, k, v, is_asking, tokens, scores, lanes, out):
    """One pass of all heads on one ray; the tables are `INNER, token`.

    No score is larger than the product of the lengths. Where that is small enough, no power of 2 leaves the range of
    numbers, and the largest score need not be known first.
    """
    for head in range(HEADS):
        h = head * HEAD_CHANNELS
        k0, k1, k2, k3 = k[h], k[h + 1], k[h + 2], k[h + 3]
        v0, v1, v2, v3 = v[h], v[h + 1], v[h + 2], v[h + 3]
        longest = _largest_norm(k, h, tokens)
        for i in range(tokens):
            q0, q1, q2, q3 = _SCALE * q[h, i], _SCALE * q[h + 1, i], _SCALE * q[h + 2, i], _SCALE * q[h + 3, i]
            if not is_asking[i]:
                q0 = q1 = q2 = q3 = np.float32(0)
            for j in range(tokens):
                scores[j] = q0 * k0[j] + q1 * k1[j] + q2 * k2[j] + q3 * k3[j]
            is_safe = np.sqrt(q0 * q0 + q1 * q1 + q2 * q2 + q3 * q3) * longest < _SAFE_POWER
            top = np.float32(0) if is_safe else _largest(scores, tokens, lanes)
            total = s0 = s1 = s2 = s3 = np.float32(0)
            for j in range(tokens):
                weight = _power_of_2(scores[j] - top)
                total += weight
                s0 += weight * v0[j]
                s1 += weight * v1[j]
                s2 += weight * v2[j]
                s3 += weight * v3[j]
            share = np.float32(1) / total
            out[h, i], out[h + 1, i], out[h + 2, i], out[h + 3, i] = s0 * share, s1 * share, s2 * share, s3 * share


@kernel
def _many_tokens_kernel(start, stop, x, is_asking, w_q, w_k, w_v, fc, gamma, beta, out):
    """A range of rays."""
    T, C = x.shape[1:]
    q, k = np.empty((INNER, T), np.float32), np.empty((INNER, T), np.float32)
    v, o = np.empty((INNER, T), np.float32), np.empty((INNER, T), np.float32)
    columns = np.empty((C, T), np.float32)
    scores, mean, lanes = np.empty(T, np.float32), np.empty(T, np.float32), np.empty(SIDE_BY_SIDE, np.float32)
    for ray in range(start, stop):
        for t in range(T):
            for c in range(C):
                columns[c, t] = x[ray, t, c]
        _project(columns, w_q, 1, C, T, q)
        _project(columns, w_k, 1, C, T, k)
        _project(columns, w_v, 1, C, T, v)
        asking = is_asking[ray]
        _attend_keys(q, k, v, asking, T, scores, lanes, o)
        _attend_keys(o, o, o, asking, T, scores, lanes, q)
        _attend_keys(q, q, q, asking, T, scores, lanes, o)
        _finish(columns, o, fc, gamma, beta, 1, C, T, mean, scores)
        for t in range(T):
            for c in range(C):
                out[ray, t, c] = columns[c, t]


def few_tokens(x: Tensor, weights: tuple[Tensor, ...], out: Tensor) -> None:
    """Fill `out`; `weights` are w_q, w_k, w_v, fc, and scale and offset of the normalisation."""
    launch(_few_tokens_kernel, -(-len(x) // SIDE_BY_SIDE), x, *weights, out)


def many_tokens(x: Tensor, is_asking: Tensor, weights: tuple[Tensor, ...], out: Tensor) -> None:
    """Fill `out`; `is_asking` (N T) says which tokens look at the others by their scores."""
    launch(_many_tokens_kernel, len(x), x, is_asking, *weights, out)
