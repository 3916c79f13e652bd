"""Smoothing of a matching-cost volume without learning.

guided_filter      local: He, Sun, Tang, "Guided Image Filtering", TPAMI 2013, Eq. (5), (6) and (8)
semi_global        along eight directions: Hirschmueller, "Stereo Processing by Semiglobal Matching and Mutual
                   Information", TPAMI 2008, Eq. (13)
"""

import cv2
import numpy as np
from jaxtyping import Float

_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


def box_mean(values: Float[np.ndarray, "H W"], radius: int) -> Float[np.ndarray, "H W"]:
    """Mean over a square window of side 2 radius + 1, mirrored at the border."""
    return cv2.blur(values, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)


def guided_filter(
    guide: Float[np.ndarray, "H W"], values: Float[np.ndarray, "H W"], radius: int, epsilon: float
) -> Float[np.ndarray, "H W"]:
    """`values` smoothed where the grey `guide` is smooth; edges of the guide stay edges.

    Args:
        guide: In [0, 1].
        values: What to smooth.
        radius: Half the window in pixels.
        epsilon: Variance of the guide below which a window counts as flat.
    """
    guide_mean, values_mean = box_mean(guide, radius), box_mean(values, radius)
    variance = box_mean(guide * guide, radius) - guide_mean * guide_mean
    covariance = box_mean(guide * values, radius) - guide_mean * values_mean
    slope = covariance / (variance + epsilon)
    offset = values_mean - slope * guide_mean
    return box_mean(slope, radius) * guide + box_mean(offset, radius)


def semi_global(costs: Float[np.ndarray, "H W D"], small_step: float, large_step: float) -> Float[np.ndarray, "H W D"]:
    """Mean over eight directions of the cheapest path cost that ends in each pixel and plane.

    Along a path in direction r, with the pixel before p written p - r:

        L(p, d) = C(p, d) + min(L(p-r, d), L(p-r, d +- 1) + P1, min_k L(p-r, k) + P2) - min_k L(p-r, k)

    Args:
        costs: Matching costs C.
        small_step: P1, the price of a change by one plane.
        large_step: P2, that of any other change.
    """
    total = np.zeros_like(costs)
    for step_y, step_x in _DIRECTIONS:
        if step_y == 0:  # walk over columns, as rows of the transposed volume
            _add_paths(total.swapaxes(0, 1), costs.swapaxes(0, 1), step_x, 0, small_step, large_step)
        else:
            _add_paths(total, costs, step_y, step_x, small_step, large_step)
    total /= len(_DIRECTIONS)
    return total


def _add_paths(
    total: Float[np.ndarray, "H W D"],
    costs: Float[np.ndarray, "H W D"],
    step: int,
    sideways: int,
    small_step: float,
    large_step: float,
) -> None:
    """Add L of one direction to `total`: row by row, `sideways` columns further with each row."""
    previous = None
    for row in range(len(costs)) if step > 0 else reversed(range(len(costs))):
        current = costs[row]
        if previous is not None:
            before = _shifted(previous, sideways)
            cheapest = before.min(axis=1, keepdims=True)
            best = np.minimum(before, cheapest + large_step)
            np.minimum(best[:, 1:], before[:, :-1] + small_step, out=best[:, 1:])
            np.minimum(best[:, :-1], before[:, 1:] + small_step, out=best[:, :-1])
            current = current + best - cheapest
        total[row] += current
        previous = current


def _shifted(before: np.ndarray, sideways: int) -> np.ndarray:
    """Entry i of the result is entry i - sideways of `before`; 0 where a path enters from the side."""
    if sideways == 0:
        return before
    shifted = np.zeros_like(before)
    if sideways > 0:
        shifted[1:] = before[:-1]
    else:
        shifted[:-1] = before[1:]
    return shifted
