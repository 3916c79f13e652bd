"""Marching cubes over slabs of a grid, by PyMCubes, in blocks that hold surface only.

The result is what PyMCubes makes of the whole grid at once, in the same order: blocks share a plane of points, vertices
on shared planes are joined by the grid edge they lie on, and vertices and triangles are sorted by the cell that makes
them. (Vertices that lie exactly on a grid point of a shared plane are joined whatever their edge.)
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float32, Float64, Int64

from common.meshes.grid_field import SLAB

_ON_POINT = 1e-9  # cells; rounding differs by less between the two sides of a shared plane


def march(
    slabs: Iterable[Float32[np.ndarray, "planes R R"]], resolution: int
) -> tuple[Float64[np.ndarray, "P 3"], Int64[np.ndarray, "T 3"]]:
    """Vertices, in grid points from (0, 0, 0), and triangles of the zero level.

    Triangles are oriented as PyMCubes orients those of minus the values at level 0.

    Args:
        slabs: Values in slabs of `SLAB` cells along x; neighbours share a plane.
        resolution: Grid points a side.
    """
    import mcubes

    pieces = _Pieces(resolution)
    for number, values in enumerate(slabs):
        if not values.min() <= 0 <= values.max():
            continue
        for y in range(0, resolution - 1, SLAB):
            for z in range(0, resolution - 1, SLAB):
                block = values[:, y : y + SLAB + 1, z : z + SLAB + 1]
                if block.min() <= 0 <= block.max():
                    pieces.add(np.array([number * SLAB, y, z]), *mcubes.marching_cubes(-block, 0.0))
    return pieces.joined()


class _Pieces:
    """Surfaces of blocks, to be joined."""

    def __init__(self, resolution: int):
        self._resolution = resolution
        self._vertices, self._triangles = [np.zeros((0, 3))], [np.zeros((0, 3), np.int64)]
        self._cells, self._count = [np.zeros(0, np.int64)], 0

    def add(self, corner: Int64[np.ndarray, "3"], vertices: np.ndarray, triangles: np.ndarray) -> None:
        """Add a block whose first grid point is `corner`."""
        triangles = triangles.astype(np.int64)
        cells = np.floor(vertices[triangles].mean(1)).astype(np.int64) + corner
        self._cells.append((cells[:, 0] * self._resolution + cells[:, 1]) * self._resolution + cells[:, 2])
        self._vertices.append(vertices + corner)
        self._triangles.append(triangles + self._count)
        self._count += len(vertices)

    def joined(self) -> tuple[Float64[np.ndarray, "P 3"], Int64[np.ndarray, "T 3"]]:
        """One surface."""
        vertices, triangles = np.concatenate(self._vertices), np.concatenate(self._triangles)
        cells = np.concatenate(self._cells)
        order = np.argsort(cells, kind="stable")
        triangles, cells = self._joined_numbers(vertices)[triangles[order]], cells[order]

        # A vertex is made by the first cell that uses it; within a cell the order of the block is right.
        maker = np.full(len(vertices), np.iinfo(np.int64).max)
        np.minimum.at(maker, triangles.reshape(-1), np.repeat(cells, 3))
        used = np.flatnonzero(maker < np.iinfo(np.int64).max)
        used = used[np.lexsort((used, maker[used]))]
        rank = np.empty(len(vertices), np.int64)
        rank[used] = np.arange(len(used))
        return vertices[used], rank[triangles]

    def _joined_numbers(self, vertices: Float64[np.ndarray, "P 3"]) -> Int64[np.ndarray, " P"]:
        """For each vertex the number of the one that stands for all vertices of its grid edge."""
        nearest = np.rint(vertices)
        off_plane = np.abs(vertices - nearest) > _ON_POINT
        shared = np.flatnonzero(((nearest % SLAB == 0) & ~off_plane).any(1))
        lower = np.where(off_plane[shared], np.floor(vertices[shared]), nearest[shared]).astype(np.int64)
        axis = np.where(off_plane[shared].any(1), off_plane[shared].argmax(1), 3)
        side = self._resolution
        edges = ((lower[:, 0] * side + lower[:, 1]) * side + lower[:, 2]) * 4 + axis
        # The first block that has an edge is the one in which PyMCubes' order makes its vertex.
        _, first, group = np.unique(edges, return_index=True, return_inverse=True)
        numbers = np.arange(len(vertices))
        numbers[shared] = shared[first][group.reshape(-1)]
        return numbers
