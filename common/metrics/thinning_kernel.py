"""The loop of `thin_points`, compiled by numba (imported late)."""

import inspect

import numpy as np
from numba import njit


def _thin(points, keys, order, sorted_keys, sorted_points, row, plane, squared_radius, stays):
    """Clear `stays` of every point that lies near one that stays before it.

    Neighbouring cells along z have neighbouring keys: the 27 cells around a point are 9 ranges of sorted points.
    """
    for index in range(len(points)):
        if not stays[index]:
            continue
        x, y, z = points[index, 0], points[index, 1], points[index, 2]
        for column in range(9):
            middle = keys[index] + (column // 3 - 1) * plane + (column % 3 - 1) * row
            place = np.searchsorted(sorted_keys, middle - 1)
            while place < len(sorted_keys) and sorted_keys[place] <= middle + 1:
                dx, dy, dz = sorted_points[place, 0] - x, sorted_points[place, 1] - y, sorted_points[place, 2] - z
                if dx * dx + dy * dy + dz * dz <= squared_radius:
                    stays[order[place]] = False
                place += 1
        stays[index] = True


thin = njit(cache=True, nogil=True)(inspect.unwrap(_thin))
