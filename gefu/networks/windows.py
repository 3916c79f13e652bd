"""Rectangles of a picture, for rendering tile by tile.

A tile is computed from a larger window: the halo around it holds all that its pixels depend on, so that the zeros
beyond the window's edge, which the whole picture would not have, never reach the tile. Tiles begin at multiples of
`STEP` pixels of the full picture, a whole number of pixels at every scale of the cascade and of its networks.
"""

import itertools
from dataclasses import dataclass

from torch import Tensor

STEP = 32


@dataclass(frozen=True)
class Window:
    """Rows `top` to `bottom` and columns `left` to `right` (excluded), in pixels of the full picture."""

    top: int
    bottom: int
    left: int
    right: int

    def expanded(self, halo: int, within: "Window") -> "Window":
        """Larger on every side by `halo`, as far as `within` goes."""
        return Window(
            max(self.top - halo, within.top),
            min(self.bottom + halo, within.bottom),
            max(self.left - halo, within.left),
            min(self.right + halo, within.right),
        )

    def size(self, scale: float = 1.0) -> tuple[int, int]:
        """Height and width at a scale."""
        return round((self.bottom - self.top) * scale), round((self.right - self.left) * scale)

    def start(self, scale: float = 1.0) -> tuple[int, int]:
        """First row and column at a scale."""
        return round(self.top * scale), round(self.left * scale)

    def slices(self, scale: float = 1.0, inside: "Window | None" = None) -> tuple[slice, slice]:
        """Rows and columns at a scale, counted from the start of `inside` or of the picture."""
        (top, left), (height, width) = self.start(scale), self.size(scale)
        if inside is not None:
            top, left = top - inside.start(scale)[0], left - inside.start(scale)[1]
        return slice(top, top + height), slice(left, left + width)

    def crop(self, x: Tensor, scale: float = 1.0, inside: "Window | None" = None) -> Tensor:
        """The window's part of maps whose last two axes are rows and columns."""
        return x[(..., *self.slices(scale, inside))]


def whole(height: int, width: int) -> Window:
    """The window of a whole picture."""
    return Window(0, height, 0, width)


def tiles(height: int, width: int, max_side: int) -> list[Window]:
    """A picture cut into tiles of nearly equal size, sides at most `max_side`."""
    rows, columns = _cuts(height, max_side), _cuts(width, max_side)
    return [
        Window(top, bottom, left, right)
        for top, bottom in itertools.pairwise(rows)
        for left, right in itertools.pairwise(columns)
    ]


def row_strips(height: int, rows: int, start: int = 0) -> list[slice]:
    """`height` rows from `start` on, `rows` at a time."""
    stop = start + height
    return [slice(top, min(top + rows, stop)) for top in range(start, stop, rows)]


def _cuts(length: int, max_side: int) -> list[int]:
    count = -(-length // max(max_side // STEP * STEP, STEP))
    return [round(length * part / count / STEP) * STEP for part in range(count)] + [length]
