"""Which rays an epoch trains on, and when it saves: the paper's dynamic loading.

Each view's rays lie in blocks on disk. For epoch e:

    e mod shuffle_batches_iter = 0      a new order within the block, splits = floor(rays / batch)
    e mod change_batches_iter = 0       the next block, round and round
    e mod save_checkpoint_iter = 0      a checkpoint, before training
    e mod batch_shuffle_iter = 0        new rays: entries [j batch, (j + 1) batch) of the order, j = e mod splits

and one pass over the views in random order. Everything is a function of seed and epoch alone, so a run that continues
at an epoch draws what it would have drawn, and no order of millions of rays is ever stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt64

from common.seeding import generator_for
from xscale_nvs.parameters import Params

_ROWS, _VIEWS = 0, 1  # what a random draw is for
_ROUNDS = 4


@dataclass(frozen=True)
class EpochPlan:
    """One epoch.

    Attributes:
        block: Of every view.
        order: Number of the order within the block.
        splits: Which batch of that order, per view.
        is_reshuffled: A new order begins here.
        saves: A checkpoint is written before the epoch.
    """

    block: int
    order: int
    splits: tuple[int, ...]
    is_reshuffled: bool
    saves: bool


class RaySchedule:
    """The choice of rays for all epochs of a run.

    Args:
        params: The intervals and batch sizes.
        view_ids: Training views, in the order of `training_view_list`.
        num_rays: Rays per block of each.
        seed: Of the run.

    Attributes:
        active: Positions of the views that have rays; the others are left out.
        batch: Rays per view and epoch: `training_batch_size`, or what the smallest view has if that is less.

    Raises:
        ValueError: There is no view, or none has rays.
    """

    def __init__(self, params: Params, view_ids: Sequence[int], num_rays: Sequence[int], seed: int):
        if not view_ids:
            raise ValueError("training_view_list is empty; there is nothing to train on")
        self.num_rays = tuple(int(count) for count in num_rays)
        self.active = [position for position, count in enumerate(self.num_rays) if count]
        if not self.active:
            raise ValueError(
                f"none of the {len(view_ids)} training views has {params.ultra_cache_batch_size} rays, one for each of "
                "ultra_cache_batch_size blocks; do the cameras see the mesh?"
            )
        self.batch = min(params.training_batch_size, *(self.num_rays[position] for position in self.active))
        self.params = params
        self.seed = seed

    def plan(self, epoch: int) -> EpochPlan:
        """What happens in an epoch."""
        params = self.params
        drawn = epoch - epoch % params.batch_shuffle_iter  # when the rays of this epoch were chosen
        return EpochPlan(
            block=drawn // params.change_batches_iter % params.ultra_cache_batch_size,
            order=drawn // params.shuffle_batches_iter,
            splits=tuple(drawn % max(1, count // self.batch) for count in self.num_rays),
            is_reshuffled=epoch % params.shuffle_batches_iter == 0,
            saves=epoch % params.save_checkpoint_iter == 0,
        )

    def rows(self, plan: EpochPlan, position: int) -> Int[np.ndarray, " batch"]:
        """Rows of a view's block to train on; `position` counts in the training views."""
        first = plan.splits[position] * self.batch
        key = generator_for(self.seed, _ROWS, plan.order, position).integers(2**32, size=_ROUNDS, dtype=np.uint64)
        return shuffled(np.arange(first, first + self.batch), self.num_rays[position], key)

    def steps(self, epoch: int) -> list[Int[np.ndarray, " views"]]:
        """Positions of the views in each step of an epoch: every view once, in random order, perhaps fewer at last."""
        size = self.params.random_view_batch_size
        order = generator_for(self.seed, _VIEWS, epoch).permutation(self.active)
        return [order[first : first + size] for first in range(0, len(order), size)]


def shuffled(index: Int[np.ndarray, " N"], count: int, key: UInt64[np.ndarray, " rounds"]) -> Int[np.ndarray, " N"]:
    """Where a random permutation of range(count) takes some of its elements, without making the rest.

    A Feistel network on the smallest even number of bits that holds `count`, repeated until the result is in range.

    Args:
        index: Elements, below `count`.
        count: Size of the permuted range.
        key: One 32-bit number per round; decides which permutation.
    """
    half = np.uint64(max(1, -(-(int(count) - 1).bit_length() // 2)))
    mask = (np.uint64(1) << half) - np.uint64(1)
    result = index.astype(np.uint64)
    pending = np.arange(len(result))
    while len(pending):
        left, right = result[pending] >> half, result[pending] & mask
        for salt in key:
            left, right = right, left ^ (_mix(right ^ (salt << half)) & mask)
        result[pending] = (left << half) | right
        pending = pending[result[pending] >= count]
    return result.astype(np.int64)


def _mix(values: UInt64[np.ndarray, " N"]) -> UInt64[np.ndarray, " N"]:
    """Every bit of the input changes about half of the output's (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
