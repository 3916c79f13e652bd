"""CPU kernels of the sparse Adam. A block is 8 numbers; the flags of 8 blocks are read as one number.

flags     uint8, one per block, padded to a multiple of 8
clock     int32 `blocks 2`: last step with a gradient (0: never), and the step up to which its moves have been made
schedule  float64 `steps 2`, from step `origin` on: lr / (1 - b1^t) and 1 / sqrt(1 - b2^t)
decay     float64 `horizon+1 2`: b1^j and sqrt(b2^j)
"""

import numpy as np
import torch
from torch import Tensor

from common.block_gradient import BLOCK
from common.ops._compile import device_function, kernel, launch

GROUP = 8


def catch_up(flags: Tensor, everything: bool, parameter: Tensor, m: Tensor, v: Tensor, clock: Tensor, *steps) -> None:
    """Move the flagged blocks, or all, and clear the flags; `steps`: until, origin, schedule, decay, eps."""
    groups = flags.view(torch.int64)
    launch(_catch_up_kernel, len(groups), groups, flags, everything, parameter, m, v, clock, *steps)


def step(flags: Tensor, grad: Tensor, parameter: Tensor, m: Tensor, v: Tensor, clock: Tensor, *steps) -> None:
    """Update the flagged blocks by their gradient, clear both; `steps`: b1, b2, now, origin, schedule, decay, eps."""
    groups = flags.view(torch.int64)
    launch(_step_kernel, len(groups), groups, flags, grad, parameter, m, v, clock, *steps)


@device_function
def _move(block, until, origin, schedule, decay, eps, parameter, m, v, clock, root, p):
    """Make the momentum moves of a block up to the step `until`."""
    touched = np.int64(clock[block, 0])
    last = min(until, touched + len(decay) - 1)
    first = np.int64(clock[block, 1]) + 1
    if touched == 0 or first > last:
        return
    start = block * BLOCK
    for c in range(BLOCK):
        root[c] = np.sqrt(v[start + c])
        p[c] = parameter[start + c]
    for t in range(first, last + 1):
        size = np.float32(schedule[t - origin, 0] * decay[t - touched, 0])
        scale = np.float32(schedule[t - origin, 1] * decay[t - touched, 1])
        for c in range(BLOCK):
            p[c] -= size * m[start + c] / (scale * root[c] + eps)
    for c in range(BLOCK):
        parameter[start + c] = p[c]
    clock[block, 1] = last


@kernel
def _catch_up_kernel(
    start, stop, groups, flags, everything, parameter, m, v, clock, until, origin, schedule, decay, eps
):
    """For a range of groups of blocks."""
    root, p, eps = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32), np.float32(eps)
    for group in range(start, stop):
        if not everything and groups[group] == 0:
            continue
        for block in range(group * GROUP, min(group * GROUP + GROUP, len(clock))):
            if everything or flags[block] != 0:
                _move(block, until, origin, schedule, decay, eps, parameter, m, v, clock, root, p)
        groups[group] = 0


@kernel
def _step_kernel(start, stop, groups, flags, grad, parameter, m, v, clock, b1, b2, now, origin, schedule, decay, eps):
    """For a range of groups of blocks."""
    root, p, eps = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32), np.float32(eps)
    size, scale = np.float32(schedule[now - origin, 0]), np.float32(schedule[now - origin, 1])
    new1, new2 = np.float32(1 - b1), np.float32(1 - b2)
    for group in range(start, stop):
        if groups[group] == 0:
            continue
        for block in range(group * GROUP, min(group * GROUP + GROUP, len(clock))):
            if flags[block] == 0:
                continue
            _move(block, now - 1, origin, schedule, decay, eps, parameter, m, v, clock, root, p)
            age = now - np.int64(clock[block, 0])
            old1, old2 = np.float32(b1**age), np.float32(b2**age)
            first = block * BLOCK
            for c in range(BLOCK):
                g = grad[first + c]
                m[first + c] = old1 * m[first + c] + new1 * g
                v[first + c] = old2 * v[first + c] + new2 * (g * g)
                grad[first + c] = 0
            for c in range(BLOCK):
                parameter[first + c] -= size * m[first + c] / (scale * np.sqrt(v[first + c]) + eps)
            clock[block, 0] = now
            clock[block, 1] = now
        groups[group] = 0
