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
from common.ops._intrinsics import prefetch

GROUP = 8
WAITING = 64  # blocks whose memory is on its way


def catch_up(flags: Tensor, everything: bool, parameter: Tensor, m: Tensor, v: Tensor, clock: Tensor, *steps) -> None:
    """Move the flagged blocks, or all, and clear the flags; `steps`: until, origin, schedule, decay, eps."""
    groups = flags.view(torch.int64)
    launch(_catch_up_kernel, len(groups), groups, flags, everything, parameter, m, v, clock, *steps)


def step(flags: Tensor, grad: Tensor, parameter: Tensor, m: Tensor, v: Tensor, clock: Tensor, *steps) -> None:
    """Update the flagged blocks by their gradient, clear both; `steps`: b1, b2, now, origin, schedule, decay, eps."""
    groups = flags.view(torch.int64)
    launch(_step_kernel, len(groups), groups, flags, grad, parameter, m, v, clock, *steps)


@device_function
def _next_blocks(group, stop, groups, flags, everything, arrays, clock, waiting):
    """Collect flagged blocks from `group` on and ask for their memory; how many, and the group to go on with."""
    count, blocks = 0, len(clock) // 2
    while group < stop and count <= WAITING - GROUP:
        if everything or groups[group] != 0:
            for block in range(group * GROUP, min(group * GROUP + GROUP, blocks)):
                if everything or flags[block] != 0:
                    waiting[count] = block
                    count += 1
                    prefetch(clock, 2 * block)
                    for array in arrays:
                        prefetch(array, block * BLOCK)
            groups[group] = 0
        group += 1
    return count, group


@device_function
def _move(block, until, origin, schedule, decay, eps, parameter, m, v, clock, root, p):
    """Make the momentum moves of a block up to the step `until`."""
    touched = np.int64(clock[2 * block])
    last = min(until, touched + len(decay) - 1)
    first = np.int64(clock[2 * block + 1]) + 1
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
    clock[2 * block + 1] = last


@kernel
def _catch_up_kernel(
    start, stop, groups, flags, everything, parameter, m, v, clock, until, origin, schedule, decay, eps
):
    """For a range of groups of blocks."""
    root, p, eps = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32), np.float32(eps)
    waiting, group = np.empty(WAITING, np.int64), start
    while group < stop:
        count, group = _next_blocks(group, stop, groups, flags, everything, (parameter, m, v), clock, waiting)
        for i in range(count):
            _move(waiting[i], until, origin, schedule, decay, eps, parameter, m, v, clock, root, p)


@kernel
def _step_kernel(start, stop, groups, flags, grad, parameter, m, v, clock, b1, b2, now, origin, schedule, decay, eps):
    """For a range of groups of blocks."""
    root, p, eps = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32), np.float32(eps)
    size, scale = np.float32(schedule[now - origin, 0]), np.float32(schedule[now - origin, 1])
    new1, new2 = np.float32(1 - b1), np.float32(1 - b2)
    waiting, group = np.empty(WAITING, np.int64), start
    while group < stop:
        count, group = _next_blocks(group, stop, groups, flags, False, (parameter, m, v, grad), clock, waiting)
        for i in range(count):
            block = waiting[i]
            _move(block, now - 1, origin, schedule, decay, eps, parameter, m, v, clock, root, p)
            age = now - np.int64(clock[2 * block])
            old1, old2 = np.float32(b1**age), np.float32(b2**age)
            first = block * BLOCK
            for c in range(BLOCK):
                g = grad[first + c]
                m[first + c] = old1 * m[first + c] + new1 * g
                v[first + c] = old2 * v[first + c] + new2 * (g * g)
                grad[first + c] = 0
            for c in range(BLOCK):
                parameter[first + c] -= size * m[first + c] / (scale * np.sqrt(v[first + c]) + eps)
            clock[2 * block] = now
            clock[2 * block + 1] = now
