"""Distances between a rendered depth map and the true one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class DepthScores:
    """Errors over the pixels whose true depth is known.

    Attributes:
        absolute: Mean |depth - truth| in scene units.
        relative: Mean |depth - truth| / truth.
        accuracy: For each threshold (scene units) the fraction of pixels with a smaller error.
        pixels: How many pixels counted.
    """

    absolute: float
    relative: float
    accuracy: dict[float, float]
    pixels: int


def depth_scores(
    depth: Float[np.ndarray, "H W"], truth: Float[np.ndarray, "H W"], thresholds: Sequence[float] = (2.0, 10.0)
) -> DepthScores | None:
    """Errors of `depth` where `truth` is not 0; None where it is 0 everywhere.

    Args:
        depth: z, scene units.
        truth: The same; 0 where unknown.
        thresholds: Scene units; GeFu counts errors below 2 and 10 mm on DTU.
    """
    known = truth != 0
    if not known.any():
        return None
    error = np.abs(depth[known].astype(np.float64) - truth[known])
    accuracy = {float(threshold): float(np.mean(error < threshold)) for threshold in thresholds}
    relative = float(np.mean(error / truth[known]))
    return DepthScores(float(error.mean()), relative, accuracy, int(known.sum()))


def resize_nearest(values: Float[np.ndarray, "H W"], height: int, width: int) -> Float[np.ndarray, "h w"]:
    """Another size without mixing values: output pixel i takes input pixel floor(i * scale), as the papers do."""
    rows = np.arange(height) * values.shape[0] // height
    columns = np.arange(width) * values.shape[1] // width
    return values[rows[:, None], columns]
