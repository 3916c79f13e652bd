"""Which views of a scene a training step shows: the query and its references (spec 3.6 steps 2 and 3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuray_mrvm.databases.database import Database
from neuray_mrvm.view_loading import nearest_ids

DROP_QUERY_PROB, DROP_FRAME_PROB = 0.98, 0.99
FIRST_FRAME, LAST_FRAMES = 4, 5  # frames of a clip that are no query
FRAMES_AFTER, FRAMES_TOGETHER = 32, 64
# Factors of the number of references that the pool may have, and its largest size; types not listed take all views.
POOLS: dict[str, dict[str, tuple[tuple[int, ...], int]]] = {
    "easy": {"gso": ((3,), 24), "real_iconic": ((1, 2, 3), 20), "dtu_train": ((1, 2), 12)},
    "default": {"gso": ((1, 2, 3, 4), 32), "real_iconic": ((1, 2, 3, 4), 32), "dtu_train": ((1, 2), 12)},
}


@dataclass(frozen=True)
class ChosenViews:
    """Ids of one training item.

    Attributes:
        query: The view to render.
        references: The views that it is rendered from.
        candidates: Views among which the references have their neighbours.
    """

    query: str
    references: Sequence[str]
    candidates: Sequence[str]


def usable_ids(database: Database, needs_depth: bool) -> list[str]:
    """Ids of the views with a picture, and with a depth map if that is needed."""
    pictured = [view_id for view_id in database.ids if database.has_image(view_id)]
    return [view_id for view_id in pictured if database.find_depth(view_id)] if needs_depth else pictured


def choose_views(
    database: Database, ids: Sequence[str], cfg: Mapping[str, Any], generator: np.random.Generator
) -> ChosenViews:
    """A random query and random references near it.

    Args:
        database: The scene.
        ids: Of the usable views, at least two.
        cfg: `min_wn`, `max_wn`, `aug_view_select_type`.
        generator: Of the random numbers.
    """
    kind = database.name.split("/")[0]
    if kind == "real_estate":
        return _choose_frames(ids, cfg["min_wn"], generator)
    query = ids[generator.integers(len(ids))]
    near = nearest_ids(database, query, ids)
    if generator.random() < DROP_QUERY_PROB:
        near.remove(query)
    count = int(generator.integers(cfg["min_wn"], max(cfg["max_wn"], cfg["min_wn"] + 1)))
    factors, largest = POOLS[cfg["aug_view_select_type"]].get(kind, ((), 0))
    pool = near[: min(int(generator.choice(factors)) * count, largest)] if factors else near
    return ChosenViews(query, _drawn(pool, count, generator), near)


def _choose_frames(ids: Sequence[str], count: int, generator: np.random.Generator) -> ChosenViews:
    """The same of a clip, whose frames are sorted by time: references from two seconds around the query."""
    total = len(ids)
    first, last = FIRST_FRAME, total - LAST_FRAMES
    frame = int(generator.integers(first, last)) if first < last else int(generator.integers(total))
    right = min(frame + FRAMES_AFTER + int(generator.integers(-1, 2)), total - 1)
    near = list(range(max(0, right - FRAMES_TOGETHER), right))
    if frame in near and (len(near) == 1 or generator.random() < DROP_FRAME_PROB):
        near.remove(frame)
    near = near or [index for index in range(total) if index != frame]
    candidates = [ids[index] for index in near]
    return ChosenViews(ids[frame], _drawn(candidates, count, generator), candidates)


def _drawn(pool: Sequence[str], count: int, generator: np.random.Generator) -> list[str]:
    return [pool[index] for index in generator.permutation(len(pool))[:count]]
