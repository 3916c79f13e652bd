"""Rays of an item, in its cube: origin, direction of unit length. Pixel centres lie on integers."""

import numpy as np
import torch
from jaxtyping import Float, Int, Real

from gens.data.geometry import ItemGeometry

UNIFORM_PART = 4  # one of so many training rays goes anywhere, the others through the object's mask
CHECKED_STEP = 4  # pixels


def ray_directions(
    pixels: Real[np.ndarray, "R 2"], intrinsics: Float[np.ndarray, "4 4"], cam_to_world: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "R 3"]:
    """Unit directions of the rays through (x, y)."""
    homogeneous = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
    directions = homogeneous @ np.linalg.inv(intrinsics[:3, :3].astype(np.float64)).T
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return (directions @ cam_to_world[:3, :3].T).astype(np.float32)


def pixel_lattice(height: int, width: int, level: int) -> tuple[Float[np.ndarray, "R 2"], tuple[int, int]]:
    """A lattice from corner to corner, row by row, that is `level` times coarser than the picture; and its size.

    Its pixels are fractional. Colours are read where they fall when truncated, as in the paper.
    """
    rows, columns = height // level, width // level
    y, x = torch.meshgrid(torch.linspace(0, height - 1, rows), torch.linspace(0, width - 1, columns), indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2).numpy(), (rows, columns)


def training_pixels(
    mask: Float[np.ndarray, "H W"], count: int, generator: np.random.Generator
) -> Int[np.ndarray, "R 2"]:
    """Pixels (x, y) drawn with replacement, three quarters of them from the mask, the others from the whole picture.

    Args:
        mask: Above 0.5 inside; at least one pixel is.
        count: How many altogether.
        generator: Decides which.
    """
    anywhere = count // UNIFORM_PART
    rows, columns = np.nonzero(mask > 0.5)
    chosen = generator.integers(len(rows), size=count - anywhere)
    inside = np.stack([columns[chosen], rows[chosen]], axis=1)
    return np.concatenate([inside, uniform_pixels(*mask.shape, anywhere, generator)])


def uniform_pixels(height: int, width: int, count: int, generator: np.random.Generator) -> Int[np.ndarray, "R 2"]:
    """Pixels (x, y) drawn with replacement from the whole picture."""
    return np.stack([generator.integers(width, size=count), generator.integers(height, size=count)], axis=1)


def points_on_rays(
    pixels: Real[np.ndarray, "P 2"],
    depth: Float[np.ndarray, " P"],
    intrinsics: Float[np.ndarray, "4 4"],
    cam_to_world: Float[np.ndarray, "4 4"],
) -> Float[np.ndarray, "P 3"]:
    """Points of the cube at the given depths (z, cube units) behind pixels."""
    homogeneous = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
    points_cam = homogeneous @ np.linalg.inv(intrinsics[:3, :3].astype(np.float64)).T * depth[:, None]
    return (points_cam @ cam_to_world[:3, :3].T + cam_to_world[:3, 3]).astype(np.float32)


def check_cube_meets_depth(geometry: ItemGeometry, depth: Float[np.ndarray, "H W"], view: str) -> None:
    """Make sure that some of what the reference view's depth shows lies in the cube.

    Args:
        geometry: Of the item.
        depth: World units, 0 where unknown; nothing is checked where all of it is.
        view: For the message.

    Raises:
        ValueError: Nothing of it does.
    """
    rows, columns = np.nonzero(depth[::CHECKED_STEP, ::CHECKED_STEP] > 0)
    rows, columns = rows * CHECKED_STEP, columns * CHECKED_STEP
    scaled = depth[rows, columns] * geometry.scale_factor
    points = points_on_rays(np.stack([columns, rows], axis=1), scaled, geometry.intrs[0], geometry.c2ws[0])
    if len(points) and not (np.abs(points) <= 1).all(1).any():
        raise ValueError(
            f"the box misses the object: none of the {len(points)} points that the depth map of view {view} shows lies"
            f" in the cube of radius {1 / geometry.scale_factor:.4g}; raise factor, or check the depth bounds of the"
            " camera files"
        )
