"""Choosing source views for a target: by the layout's pair file, by the distance of the cameras, or at random."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from common.datasets.scene import Scene


def paired_views(scene: Scene, target: int, count: int | None = None) -> tuple[int, ...]:
    """The first `count` (None: all) sources of a target that the pair file lists and that have a picture, best first.

    Without a pair file they are the nearest cameras (10 where `count` is None, as GenS has it).
    """
    if not scene.pairs:
        return nearest_views(scene, target, count=10 if count is None else count)
    usable = [index for index in scene.pairs.get(target, ()) if scene.views[index].image is not None]
    return tuple(usable[:count])


def nearest_views(
    scene: Scene,
    target: int,
    candidates: Sequence[int] | None = None,
    count: int | None = None,
    distance: Literal["euclidean", "manhattan"] = "euclidean",
) -> tuple[int, ...]:
    """View ids whose camera centres are nearest to the target's, nearest first; the target itself is left out.

    Args:
        scene: The scene.
        target: View id.
        candidates: View ids to choose from; None takes every view with a picture. Ties keep this order.
        count: How many at most; None gives all.
        distance: "manhattan" is ID-NeRF's choice, all others take "euclidean".
    """
    if candidates is None:
        candidates = [index for index, view in enumerate(scene.views) if view.image is not None]
    others = [index for index in candidates if index != target]
    if not others:
        return ()
    offsets = np.stack([scene.views[index].center for index in others]) - scene.views[target].center
    lengths = np.linalg.norm(offsets, ord=2 if distance == "euclidean" else 1, axis=1)
    return tuple(int(others[index]) for index in np.argsort(lengths, kind="stable")[:count])


def random_views(candidates: Sequence[int], count: int, generator: np.random.Generator) -> tuple[int, ...]:
    """`count` different view ids in random order.

    Raises:
        ValueError: There are fewer candidates.
    """
    if count > len(candidates):
        raise ValueError(f"cannot choose {count} different views from {len(candidates)}")
    return tuple(int(index) for index in generator.permutation(np.asarray(candidates, dtype=int))[:count])
