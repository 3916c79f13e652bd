"""Coarse parallel work on the CPU: whole tasks on threads, each of them single-threaded inside.

PyTorch splits every operation among its threads and waits for the last one; for thousands of small operations the
waiting costs more than the work, most of all on a busy machine. Tasks that run for milliseconds wait once.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Result = TypeVar("Result")


def run_in_threads(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """Results of the tasks in their order, run on as many threads as PyTorch uses.

    The tasks see the caller's gradient mode. An exception of a task is raised here.
    """
    threads = min(torch.get_num_threads(), len(tasks))
    if threads <= 1:
        return [task() for task in tasks]
    is_inference, is_grad_enabled = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def run(task: Callable[[], Result]) -> Result:
        with torch.inference_mode(is_inference), torch.set_grad_enabled(is_grad_enabled):
            return task()

    # The number of threads is a property of the thread that calls PyTorch.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(run, tasks))


def split_evenly(length: int, parts: int) -> list[slice]:
    """Range(length) cut into at most `parts` contiguous pieces of nearly equal size."""
    parts = max(1, min(parts, length))
    return [slice(length * part // parts, length * (part + 1) // parts) for part in range(parts)]
