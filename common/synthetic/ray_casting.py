"""Rays through grids of pixels, and the depth of whole pictures by Embree."""

import numpy as np
from jaxtyping import Float, Float32

from common.ops.rasterize.embree import FAR_AWAY, Hits, RayCaster

__all__ = ["FAR_AWAY", "Hits", "RayCaster", "camera_rays", "cast_depth"]


def camera_rays(
    intrinsics: Float[np.ndarray, "3 3"],
    world_to_cam: Float[np.ndarray, "4 4"],
    x: Float[np.ndarray, " W"],
    y: Float[np.ndarray, " H"],
) -> tuple[Float32[np.ndarray, "R 3"], Float32[np.ndarray, "R 3"]]:
    """Origins and directions (unit z in the camera, world frame) through a grid of pixel positions, row by row."""
    rotation, translation = world_to_cam[:3, :3], world_to_cam[:3, 3]
    world_from_pixel = rotation.T @ np.linalg.inv(intrinsics)
    directions = np.empty((len(y), len(x), 3), np.float32)
    along_x, along_y = np.multiply.outer(x, world_from_pixel[:, 0]), np.multiply.outer(y, world_from_pixel[:, 1])
    np.add(along_x, (along_y + world_from_pixel[:, 2])[:, None], out=directions, casting="same_kind")
    origins = np.empty_like(directions)
    origins[:] = -rotation.T @ translation
    return origins.reshape(-1, 3), directions.reshape(-1, 3)


def cast_depth(
    caster: RayCaster,
    intrinsics: Float[np.ndarray, "3 3"],
    world_to_cam: Float[np.ndarray, "4 4"],
    size: tuple[int, int],
) -> Float32[np.ndarray, "H W"]:
    """Depth (z) at the pixel centres of a (width, height) picture, 0 where a ray meets nothing."""
    width, height = size
    origins, directions = camera_rays(
        intrinsics, world_to_cam, np.arange(width, dtype=float), np.arange(height, dtype=float)
    )
    hits = caster.first_hits(origins, directions)
    return np.where(hits.faces >= 0, hits.t, 0.0).astype(np.float32).reshape(height, width)
