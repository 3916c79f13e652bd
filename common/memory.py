"""What the C library does with freed memory."""

import ctypes
import functools

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST = 2**31 - 1


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees, for what it allocates next.

    By default glibc returns every block above 32 MB to the system when it is freed and asks for it again, page by page,
    at the next allocation; for a network on the CPU that is a quarter of its time (measured). Peak memory hardly
    changes.

    Returns:
        Whether the C library was told; False where it is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST))
