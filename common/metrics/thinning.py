"""Thinning point clouds greedily: in the given order, a point stays if no point that stayed lies within a radius."""

import numpy as np
from jaxtyping import Bool, Float

_CELL_MARGIN = 1 + 1e-6  # a neighbour exactly one radius away must not fall two cells away by rounding


def thin_points(points: Float[np.ndarray, "P 3"], radius: float) -> Bool[np.ndarray, " P"]:
    """Which points stay. Points at exactly the radius go.

    Points are sorted into cells of the radius' size; about 70 bytes and two microseconds each.

    Args:
        points: In the order in which they claim their place.
        radius: In the points' unit.

    Raises:
        ValueError: The radius is not positive.
    """
    if not radius > 0:
        raise ValueError(f"points are thinned to a positive distance, got {radius}")
    if not len(points):
        return np.zeros(0, bool)
    from common.metrics.thinning_kernel import thin

    points = np.ascontiguousarray(points, np.float64)
    cells = np.floor((points - points.min(0)) / (radius * _CELL_MARGIN)).astype(np.int64) + 1
    sides = cells.max(0) + 2
    if np.prod(sides.astype(float)) > 2.0**62:
        raise ValueError(f"the points reach too far to be thinned to {radius}: they span {np.ptp(points, axis=0)}")
    keys = (cells[:, 0] * sides[1] + cells[:, 1]) * sides[2] + cells[:, 2]
    del cells
    order = np.argsort(keys, kind="stable")
    stays = np.ones(len(points), np.bool_)
    thin(points, keys, order, keys[order], points[order], sides[2], sides[1] * sides[2], radius * radius, stays)
    return stays
