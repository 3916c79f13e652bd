"""Which implementation of an op runs.

    torch       the reference: any device, any gradient it promises
    numba       CPU, compiled at run time
    triton      CUDA, compiled at run time; on the CPU in the interpreter (TRITON_INTERPRET=1), for tests
    tinycudann  CUDA, a library that the user installs (the hash grid)
    torchsparse CUDA, a library that the user installs (sparse convolution)

`auto` takes the fastest that is present and honours the op's promises; a named back-end raises if it cannot be
honoured. The environment variable POLYVIEW_BACKEND replaces `auto`.
"""

import functools
import importlib
import logging
import os
from collections.abc import Collection
from typing import Literal

import torch
from torch import Tensor

Backend = Literal["auto", "torch", "numba", "triton", "tinycudann", "torchsparse"]

logger = logging.getLogger(__name__)
_DTYPES = {
    "numba": (torch.float32, torch.float64),
    "triton": (torch.float32,),
    "tinycudann": (torch.float32,),
    "torchsparse": (torch.float32,),
}
_FASTEST_FIRST = {"cpu": ("numba",), "cuda": ("tinycudann", "torchsparse", "triton")}
_INSTALL = {
    "tinycudann": "git+https://github.com/NVlabs/tiny-cuda-nn/#subdirectory=bindings/torch",
    "torchsparse": "git+https://github.com/mit-han-lab/torchsparse.git",
}


def choose(op: str, backend: str, tensors: Collection[Tensor], available: Collection[str]) -> str:
    """The back-end to run.

    Args:
        op: Name of the op, for messages.
        backend: What the caller asked for.
        tensors: The op's tensor arguments; device and dtype decide.
        available: Fast back-ends that the op has for this call; the reference is always there.

    Raises:
        ValueError: Unknown back-end, or one that these tensors cannot use.
        RuntimeError: The named back-end is not installed.
    """
    if backend == "auto":
        backend = os.environ.get("POLYVIEW_BACKEND", "auto")
    if backend == "auto":
        return _fastest(op, tensors, available)
    if backend == "torch":
        return backend
    if backend not in available:
        raise ValueError(f"{op} has no back-end {backend!r} here; choose from {['auto', 'torch', *available]}")
    reason = _why_not(backend, tensors)
    if reason is not None:
        raise (RuntimeError if "install" in reason else ValueError)(f"backend={backend!r} of {op} {reason}")
    return backend


def _fastest(op: str, tensors: Collection[Tensor], available: Collection[str]) -> str:
    on_gpu = any(tensor.is_cuda for tensor in tensors)
    reasons = {}
    for fast in _FASTEST_FIRST["cuda" if on_gpu else "cpu"]:
        if fast in available:
            reasons[fast] = _why_not(fast, tensors)
            if reasons[fast] is None:
                return fast
    if on_gpu and reasons:
        problems = "; ".join(f"the back-end {fast!r} {reason}" for fast, reason in reasons.items())
        _warn_once(f"{op} runs its reference on the GPU: {problems}")
    return "torch"


def _why_not(backend: str, tensors: Collection[Tensor]) -> str | None:
    """Why a back-end cannot run on these tensors, as the end of a sentence; None if it can."""
    wanted = "cpu" if backend == "numba" or (backend == "triton" and is_interpreting()) else "cuda"
    for tensor in tensors:
        if tensor.device.type != wanted:
            return f"needs every tensor on {wanted}, got {tensor.device}"
        if tensor.dtype not in _DTYPES[backend]:
            return f"takes {' or '.join(map(str, _DTYPES[backend]))}, got {tensor.dtype}"
    return _import_problem(backend)


def is_interpreting() -> bool:
    """Triton kernels run on the CPU, in its interpreter."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@functools.cache
def _import_problem(module: str) -> str | None:
    try:
        importlib.import_module(module)
    except (ImportError, OSError) as error:  # tinycudann raises OSError without a GPU
        source = _INSTALL.get(module, module)
        return f"needs the package {module}, which does not import ({error}); install it with: pip install {source}"
    return None


@functools.cache
def _warn_once(message: str) -> None:
    logger.warning(message)
