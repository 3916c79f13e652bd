"""The values of a field around its zero level: coarse to fine, and only where the zero level can be.

Grids of stride 8, 4, 2 and 1 share their points. A cell of a coarse grid is divided if its corners differ in sign, or
if the field can come down to zero inside it. For a field of slope at most s, |f(x)| >= |f(corner)| - s |x - corner| at
each of the corners, so that a cell without

    mean_corners |f(corner)|  <=  s max_x mean_corners |x - corner|

holds no zero. The slope s is measured: the steepest differences along the edges of the cell and its neighbours, but at
least what is usual (95 %) where the surface was seen; and half as much again, for what lies between the samples.

What was measured on samples need not hold between them, so that it is checked three times.

1. Surface that leaves the divided cells is followed, cell by cell, until it is closed.
2. A field whose slope at the surface keeps growing from grid to grid (an occupancy, say) has no slope to rely on.
3. Random grid points outside the divided cells must have the sign that their cell says.

If 2 or 3 fails, the whole grid is evaluated instead.
"""

import itertools
import logging
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, Shaped
from scipy.ndimage import maximum_filter
from tqdm import tqdm

from common.meshes.grid_field import SLAB, GridField, dense_slabs

SAFETY = 1.5
USUAL = 0.95  # quantile of the slopes at the surface that every cell is thought capable of
COARSEST, FEWEST_CELLS = 8, 16  # stride of the first grid, and cells a side that it needs
NUM_PROBES, PROBED_SHARE = 1 << 16, 1 / 256  # of the grid's points; the smaller number counts

_LOGGER = logging.getLogger(__name__)


def narrow_slabs(grid: GridField, progress: str | None = None) -> Iterator[Float32[np.ndarray, "planes R R"]]:
    """The grid in slabs as `dense_slabs` gives it, except that values far from zero may be others of the same sign.

    Args:
        grid: The field.
        progress: Title of a progress bar, or None.
    """
    if grid.resolution - 1 < 2 * FEWEST_CELLS:
        yield from dense_slabs(grid)
        return
    band = _NarrowBand(grid)
    doubt = band.find_steepening()
    if doubt is None:
        band.evaluate(progress)
        doubt = band.find_steepening() or band.find_missed_surface()
    if doubt is None:
        yield from map(band.slab, range(band.num_slabs))
        return
    _LOGGER.warning("%s; all %d points of the grid are evaluated", doubt, grid.resolution**3)
    del band
    slabs = -(-(grid.resolution - 1) // SLAB)
    yield from tqdm(dense_slabs(grid), progress, slabs, disable=progress is None, unit="slab")


class _NarrowBand:
    """Values at stride 2 as a dense array, values at stride 1 as lists for each slab.

    Every array of the class has a value at each point or cell of the stride-2 grid; points that were not evaluated
    have the value of a corner of their cell, which has the same sign.
    """

    def __init__(self, grid: GridField):
        self._grid, self._slopes = grid, []
        cells = grid.resolution - 1
        stride = next(stride for stride in (COARSEST, 4, 2) if cells >= FEWEST_CELLS * stride)
        index = _coarse_index(grid.resolution, stride)
        self._values = grid.evaluate(_numbers(index, grid.resolution)).reshape((len(index),) * 3)
        self._known = np.ones(self._values.shape, bool)
        self._active = self._cells_to_divide(np.ones((len(index) - 1,) * 3, bool), stride)
        while stride > 2:
            stride //= 2
            self._refine(stride)
        self.num_slabs = -(-cells // SLAB)
        nothing = np.zeros(0, np.int64), np.zeros(0, np.float32)
        self._fine = [nothing] * (grid.resolution // SLAB + 1)
        self._parents = _parent_points(grid.resolution, len(self._values))

    def evaluate(self, progress: str | None) -> None:
        """Fill the divided cells at stride 1, and follow the surface where it leaves them."""
        changed = list(range(len(self._fine)))
        while changed:
            for slab in tqdm(changed, progress, disable=progress is None, unit="slab"):
                self._evaluate_slab(slab)
            grown = [slab for slab in changed if slab < self.num_slabs and self._follow_surface(slab)]
            around = {slab + step for slab in grown for step in (-1, 0, 1)}
            changed = sorted(slab for slab in around if 0 <= slab < len(self._fine))
        self._slopes.append(self._fine_slope())

    def slab(self, number: int) -> Float32[np.ndarray, "planes R R"]:
        """Values of a slab and of the first plane behind it."""
        side, start = self._grid.resolution, number * SLAB
        stop = min(start + SLAB, side - 1) + 1
        values = _at(self._values, self._parents[start:stop], self._parents, self._parents)
        flat = values.reshape(-1)
        for owner in (number, number + 1):
            if owner < len(self._fine):
                numbers, fine = self._fine[owner]
                offset = numbers - start * side * side
                inside = offset < len(flat)
                flat[offset[inside]] = fine[inside]
        return values

    def find_steepening(self) -> str | None:
        """Why the slopes that were measured so far cannot be relied on, or None."""
        known = [slope for slope in self._slopes if slope is not None]
        for coarse, fine in itertools.pairwise(known):
            if fine > SAFETY * coarse and not self._active.all():
                return f"the field gets steeper the closer one looks (from {coarse:.3g} to {fine:.3g})"
        return None

    def find_missed_surface(self) -> str | None:
        """What random probes found outside the divided cells, or None."""
        side = self._grid.resolution
        count = min(NUM_PROBES, int(PROBED_SHARE * side**3))
        probes = np.random.default_rng(0).integers(0, side, (count, 3))
        cells = np.minimum(probes // 2, len(self._active) - 1)
        probes = probes[~self._active[tuple(cells.T)]]
        expected = self._values[tuple(self._parents[probes].T)]
        found = self._grid.evaluate((probes[:, 0] * side + probes[:, 1]) * side + probes[:, 2])
        wrong = np.flatnonzero(np.sign(found) != np.sign(expected))
        if len(wrong):
            return f"{len(wrong)} of {len(probes)} random probes found surface that the coarse grid did not show"
        return None

    def _refine(self, stride: int) -> None:
        """Go on to the grid of `stride`, half of the current one."""
        index = _coarse_index(self._grid.resolution, stride)
        side = len(index)
        parents = [_parent_points(side, len(self._values))] * 3
        shared = np.logical_and.outer(np.logical_and.outer(_on_parent(side), _on_parent(side)), _on_parent(side))
        self._values, self._known = _at(self._values, *parents), _at(self._known, *parents) & shared
        todo = _points_of_cells(self._active, side) & ~self._known
        x, y, z = (index[part] for part in np.nonzero(todo))
        self._values[todo] = self._grid.evaluate((x * self._grid.resolution + y) * self._grid.resolution + z)
        self._known |= todo
        self._active = self._cells_to_divide(_at(self._active, *[np.arange(side - 1) // 2] * 3), stride)

    def _cells_to_divide(self, candidates: Bool[np.ndarray, "M M M"], stride: int) -> Bool[np.ndarray, "M M M"]:
        """Which of the candidates, whose corners are all known, can hold a zero."""
        cells = np.flatnonzero(candidates)
        index = np.unravel_index(cells, candidates.shape)
        corners = _corners(self._values, index)
        edges = stride * np.array(self._grid.spacing)
        changes, slopes = _sign_changes(corners), _slopes(corners, edges)
        self._slopes.append(_usual_slope(slopes[changes]))
        usual = slopes.max(initial=0.0) if self._slopes[-1] is None else self._slopes[-1]
        steepest = np.zeros(candidates.shape, np.float32)
        steepest[index] = slopes
        steepest = maximum_filter(steepest, 3, mode="nearest")[index]
        reachable = SAFETY * np.maximum(steepest, usual) * _reach(edges)
        divided = np.zeros_like(candidates)
        divided[index] = changes | (np.abs(corners).mean(0) <= reachable)
        return divided

    def _evaluate_slab(self, number: int) -> None:
        """Evaluate what divided cells need of the planes that a slab owns (its last plane belongs to the next)."""
        side, start = self._grid.resolution, number * SLAB
        stop = min(start + SLAB, side)
        first = max(start // 2 - 1, 0)
        cells = self._active[first : stop // 2 + 1]
        if start >= stop or not cells.any():
            return
        planes = _points_of_cells(cells, side, planes=side - 2 * first)
        needed = planes[start - 2 * first : stop - 2 * first]
        on_parent = _on_parent(side)
        shared = np.logical_and.outer(np.logical_and.outer(on_parent[start:stop], on_parent), on_parent)
        shared &= _at(self._known, self._parents[start:stop], self._parents, self._parents)
        numbers, values = self._fine[number]
        needed &= ~shared
        needed.reshape(-1)[numbers - start * side * side] = False
        new = np.flatnonzero(needed) + start * side * side
        self._fine[number] = np.concatenate([numbers, new]), np.concatenate([values, self._grid.evaluate(new)])

    def _follow_surface(self, number: int) -> bool:
        """Divide the cells of a slab that the surface runs into; whether there were any."""
        values = self.slab(number)
        first, last = number * SLAB // 2, -(-min((number + 1) * SLAB, self._grid.resolution - 1) // 2)
        new = ~(_all_in_cells(values > 0) | _all_in_cells(values < 0)) & ~self._active[first:last]
        self._active[first:last] |= new
        return bool(new.any())

    def _fine_slope(self) -> float | None:
        """What is usual at the surface at stride 1, from one fine cell in each divided one."""
        found = []
        for number in range(self.num_slabs):
            first = number * SLAB // 2
            x, y, z = np.nonzero(self._active[first : first + SLAB // 2])
            if len(x):
                corners = _corners(self.slab(number), (2 * x, 2 * y, 2 * z))
                found.append(_slopes(corners, np.array(self._grid.spacing))[_sign_changes(corners)])
        return _usual_slope(np.concatenate(found)) if found else None


def _coarse_index(resolution: int, stride: int) -> Int64[np.ndarray, " n"]:
    """Grid indices of every `stride`-th point, and of the last one."""
    return np.minimum(np.arange(0, resolution - 1 + stride, stride), resolution - 1)


def _numbers(index: Int64[np.ndarray, " n"], resolution: int) -> Int64[np.ndarray, " m"]:
    x, y, z = np.ix_(index, index, index)
    return ((x * resolution + y) * resolution + z).reshape(-1)


def _parent_points(side: int, coarse_side: int) -> Int64[np.ndarray, " n"]:
    """For each index of a grid the index of a coarse point that is a corner of every coarse cell it lies in."""
    parents = np.arange(side) // 2
    parents[-1] = coarse_side - 1
    return parents


def _at(array: Shaped[np.ndarray, "A B C"], *index: Int64[np.ndarray, " _"]) -> Shaped[np.ndarray, "a b c"]:
    """The array at all combinations of indices along its axes (three takes are faster than one np.ix_)."""
    for axis, along in enumerate(index):
        array = array.take(along, axis)
    return array


def _on_parent(side: int) -> Bool[np.ndarray, " n"]:
    on_parent = np.arange(side) % 2 == 0
    on_parent[-1] = True
    return on_parent


def _points_of_cells(
    cells: Bool[np.ndarray, "A B C"], side: int, planes: int | None = None
) -> Bool[np.ndarray, "a b c"]:
    """Points of the grid of half the stride that lie in or on marked cells."""
    for axis, size in ((2, side), (1, side), (0, side if planes is None else planes)):
        shape = list(cells.shape)
        shape[axis] = 2 * shape[axis] + 1
        points = np.zeros(shape, bool)
        for offset in (0, 1, 2):
            part = [slice(None)] * 3
            part[axis] = slice(offset, offset + shape[axis] - 1 if offset < 2 else None, 2)
            points[tuple(part)] |= cells
        cells = points.take(range(min(size, shape[axis])), axis)
    return cells


def _all_in_cells(points: Bool[np.ndarray, "a b c"]) -> Bool[np.ndarray, "A B C"]:
    """Cells of twice the stride in which all 27 points are marked."""
    for axis in range(3):
        if points.shape[axis] % 2 == 0:
            points = np.concatenate([points, points.take([-1], axis)], axis)
        first, second, third = ([slice(None)] * 3 for _ in range(3))
        first[axis], second[axis], third[axis] = slice(0, -1, 2), slice(1, None, 2), slice(2, None, 2)
        points = points[tuple(first)] & points[tuple(second)] & points[tuple(third)]
    return points


def _corners(values: Float[np.ndarray, "a b c"], index: tuple) -> Float[np.ndarray, "8 M"]:
    """Values at the corners of cells; the last axis of the cell changes fastest."""
    x, y, z = index
    return np.stack([values[x + i, y + j, z + k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])


def _sign_changes(corners: Float[np.ndarray, "8 M"]) -> Bool[np.ndarray, " M"]:
    return (corners.min(0) <= 0) & (corners.max(0) >= 0)


def _slopes(corners: Float[np.ndarray, "8 M"], edges: Float[np.ndarray, "3"]) -> Float[np.ndarray, " M"]:
    """Length of the vector of the largest slopes along x, y and z."""
    cube = corners.reshape(2, 2, 2, -1)
    steepest = [np.abs(np.diff(cube, axis=axis)).max((0, 1, 2)) / edges[axis] for axis in range(3)]
    return np.linalg.norm(steepest, axis=0).astype(np.float32)


def _usual_slope(slopes: Float[np.ndarray, " M"]) -> float | None:
    return float(np.quantile(slopes, USUAL)) if len(slopes) else None


def _reach(edges: Float[np.ndarray, "3"]) -> float:
    """Largest mean distance of a point of a cell from its corners; it is that of a corner."""
    corners = np.stack(np.meshgrid(*[(0.0, edge) for edge in edges]), axis=-1).reshape(-1, 3)
    return float(np.linalg.norm(corners, axis=1).mean())
