"""In which order a process sees the items of a dataset, so that a resumed run sees what it would have seen.

Every random choice is a pure function of the run's seed, the epoch, the position in it and the rank.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from common.seeding import generator_for

# Streams of random numbers that must not coincide.
_ORDER, _ITEM = 0, 1


class ItemKey(NamedTuple):
    """Which item, and the integers that decide its random choices."""

    index: int
    seed: tuple[int, ...] = (0,)


class TrainingOrder(Sampler[ItemKey]):
    """This process's items of an epoch, as keys, in random order; `start` it anywhere. `length`: items per epoch.

    Args:
        num_items: Of the dataset. With several processes the last round is filled up with items of the first.
        seed: Of the run.
        process, num_processes: This rank among how many.
    """

    def __init__(self, num_items: int, seed: int, process: int = 0, num_processes: int = 1):
        self.length = -(-num_items // num_processes)
        self._num_items = num_items
        self._seed = seed
        self._process, self._num_processes = process, num_processes
        self._epoch, self._position = 0, 0

    def start(self, epoch: int, position: int = 0) -> None:
        """Let the next iteration begin at item `position` of `epoch`."""
        self._epoch, self._position = epoch, position

    def __len__(self) -> int:
        return self.length - self._position

    def __iter__(self) -> Iterator[ItemKey]:
        order = generator_for(_ORDER, self._seed, self._epoch).permutation(self._num_items)
        order = np.resize(order, self.length * self._num_processes)
        for position in range(self._position, self.length):
            index = int(order[position * self._num_processes + self._process])
            yield ItemKey(index, (_ITEM, self._seed, self._epoch, position, self._process))


class ValidationOrder(Sampler[ItemKey]):
    """Every item once, in order; with several processes each takes every n-th."""

    def __init__(self, num_items: int, process: int = 0, num_processes: int = 1):
        self._indices = range(process, num_items, num_processes)

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[ItemKey]:
        return iter([ItemKey(index) for index in self._indices])
