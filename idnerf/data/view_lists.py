"""Which scans, targets and sources the paper uses, and the same from what a folder holds."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

METHOD_FOLDER = Path(__file__).parent.parent
EVERY = 8  # of a scene without lists, every eighth view is a target


@functools.cache
def view_lists() -> dict[str, Any]:
    """The paper's lists.

    `pairs`: view ids by `<scene>_train` (sources) and `<scene>_val` (targets). `dtu_neighbours`: ten views by view,
    best first. `dtu_scans`: names by `train`, `val` (on which the paper tests) and `test` (which it does not use).
    """
    return json.loads((METHOD_FOLDER / "configs" / "view_lists.json").read_text(encoding="utf8"))


def every_eighth(views: Sequence[int]) -> tuple[list[int], list[int]]:
    """Sources and targets: every eighth view from the first is a target, the others are sources."""
    targets = list(views[::EVERY])
    return [view for view in views if view not in targets], targets


def colmap_pairs(distances: Sequence[float]) -> tuple[list[int], list[int]]:
    """Sources and targets of a scene without lists, as the paper chooses them (spec 3.3).

    Args:
        distances: L1 distance of every camera from the mean position.

    Returns:
        Of up to three views: all of them, last first, and the first one. Of more: among the 20 most central ones every
        sixth is a target, beginning with the most central one, and the others are sources.
    """
    count = len(distances)
    if count <= 3:
        return list(range(count))[::-1], [0]
    central = sorted(range(count), key=lambda view: distances[view])[: min(count, 20)]
    targets = central[:: min(count, 6)]
    return [view for view in central if view not in targets], targets
