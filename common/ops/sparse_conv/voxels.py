"""The occupied voxels of a grid, and which of them are neighbours.

A voxel (x, y, z) of a grid X Y Z has the key (x (Y + 1) + y) (Z + 1) + z. The unused places between rows and planes
stand for all that lies outside, so that a neighbour's key is the voxel's key plus a constant.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Voxels:
    """Occupied voxels, in the order of a dense tensor. 8 bytes each.

    Attributes:
        keys: See the module; ascending.
        size: Of the grid.
    """

    keys: Int64[Tensor, " N"]
    size: tuple[int, int, int]

    @classmethod
    def of(cls, mask: Bool[Tensor, "X Y Z"], first: int = 0, planes: int | None = None) -> "Voxels":
        """Where a mask is set.

        Args:
            mask: The whole grid, or some of its planes along the first axis.
            first: Plane of the grid that the mask begins with.
            planes: Of the grid; by default those of the mask.
        """
        size = (len(mask) if planes is None else planes, mask.shape[1], mask.shape[2])
        x, y, z = mask.nonzero(as_tuple=True)
        return cls(_keys(x + first, y, z, size), size)

    def __len__(self) -> int:
        return len(self.keys)

    def coordinates(self) -> tuple[Int64[Tensor, " N"], Int64[Tensor, " N"], Int64[Tensor, " N"]]:
        """Indices along the three axes."""
        row, z = self.keys // (self.size[2] + 1), self.keys % (self.size[2] + 1)
        return row // (self.size[1] + 1), row % (self.size[1] + 1), z

    def halved(self) -> "Voxels":
        """The voxels of a grid of half the size that hold an occupied one."""
        size = tuple(-(-side // 2) for side in self.size)
        x, y, z = (axis // 2 for axis in self.coordinates())
        return Voxels(torch.unique(_keys(x, y, z, size)), size)

    def gather(self, volume: Float[Tensor, "1 C X Y Z"]) -> Float[Tensor, "N C"]:
        """Values of a dense volume."""
        return volume[0].movedim(0, -1)[self.coordinates()]

    def scatter(self, values: Float[Tensor, "N C"]) -> Float[Tensor, "1 C X Y Z"]:
        """A dense volume, 0 in the other voxels, channels innermost in memory."""
        dense = values.new_zeros(*self.size, values.shape[1])
        return dense.index_put(self.coordinates(), values)[None].movedim(-1, 1)


def neighbours(fine: Voxels, coarse: Voxels, stride: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Pairs of voxels that a kernel of 3 x 3 x 3 connects: fine = stride * coarse + offset, offsets -1 to 1.

    Yields for each of the 27 offsets, the last axis fastest: its number; rows of `fine`; rows of `coarse`. Rows
    ascend, and no row occurs twice for one offset.
    """
    if len(fine) == 0:
        return
    plane, line = (fine.size[1] + 1) * (fine.size[2] + 1), fine.size[2] + 1
    centre = coarse.keys
    if stride != 1:
        centre = _keys(*(axis * stride for axis in coarse.coordinates()), fine.size)
    last = len(fine) - 1
    for number in range(9):
        wanted = centre + (number // 3 - 1) * plane + (number % 3 - 1) * line
        # Keys ascend: the neighbours along the last axis lie beside the place of the middle one.
        place = torch.searchsorted(fine.keys, wanted)
        is_there = fine.keys[place.clamp(max=last)] == wanted
        for step, row in ((-1, place - 1), (0, place), (1, place + is_there)):
            row = row.clamp_(0, last)
            pairs = (fine.keys[row] == wanted + step).nonzero()[:, 0]
            yield number * 3 + step + 1, row[pairs], pairs


def _keys(x: Tensor, y: Tensor, z: Tensor, size: tuple[int, ...]) -> Int64[Tensor, " N"]:
    return (x * (size[1] + 1) + y) * (size[2] + 1) + z
