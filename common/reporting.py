"""What a run tells its user: log lines with running means and the time that is left, and scalars for TensorBoard."""

import contextlib
import logging
import statistics
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

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
    """Scalars in TensorBoard's format, in one folder."""

    def __init__(self, folder: str | Path):
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and only training needs it

        self._writer = SummaryWriter(str(folder))

    def write(self, prefix: str, scalars: Mapping[str, float], step: int) -> None:
        """Add `<prefix>/<name>` of every scalar at `step`."""
        for name, value in scalars.items():
            self._writer.add_scalar(f"{prefix}/{name}", value, step)

    def close(self) -> None:
        """Write what is still in memory."""
        self._writer.close()


@contextlib.contextmanager
def scalar_writer(folder: str | Path, enabled: bool) -> Iterator[ScalarWriter | None]:
    """A `ScalarWriter` that is closed when the block ends, or None where this process does not report."""
    writer = ScalarWriter(folder) if enabled else None
    try:
        yield writer
    finally:
        if writer is not None:
            writer.close()
