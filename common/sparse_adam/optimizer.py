"""The optimiser: state, dates and schedule; `common.sparse_adam` says what it computes."""

import importlib
import math
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from common.block_gradient import BLOCK, BlockGradient
from common.memory import zeros_on_demand


class SparseAdam:
    """Adam for one large parameter: sparse on the CPU, dense elsewhere.

    `step()` consumes the gradient: it is zero afterwards, unlike with PyTorch's optimisers.

    Args:
        parameter: A float32 vector whose length is a multiple of 8.
        lr: Step size; the attribute `lr` may be changed between steps.
        betas: Decay of the two moments, b1 and b2, with b1^2 < b2.
        eps: Added to the root of the second moment.
        sparse: Whether steps are; by default where the parameter is on the CPU, the only place they can be.

    Raises:
        ValueError: A parameter or settings that cannot be.
    """

    def __init__(
        self,
        parameter: nn.Parameter,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        sparse: bool | None = None,
    ):
        if parameter.ndim != 1 or parameter.dtype != torch.float32 or parameter.numel() % BLOCK:
            raise ValueError(
                f"SparseAdam takes one float32 vector whose length is a multiple of {BLOCK}, got {parameter.dtype} of"
                f" shape {list(parameter.shape)}; use torch.optim.Adam"
            )
        if sparse and parameter.device.type != "cpu":
            raise ValueError(
                f"sparse steps run on the CPU, the parameter is on {parameter.device}; leave out sparse=True"
            )
        self.lr, self.eps = lr, eps
        self._parameter = parameter
        self._step = 0
        is_sparse = parameter.device.type == "cpu" if sparse is None else sparse
        create = zeros_on_demand if parameter.device.type == "cpu" else parameter.new_zeros
        self._m, self._v = create(parameter.numel()), create(parameter.numel())
        self._set_betas(betas)
        self._gradient = BlockGradient(parameter, self._catch_up) if is_sparse else None
        if not is_sparse:
            parameter.block_gradient = None  # of an optimiser before this one
        else:
            self._clock = zeros_on_demand(2 * (parameter.numel() // BLOCK), torch.int32)
            self._start_schedule()

    def zero_grad(self) -> None:
        """Forget what was added to the gradient since the last step."""
        self._parameter.grad = None
        if self._gradient is not None:
            self._gradient.clear()

    @torch.no_grad()
    def step(self) -> None:
        """Update the parameter, and clear its gradient."""
        b1, b2 = self.betas
        grad, self._parameter.grad = self._parameter.grad, None
        self._step += 1
        size, scale = self.lr / (1 - b1**self._step), (1 - b2**self._step) ** -0.5
        if self._gradient is None:
            self._step_dense(grad, size, scale)
            return
        if grad is not None:
            self._gradient.add(grad)
        row = self._step - self._origin
        if row == len(self._schedule):
            self._schedule = torch.cat([self._schedule, torch.empty_like(self._schedule)])
        self._schedule[row] = torch.tensor([size, scale])
        flags, values = self._gradient.is_touched, self._gradient.values
        state = self._parameter, self._m, self._v, self._clock
        _kernels().step(flags, values, *state, b1, b2, self._step, self._origin, self._schedule, self._decay, self.eps)
        self._gradient.is_current, self._gradient.is_empty = False, True

    def catch_up(self) -> None:
        """Bring all of the parameter up to date: before it is saved, exported or evaluated."""
        if self._gradient is not None:
            self._gradient.before_reading(everything=True)

    def state_dict(self) -> dict[str, Any]:
        """What continues exactly, together with the parameter as it is after this call (which catches up).

        Tensors are the optimiser's own, not copies. `touched_at` is the step of the last gradient of every block.
        """
        self.catch_up()
        if self._gradient is None:
            has_moved = self._v.view(-1, BLOCK).any(dim=1)
            touched_at = has_moved.to(torch.int32) * self._step
        else:
            touched_at = self._clock[::2]
        settings = {"step": self._step, "lr": self.lr, "betas": list(self.betas), "eps": self.eps}
        return settings | {"exp_avg": self._m, "exp_avg_sq": self._v, "touched_at": touched_at}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`; the parameter is loaded by its module. From any device to any.

        Raises:
            ValueError: A state of another parameter.
        """
        if state["exp_avg"].shape != self._m.shape:
            raise ValueError(
                f"the optimiser's state is of {state['exp_avg'].numel()} parameters, the table has {self._m.numel()};"
                " continue with the settings the checkpoint was trained with"
            )
        self.zero_grad()
        self._step, self.lr, self.eps = state["step"], state["lr"], state["eps"]
        self._set_betas(tuple(state["betas"]))
        self._m.copy_(state["exp_avg"])
        self._v.copy_(state["exp_avg_sq"])
        touched_at = state["touched_at"].to(self._m.device)
        if self._gradient is None:
            for moment, beta in ((self._m, self.betas[0]), (self._v, self.betas[1])):
                moment.view(-1, BLOCK).mul_(beta ** (self._step - touched_at).float()[:, None])
        else:
            horizon = len(self._decay) - 1
            self._clock[::2] = touched_at
            self._clock[1::2] = (touched_at + horizon).clamp(max=self._step)
            self._start_schedule()
            self._gradient.is_current = True

    def _catch_up(self, everything: bool) -> None:
        """Make the moves of the blocks flagged in `is_read`, or of all."""
        flags = self._gradient.is_read
        state = self._parameter, self._m, self._v, self._clock
        steps = self._step, self._origin, self._schedule, self._decay, self.eps
        _kernels().catch_up(flags, everything, *state, *steps)
        if everything:
            self._start_schedule()
            self._gradient.is_current = True

    def _step_dense(self, grad: Tensor | None, size: float, scale: float) -> None:
        b1, b2 = self.betas
        grad = torch.zeros_like(self._m) if grad is None else grad
        self._m.lerp_(grad, 1 - b1)
        self._v.mul_(b2).addcmul_(grad, grad, value=1 - b2)
        self._parameter.addcdiv_(self._m, self._v.sqrt().mul_(scale).add_(self.eps), value=-size)

    def _start_schedule(self) -> None:
        """Steps from here on are recorded: nothing waits for an earlier one."""
        self._origin, self._schedule = self._step + 1, torch.empty(64, 2, dtype=torch.float64)

    def _set_betas(self, betas: tuple[float, float]) -> None:
        b1, b2 = betas
        if not 0 <= b1 < 1 or not b1 * b1 < b2 < 1:
            raise ValueError(f"Adam's betas must be in [0, 1) with b1^2 < b2, got {betas}")
        self.betas = betas
        # The largest |m| / sqrt(v) that a sequence of gradients can cause (Cauchy-Schwarz).
        ratio = (1 - b1) / math.sqrt((1 - b2) * (1 - b1 * b1 / b2))
        horizon = math.ceil(math.log(2**-24 * (1 - b1) / ratio) / math.log(b1)) if b1 > 0 else 0
        ages = torch.arange(horizon + 1, dtype=torch.float64)
        self._decay = torch.stack([b1**ages, b2 ** (ages / 2)], dim=1)


def _kernels() -> ModuleType:
    return importlib.import_module("common.sparse_adam.numba_kernels")
