"""Softplus in place, with its slope: the activation of networks that are evaluated for their own derivative.

    softplus(x) = log(1 + exp(beta x)) / beta        slope(x) = 1 / (1 + exp(-beta x))

For inference: nothing is recorded for gradients. Beside the rounding of float32 the kernel's values err by 1.5e-7 /
beta and its slopes by 3e-7: both come from one exponential and short polynomials, for many numbers at once.
"""

import importlib

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from common.ops._backends import Backend, choose


def has_kernel(*tensors: Tensor) -> bool:
    """Whether compiled CPU kernels are what runs for such tensors."""
    return choose("softplus_", "auto", tensors, ("numba",)) == "numba"


@torch.no_grad()
def softplus_(
    x: Float[Tensor, "P C"], beta: float, slope: Float[Tensor, "P C"] | None = None, backend: Backend = "auto"
) -> Float[Tensor, "P C"]:
    """Overwrite `x` with its softplus, and `slope` with the derivative; rows may lie apart in memory.

    Args:
        x: Numbers, innermost axis contiguous.
        beta: Sharpness, positive.
        slope: Where the derivative goes, or None.
        backend: See `common.ops`.

    Raises:
        RuntimeError: `x` is part of a computation that is being differentiated; this would break it.
    """
    if x.requires_grad:
        raise RuntimeError("softplus_ overwrites its argument and has no gradient; use torch's softplus in training")
    chosen = choose("softplus_", backend, (x,), ("numba",) if x.dtype == torch.float32 else ())
    if chosen == "numba":
        importlib.import_module("common.ops.softplus.numba_kernels").softplus(x, beta, slope)
        return x
    if slope is not None:
        slope.copy_(torch.sigmoid(beta * x))
    return x.copy_(functional.softplus(x, beta))
