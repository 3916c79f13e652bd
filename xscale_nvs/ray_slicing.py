"""Cutting the cached rays of every view into blocks of random rays (XScale-NVS, Sec. 3.5, slicing).

A view's n rays are put into a random order and cut into `ultra_cache_batch_size` blocks of floor(n / B); what is left
over is dropped. Training then reads a block as one range of a file. Views that do not fit into memory are shuffled
through files: every ray goes to one of several buckets at random, then each bucket is shuffled in memory (P. Sanders,
"Random Permutations on Distributed, External and Hierarchical Memory", 1998), which gives every order the same chance.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from common.io.atomic import atomic_folder
from common.io.npy_stream import NpyWriter, checksum_rows, read_rows
from common.seeding import generator_for
from xscale_nvs.parameters import Params
from xscale_nvs.ray_cache import (
    FORMAT,
    SLICED,
    cached_folder,
    find_damage,
    is_complete,
    read_record,
    read_scene_record,
    sliced_folder,
    write_record,
)
from xscale_nvs.ray_caching import count_workers

BYTES_IN_MEMORY = 1 << 26  # of one view's rays

logger = logging.getLogger(__name__)


def slice_rays(params: Params) -> None:
    """Slice every training view; views that are sliced already from the same rays are verified and kept.

    Raises:
        FileNotFoundError: The rays are not cached.
        ValueError: A cached file is damaged.
        OSError: The disk is full.
    """
    cache, blocks = Path(params.attribute_cache_path), params.ultra_cache_batch_size
    cached = read_scene_record(cache)["views"]
    missing = [view for view in params.training_view_list if view not in cached]
    if missing:
        raise FileNotFoundError(f"no rays of view {missing[0]} are cached in {cache}; run giga_warping.py again")

    order = {} if params.seed is None else {"seed": params.seed}

    def run(view_id: int) -> int:
        source, target = cached_folder(cache, view_id), sliced_folder(cache, view_id)
        key = _key(read_record(source), blocks)
        if not is_complete(target, key=key, **order):
            slice_view(source, target, blocks, key, params.seed, view_id)
        return read_record(target)["rays_per_block"]

    with ThreadPoolExecutor(count_workers(params)) as pool:
        futures = [pool.submit(run, view_id) for view_id in params.training_view_list]
        try:
            for future in tqdm(as_completed(futures), total=len(futures), desc="slicing", unit="view"):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for view_id, future in zip(params.training_view_list, futures, strict=True):
        if not future.result():
            logger.warning("view %d has fewer rays than the %d blocks: training leaves it out", view_id, blocks)


def slice_view(source: Path, target: Path, num_blocks: int, key: str, seed: int | None, view_id: int) -> None:
    """Write one view's blocks, all or none of them.

    Args:
        source: The view's cached rays.
        target: Where the blocks go.
        num_blocks: How many.
        key: Names what they are made from, for the record.
        seed: Of the order, together with the view; None draws one.
        view_id: The view.

    Raises:
        ValueError: A cached file is damaged.
    """
    problem = find_damage(source)
    if problem:
        raise ValueError(f"{problem}; run giga_warping.py again")
    record = read_record(source)
    per_block = record["rays"] // num_blocks
    seed = int.from_bytes(os.urandom(4), "little") if seed is None else seed
    with atomic_folder(target) as temporary:
        checksums = _shuffle(source, temporary, record["rays"], per_block * num_blocks, seed, view_id)
        ranges = [slice(block * per_block, (block + 1) * per_block) for block in range(num_blocks)]
        content: dict[str, Any] = {"key": key, "seed": seed, "view": view_id, "num_blocks": num_blocks}
        content |= {"rays_per_block": per_block, "camera_center": record["camera_center"]}
        content["blocks"] = {
            part: [checksum_rows(temporary / f"{part}.npy", rows) for rows in ranges] for part in SLICED
        }
        write_record(temporary, content, checksums)


def _shuffle(source: Path, target: Path, count: int, kept: int, seed: int, view_id: int) -> dict[str, int]:
    """Write the first `kept` rays of a random order; returns checksums."""
    shapes = {part: read_rows(source / f"{part}.npy", slice(0, 0)) for part in SLICED}
    row_bytes = sum(array.itemsize * int(np.prod(array.shape[1:])) for array in shapes.values())
    rows_at_once = max(1, BYTES_IN_MEMORY // row_bytes)
    generator = generator_for(seed, view_id)
    with ExitStack() as stack:
        writers = {
            part: stack.enter_context(NpyWriter(target / f"{part}.npy", array.dtype, array.shape[1:]))
            for part, array in shapes.items()
        }
        left = kept
        for bucket in _buckets(source, target, count, rows_at_once, generator):
            order = generator.permutation(len(bucket["face"]))[:left]
            for part, writer in writers.items():
                writer.append(bucket[part][order])
            left -= len(order)
    return {part: writer.checksum for part, writer in writers.items()}


def _buckets(
    source: Path, scratch: Path, count: int, rows_at_once: int, generator: np.random.Generator
) -> Iterator[Mapping[str, np.ndarray]]:
    """All rays of a view, dealt at random into parts that fit into memory."""
    if count <= rows_at_once:
        yield {part: read_rows(source / f"{part}.npy", slice(0, count)) for part in SLICED}
        return
    names = [f"bucket-{index}" for index in range(-(-count // rows_at_once))]
    with ExitStack() as stack:
        writers: dict[tuple[str, str], NpyWriter] = {}
        for first in range(0, count, rows_at_once):
            rows = slice(first, min(first + rows_at_once, count))
            dealt = generator.integers(len(names), size=rows.stop - rows.start)
            for part in SLICED:
                values = read_rows(source / f"{part}.npy", rows)
                for index, name in enumerate(names):
                    if (name, part) not in writers:
                        path = scratch / f"{name}-{part}.npy"
                        writers[name, part] = stack.enter_context(NpyWriter(path, values.dtype, values.shape[1:]))
                    writers[name, part].append(values[dealt == index])
    for name in names:
        paths = {part: scratch / f"{name}-{part}.npy" for part in SLICED}
        yield {part: np.load(path, allow_pickle=False) for part, path in paths.items()}
        for path in paths.values():
            path.unlink()


def _key(record: Mapping[str, Any], num_blocks: int) -> str:
    """Changes with the rays and with how they are cut."""
    content = json.dumps([FORMAT, record["key"], record["files"], num_blocks])
    return hashlib.sha256(content.encode()).hexdigest()
