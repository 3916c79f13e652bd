"""Seconds and peak memory of a piece of work, in a process of its own.

A process only ever reports the highest memory of its whole life, so work that is to be compared runs in a fresh one,
where nothing but the libraries it imports has been loaded before.
"""

import multiprocessing
import resource
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Report = Callable[[Any], None]


def peak_memory() -> int:
    """Highest resident memory of this process so far, in bytes, libraries included."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's memory, which a child inherits on Linux
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def run_isolated(function: Callable[..., Any], *arguments: Any, on_report: Report | None = None) -> tuple[Any, int]:
    """What `function(report, *arguments)` returns in a fresh process, and the peak memory of that in bytes.

    Args:
        function: Importable by name, as are the classes of its arguments.
        arguments: Handed on.
        on_report: Called here with every value that `function` passes to `report`.

    Raises:
        RuntimeError: The process ended without an answer, for example because memory ran out.
        Exception: Whatever `function` raised.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, function, arguments), daemon=True)
    process.start()
    sender.close()
    try:
        while True:
            kind, value, peak = receiver.recv()
            if kind == "report" and on_report is not None:
                on_report(value)
            elif kind == "result":
                return value, peak
            elif kind == "error":
                raise value
    except EOFError:
        process.join()
        raise RuntimeError(
            f"process {getattr(function, '__name__', function)} ended with code {process.exitcode}, without answer;"
            " code -9 usually means too little memory"
        ) from None
    finally:
        process.terminate()
        process.join()
        receiver.close()


def _work(sender: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        result = function(lambda value: sender.send(("report", value, 0)), *arguments)
        sender.send(("result", result, peak_memory()))
    except Exception as error:
        sender.send(("error", _sendable(error), 0))


def _sendable(error: Exception) -> Exception:
    """The error itself where its type survives the journey, else a RuntimeError with its words."""
    if type(error).__module__ == "builtins" and error.args and all(isinstance(part, str | int) for part in error.args):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")
