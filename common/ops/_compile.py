"""How numba compiles and runs the CPU kernels of `common.ops` (imported late, so that importing an op loads no numba).

A kernel's first two arguments are the range of its outer loop. It runs without Python's lock, so plain threads share
the work: no threading layer of numba's, which would cost seconds of compilation and not survive a fork.
"""

import inspect
import itertools
from collections.abc import Callable
from threading import Thread

import torch
from numba import njit
from torch import Tensor

# Sums may be reordered and multiply-adds contracted; NaN and infinity keep their meaning.
_FAST = {"reassoc", "contract", "nsz", "arcp"}


def device_function(function: Callable) -> Callable:
    """A function that kernels call."""
    return njit(fastmath=_FAST, cache=True)(_original(function))


def kernel(function: Callable) -> Callable:
    """A kernel: `function(first, last, *arrays)`, compiled for the dtypes it is first called with."""
    return njit(fastmath=_FAST, cache=True, nogil=True)(_original(function))


def launch(function: Callable, count: int, *arguments: Tensor | tuple | int | float) -> None:
    """Run a kernel over range(count), with as many threads as PyTorch uses. Tensors arrive as arrays.

    A tuple holds arrays already.
    """
    arrays = [each.detach().numpy() if isinstance(each, Tensor) else each for each in arguments]
    threads = max(1, min(torch.get_num_threads(), count))
    bounds = [count * part // threads for part in range(threads + 1)]
    parts = list(itertools.pairwise(bounds))
    helpers = [Thread(target=function, args=(*part, *arrays)) for part in parts[1:]]
    for helper in helpers:
        helper.start()
    function(*parts[0], *arrays)
    for helper in helpers:
        helper.join()


def _original(function: Callable) -> Callable:
    """The function as written: in tests the type checker has wrapped it, and numba compiles no wrappers."""
    return inspect.unwrap(function)
