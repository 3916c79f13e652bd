"""First hits of rays with a triangle mesh, by Embree, and the depth of whole pictures."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32

FAR_AWAY = 1e30


@dataclass(frozen=True)
class Hits:
    """Where rays meet the surface first.

    Attributes:
        faces: Triangle, or -1.
        t: Multiple of the direction at the hit; for directions of unit z in a camera this is the depth. Meaningless
            without a hit.
        second, third: Barycentric weights of the triangle's second and third corner.
    """

    faces: Int32[np.ndarray, " R"]
    t: Float32[np.ndarray, " R"]
    second: Float32[np.ndarray, " R"]
    third: Float32[np.ndarray, " R"]


class RayCaster:
    """A mesh that rays can be shot at."""

    def __init__(self, vertices: Float[np.ndarray, "P 3"], faces: Int[np.ndarray, "T 3"]):
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(
            scene=self._scene,
            vertices=np.ascontiguousarray(vertices, dtype=np.float32),
            indices=np.ascontiguousarray(faces, dtype=np.int32),
        )

    def first_hits(self, origins: Float32[np.ndarray, "R 3"], directions: Float32[np.ndarray, "R 3"]) -> Hits:
        """First hit of each ray."""
        found = self._scene.run(origins, directions, output=True)
        return Hits(found["primID"], found["tfar"], found["u"], found["v"])

    def is_blocked(
        self, origins: Float32[np.ndarray, "R 3"], directions: Float32[np.ndarray, "R 3"], reach: float = FAR_AWAY
    ) -> Bool[np.ndarray, " R"]:
        """Whether anything lies on a ray before `reach` times its direction."""
        limits = np.full(len(origins), reach, dtype=np.float32)
        return self._scene.run(origins, directions, limits, query="OCCLUDED") >= 0


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
