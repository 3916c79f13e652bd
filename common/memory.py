"""What the C library does with freed memory, and memory for tables that are read at random."""

import contextlib
import ctypes
import functools
import mmap

import torch
from torch import Tensor

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST = 2**31 - 1


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees, for what it allocates next.

    By default glibc returns every block above 32 MB to the system when it is freed and asks for it again, page by page,
    at the next allocation. Of a training step on the CPU that was 9 % (ID-NeRF, 1.3 GB) to 70 % (NeuRay on one scene,
    5 GB), measured with other work on the machine. Peak memory hardly changes.

    Returns:
        Whether the C library was told; False where it is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST))


def zeros_on_demand(length: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Zeros `length` on the CPU whose memory is taken when it is first touched, in large pages where Linux has them.

    Random reads of a table of a gigabyte otherwise wait as much for addresses (4 kB pages) as for numbers.
    """
    if length == 0:
        return torch.zeros(0, dtype=dtype)
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    memory = mmap.mmap(-1, length * dtype.itemsize, **private)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without large pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype)
