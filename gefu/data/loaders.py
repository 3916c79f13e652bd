"""Batches from the config, with a varying number of source views and choices that a resumed run can make again.

Every random choice is a pure function of the run's seed, the epoch and the position of the batch in it (and of the
rank, where several processes train): a run that continues at position p of an epoch sees exactly the batches that it
would have seen.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from common.batches import Loader
from common.distributed import rank, world_size
from common.seeding import generator_for
from gefu.data.datasets import NovelViewDataset, SampleKey, build_dataset
from gefu.data.scenes import find_layout, read_scenes

# Streams of random numbers that must not coincide.
_ORDER, _COUNT, _ITEM = 0, 1, 2


class TrainingBatches(Sampler[list[SampleKey]]):
    """The batches of an epoch, as keys; `start` them anywhere. `length` is their number in a whole epoch.

    Args:
        num_items: Items of the dataset.
        batch_size: Items per batch and process.
        counts, probabilities: Numbers of source views, drawn once per batch.
        length: Batches per epoch and process; the data is gone through as often as needed. None: once.
        shuffle: Order of the items at random, anew on each pass.
        seed: Of the run.
        process, num_processes: This rank among how many; each takes a contiguous part of a pass.
    """

    def __init__(
        self,
        num_items: int,
        batch_size: int,
        counts: Sequence[int],
        probabilities: Sequence[float],
        length: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        process: int = 0,
        num_processes: int = 1,
    ):
        self._num_items = num_items
        self._batch_size = batch_size
        self._counts = counts
        self._probabilities = probabilities
        self._shuffle = shuffle
        self._seed = seed
        self._process, self._num_processes = process, num_processes
        self._per_process = -(-num_items // num_processes)
        self._per_pass = -(-self._per_process // batch_size)
        self.length = self._per_pass if length is None else length
        self._epoch, self._position = 0, 0

    def start(self, epoch: int, position: int = 0) -> None:
        """Let the next iteration begin at batch `position` of `epoch`."""
        self._epoch, self._position = epoch, position

    def __len__(self) -> int:
        return self.length - self._position

    def __iter__(self) -> Iterator[list[SampleKey]]:
        order, order_pass = None, -1
        for position in range(self._position, self.length):
            number, offset = divmod(position, self._per_pass)
            if number != order_pass:
                order, order_pass = self._order(number), number
            first = offset * self._batch_size
            key = (self._seed, self._epoch, position, self._process)
            count = int(generator_for(_COUNT, *key).choice(self._counts, p=self._probabilities))
            yield [
                SampleKey(int(index), count, (_ITEM, *key, slot))
                for slot, index in enumerate(order[first : first + self._batch_size])
            ]

    def _order(self, number: int) -> np.ndarray:
        """This process's part of the items, in the order of one pass through the data."""
        order = np.arange(self._num_items)
        if self._shuffle:
            order = generator_for(_ORDER, self._seed, self._epoch, number).permutation(self._num_items)
        order = np.resize(order, self._per_process * self._num_processes)
        return order[self._process * self._per_process :][: self._per_process]


class TestBatches(Sampler[list[SampleKey]]):
    """Every item once, in order, one per batch."""

    def __init__(self, num_items: int, num_sources: int):
        self._num_items = num_items
        self._num_sources = num_sources

    def __len__(self) -> int:
        return self._num_items

    def __iter__(self) -> Iterator[list[SampleKey]]:
        return iter([[SampleKey(index, self._num_sources)] for index in range(self._num_items)])


def build_training_loader(cfg: Any, seed: int) -> DataLoader:
    """Training batches of a resolved config; call `loader.batch_sampler.start(epoch, position)` before each iteration.

    Raises:
        FileNotFoundError, ValueError: See `gefu.data.scenes.read_scenes`.
    """
    layout = find_layout(cfg.train_dataset_module)
    dataset = build_dataset(layout, read_scenes(layout, cfg.train_dataset, cfg.workspace), cfg, training=True)
    meta = cfg.train.sampler_meta
    _check_counts(dataset, meta.input_views_num)
    batches = TrainingBatches(
        num_items=len(dataset),
        batch_size=cfg.train.batch_size,
        counts=meta.input_views_num,
        probabilities=meta.input_views_prob,
        length=cfg.ep_iter if cfg.ep_iter > 0 else None,
        shuffle=cfg.train.shuffle,
        seed=seed,
        process=rank(),
        num_processes=world_size(),
    )
    return _loader(dataset, batches, cfg)


def build_test_loader(cfg: Any) -> DataLoader:
    """Test items of a resolved config in order, one per batch; raises as `build_training_loader`."""
    layout = find_layout(cfg.test_dataset_module)
    dataset = build_dataset(layout, read_scenes(layout, cfg.test_dataset, cfg.workspace), cfg, training=False)
    return _loader(dataset, TestBatches(len(dataset), cfg.gefu.test_input_views), cfg)


def _loader(dataset: NovelViewDataset, batches: Sampler, cfg: Any) -> DataLoader:
    return Loader(
        dataset,
        batch_sampler=batches,
        num_workers=min(cfg.train.num_workers, os.cpu_count() or 1),
        pin_memory=torch.cuda.is_available(),
    )


def _check_counts(dataset: NovelViewDataset, counts: Sequence[int]) -> None:
    """Refuse a number of sources that some target cannot offer, before training runs into it."""
    fewest = min(len(candidates) for _, _, candidates in dataset.items)
    if max(counts) > fewest:
        raise ValueError(
            f"train.sampler_meta.input_views_num asks for {max(counts)} source views, but a target has only {fewest} "
            "candidates; raise gefu.train_input_views or lower input_views_num"
        )
