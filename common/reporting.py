"""What a run tells its user: log lines with means and the time that is left, scalars for TensorBoard, the revision."""

import contextlib
import logging
import os
import socket
import statistics
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

WINDOW = 20


def configure_logging(is_main_process: bool = True) -> None:
    """Log lines to standard error from the main process; only warnings from the others. For entry points."""
    logging.basicConfig(format="%(message)s", level=logging.INFO if is_main_process else logging.WARNING, force=True)


class RunningValues:
    """The last values of several named scalars."""

    def __init__(self, window: int = WINDOW):
        self._window = window
        self._values: dict[str, deque[float]] = {}

    def update(self, scalars: Mapping[str, float]) -> None:
        """Add one value of each."""
        for name, value in scalars.items():
            self._values.setdefault(name, deque(maxlen=self._window)).append(float(value))

    def means(self) -> dict[str, float]:
        """Mean of the window of each."""
        return {name: statistics.fmean(values) for name, values in self._values.items()}

    def medians(self) -> dict[str, float]:
        """Median of the window of each (the lower one of an even number)."""
        return {name: statistics.median_low(values) for name, values in self._values.items()}


def progress_line(eta_seconds: float, epoch: int, step: int, values: Mapping[str, float], learning_rate: float) -> str:
    """One line for the console: time left, where the run is, running means, learning rate, GPU memory if any."""
    parts = [f"eta: {timedelta(seconds=int(eta_seconds))}", f"epoch: {epoch}", f"step: {step}"]
    parts += [f"{name}: {value:.4f}" for name, value in values.items()]
    parts.append(f"lr: {learning_rate:.6g}")
    if torch.cuda.is_available():
        parts.append(f"max_mem: {torch.cuda.max_memory_allocated() / 2**20:.0f} MB")
    return "  ".join(parts)


class ScalarWriter:
    """Scalars in TensorBoard's format, in a new file of one folder.

    Written at once and in this thread: nothing is lost when the process is killed, and a full disk is an OSError here.
    """

    def __init__(self, folder: str | Path):
        from tensorboard.compat.proto.event_pb2 import Event  # slow to import, and only training needs it
        from tensorboard.summary.writer.record_writer import RecordWriter

        path = Path(folder) / f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._event = Event
        self._path = path
        self._records = RecordWriter(path.open("wb"))
        self._add(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def write(self, prefix: str, scalars: Mapping[str, float], step: int) -> None:
        """Add `<prefix>/<name>` of every scalar at `step`."""
        event = self._event(wall_time=time.time(), step=step)
        for name, value in scalars.items():
            event.summary.value.add(tag=f"{prefix}/{name}", simple_value=value)
        self._add(event)

    def close(self) -> None:
        """Close the file."""
        self._records.close()

    def _add(self, event: Any) -> None:
        try:
            self._records.write(event.SerializeToString())
            self._records.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error


@contextlib.contextmanager
def scalar_writer(folder: str | Path, enabled: bool) -> Iterator[ScalarWriter | None]:
    """A `ScalarWriter` that is closed when the block ends, or None where this process does not report."""
    writer = ScalarWriter(folder) if enabled else None
    try:
        yield writer
    finally:
        if writer is not None:
            with contextlib.suppress(OSError):  # what could not be written was said when it was written
                writer.close()


def git_describe(arguments: Sequence[str] = ("--always", "--dirty")) -> str:
    """What git calls the checkout in the working directory; empty outside a repository."""
    try:
        done = subprocess.run(["git", "describe", *arguments], capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
