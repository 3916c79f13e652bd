"""Batches on their way from a dataset to a network."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader


class Loader(DataLoader):
    """A loader whose errors are those of the dataset, also when a worker process met them."""

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from super().__iter__()
        except (ValueError, TypeError, OSError, RuntimeError) as error:
            # A worker's error arrives as text: "Caught ValueError in ...", its traceback, "ValueError: sentence".
            _, found, sentence = str(error).rpartition(f"\n{type(error).__name__}: ")
            if not found:
                raise
            raise type(error)(sentence.strip()) from error


def to_device(batch: Any, device: torch.device) -> Any:
    """A nested batch with its tensors on `device`."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {name: to_device(value, device) for name, value in batch.items()}
    return batch
