"""Gradient of a parameter so large that one step reads, and changes, only a small part of it.

PyTorch hands a gradient on as a tensor of the parameter's size: for a table of a gigabyte most of a step would go into
zeroing, adding and sweeping zeros. Instead the optimiser of such a parameter (`common.sparse_adam`) attaches a
`BlockGradient` to it, and an op that knows how (`common.ops.hash_grid`, numba back-end)

    forward     marks the blocks of 8 numbers that it will read, and has them brought up to date (`before_reading`)
    backward    adds to `values` and marks the blocks it added to; PyTorch's own `.grad` stays None

Everything else (the reference, second derivatives) uses `.grad`, which the optimiser accepts as well: slower, the same
result.
"""

from collections.abc import Callable
from threading import Lock

import torch
from torch import Tensor, nn

from common.memory import zeros_on_demand

BLOCK = 8


class BlockGradient:
    """What has been added to a parameter's gradient, and where.

    Attributes:
        values: The gradient, as long as the parameter; zero where nothing was added.
        is_touched: A byte per block: something was added. Padded to a multiple of 8 bytes.
        is_read: A byte per block, set by an op between `lock` and `before_reading`. Padded alike.
        is_current: No block waits for anything: an op need not announce what it reads.
        lock: Held while marking and adding; ops may run in several threads.
    """

    def __init__(self, parameter: nn.Parameter, before_reading: Callable[[bool], None]):
        if parameter.numel() % BLOCK:
            raise ValueError(f"gradients travel in blocks of {BLOCK} numbers; {parameter.numel()} is no multiple of it")
        flags = -(-parameter.numel() // BLOCK // 8) * 8
        self.values = zeros_on_demand(parameter.numel())
        self.is_touched = torch.zeros(flags, dtype=torch.uint8)
        self.is_read = torch.zeros(flags, dtype=torch.uint8)
        self.is_current = True
        self.is_empty = True
        self.lock = Lock()
        self._before_reading = before_reading
        parameter.block_gradient = self

    @staticmethod
    def of(parameter: Tensor) -> "BlockGradient | None":
        """The gradient attached to a parameter, if there is one."""
        return getattr(parameter, "block_gradient", None)

    def before_reading(self, everything: bool = False) -> None:
        """Bring the blocks of `is_read`, or all, up to date; the flags are cleared."""
        if not self.is_current:
            self._before_reading(everything)

    def add(self, dense: Tensor) -> None:
        """Add a gradient of the parameter's size."""
        self.values += dense
        blocks = (dense.view(-1, BLOCK) != 0).any(dim=1)
        self.is_touched[: len(blocks)] |= blocks
        self.is_empty = False

    def clear(self) -> None:
        """Forget what was added."""
        if not self.is_empty:
            touched = self.is_touched.nonzero()[:, 0]
            self.values.view(-1, BLOCK)[touched] = 0
            self.is_touched.zero_()
            self.is_empty = True
