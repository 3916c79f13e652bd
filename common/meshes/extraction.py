"""From a field to the triangle mesh of its zero level."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from common.meshes.grid_field import Field, GridField, dense_slabs
from common.meshes.marching import march
from common.meshes.narrow_band import narrow_slabs
from common.renderer import SurfaceMesh

UNIT_CUBE = ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))


def extract_surface(
    field: Field,
    bounds: Float[Tensor, "2 3"] | tuple[tuple[float, float, float], tuple[float, float, float]] = UNIT_CUBE,
    resolution: int = 512,
    *,
    to_world: Float[np.ndarray, "4 4"] | None = None,
    colors: Callable[[Float[Tensor, "N 3"]], Float[Tensor, "N 3"]] | None = None,
    is_dense: bool = False,
    points_at_once: int = 1 << 16,
    device: torch.device | str = "cpu",
    progress: str | None = None,
) -> SurfaceMesh:
    """The zero level of a signed distance field (negative inside), by marching cubes on a regular grid.

    The field is evaluated around its zero level only (`narrow_band.py`), in about three bytes per grid point with the
    surface included. Vertices and triangles are those of PyMCubes on the whole grid, in its order. No gradient is
    recorded.

    Args:
        field: Points to values; any field with a measurable slope will do, its unit does not matter.
        bounds: Lower and upper corner of the box, both on the grid.
        resolution: Grid points a side.
        to_world: Similarity from the field's frame to the world; None leaves the vertices in the field's frame.
        colors: Points (field's frame, on the surface) to RGB in [0, 1]; None for a mesh without colours.
        is_dense: Evaluate every point of the grid.
        points_at_once: Largest number of points that `field` and `colors` are given in one call.
        device: Where `field` and `colors` expect their points.
        progress: Title of a progress bar; None for no bar.

    Returns:
        The mesh, on the CPU, float32.

    Raises:
        ValueError: The field has no zero crossing in the box, is not finite, or the box or resolution make no grid.
    """
    corners = torch.as_tensor(bounds, dtype=torch.float64)
    if resolution < 2 or not bool((corners[0] < corners[1]).all()):
        raise ValueError(
            "a mesh needs a box with lower < upper corner and at least 2 grid points a side, got"
            f" {corners.tolist()} and {resolution}"
        )
    grid = GridField(field, corners, resolution, points_at_once, device)
    slabs = dense_slabs(grid) if is_dense else narrow_slabs(grid, progress)
    vertices, triangles = march(slabs, resolution)
    if not len(triangles):
        raise ValueError(_no_surface(grid, corners))
    low, high = corners.numpy()
    vertices = vertices / (resolution - 1) * (high - low) + low
    rgb = None if colors is None else _colors_at(colors, vertices, points_at_once, device)
    if to_world is not None:
        vertices = vertices @ to_world[:3, :3].T + to_world[:3, 3]
        if np.linalg.det(to_world[:3, :3]) < 0:
            triangles = triangles[:, ::-1].copy()
    return SurfaceMesh(torch.from_numpy(vertices).float(), torch.from_numpy(triangles), rgb)


def _colors_at(colors: Callable, vertices: np.ndarray, points_at_once: int, device: torch.device | str) -> Tensor:
    points = torch.from_numpy(vertices).float()
    with torch.no_grad():
        return torch.cat([colors(part.to(device)).float().cpu() for part in points.split(points_at_once)])


def _no_surface(grid: GridField, corners: Tensor) -> str:
    low, high = grid.extremes
    where = "positive (outside)" if low > 0 else "negative (inside)" if high < 0 else "without a change of sign"
    return (
        f"the field has no zero crossing in the box {corners[0].tolist()} to {corners[1].tolist()}: all"
        f" {grid.queries} values are {where}, from {low:.4g} to {high:.4g}; the box misses the object, or the network"
        " is not trained"
    )
