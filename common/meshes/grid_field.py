"""A scalar field on the points of a regular grid over a box."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

Field = Callable[[Float[Tensor, "N 3"]], Float[Tensor, " N"]]

SLAB = 16  # grid planes that are in memory at once


class GridField:
    """A field, evaluated at chosen points of a grid of `resolution` points a side.

    Grid points are numbered x-major: (x * resolution + y) * resolution + z.

    Attributes:
        resolution: Points a side, the box's faces included.
        spacing: Distance of neighbouring points along each axis.
        queries: How many points were evaluated so far.
        extremes: Smallest and largest value so far.
    """

    def __init__(
        self,
        field: Field,
        bounds: Float[Tensor, "2 3"],
        resolution: int,
        points_at_once: int = 1 << 16,
        device: torch.device | str = "cpu",
    ):
        """Nothing is evaluated yet.

        Args:
            field: World points to values, any floating type.
            bounds: Lower and upper corner of the box.
            resolution: At least 2.
            points_at_once: Largest number of points that the field is given in one call.
            device: Where the field expects its points.
        """
        self.resolution = resolution
        self.spacing = ((bounds[1] - bounds[0]).double() / (resolution - 1)).tolist()
        self.queries, self.extremes = 0, (np.inf, -np.inf)
        self._axes = [torch.linspace(float(low), float(high), resolution).numpy() for low, high in bounds.T.cpu()]
        self._field, self._points_at_once, self._device = field, points_at_once, device

    def evaluate(self, numbers: Int64[np.ndarray, " N"]) -> Float32[np.ndarray, " N"]:
        """Values at grid points.

        Raises:
            ValueError: The field returned another number of values, or one that is not finite.
        """
        values = np.empty(len(numbers), np.float32)
        for start in range(0, len(numbers), self._points_at_once):
            part = slice(start, start + self._points_at_once)
            values[part] = self._evaluate(numbers[part])
        if len(values):
            self.extremes = (min(self.extremes[0], values.min()), max(self.extremes[1], values.max()))
        self.queries += len(values)
        return values

    def planes(self, start: int, stop: int) -> Float32[np.ndarray, "planes R R"]:
        """All values with x from `start` to `stop` (excluded)."""
        side = self.resolution
        numbers = np.arange(start * side * side, stop * side * side)
        return self.evaluate(numbers).reshape(stop - start, side, side)

    def _evaluate(self, numbers: Int64[np.ndarray, " N"]) -> Float32[np.ndarray, " N"]:
        index = np.unravel_index(numbers, (self.resolution,) * 3)
        coordinates = [axis.take(i) for axis, i in zip(self._axes, index, strict=True)]
        points = torch.from_numpy(np.stack(coordinates, axis=1)).to(self._device)
        with torch.no_grad():
            values = self._field(points)
        if values.shape != (len(points),):
            raise ValueError(f"the field returned shape {tuple(values.shape)} for {len(points)} points")
        values = values.float().cpu().numpy()
        if not np.isfinite(values).all():
            raise ValueError(
                f"the field is not finite at {points[int(np.flatnonzero(~np.isfinite(values))[0])].tolist()};"
                " the network has diverged or its weights are damaged"
            )
        return values


def dense_slabs(grid: GridField) -> Iterator[Float32[np.ndarray, "planes R R"]]:
    """Every value of the grid in slabs of `SLAB` cells along x; neighbours share a plane, which is evaluated once."""
    last = None
    for start in range(0, grid.resolution - 1, SLAB):
        stop = min(start + SLAB, grid.resolution - 1) + 1
        values = grid.planes(start + (last is not None), stop)
        slab = values if last is None else np.concatenate([last, values])
        last = slab[-1:]
        yield slab
