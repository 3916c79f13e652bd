"""Embree: first hits of rays, and primary visibility on the CPU.

A ray is shot through every pixel in float32, into a copy of the mesh that is moved to the origin and scaled to unit
size by a power of two, so that far-away coordinates cost nothing. What is answered is computed from the triangle that
was hit, in float64 (`numba_kernels.py`). Shooting runs without Python's lock: threads share the rows.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int32
from torch import Tensor

from common.ops.rasterize.visibility import Visibility
from common.parallel import run_in_threads

FAR_AWAY = 1e30
RAYS_AT_ONCE = 1 << 17  # of one thread; about 60 bytes each
_MOST_LAYERS = 64  # of surface nearer than the near plane


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
    """A mesh that rays can be shot at, from several threads at once.

    Args:
        vertices: World positions; Embree keeps them as float32.
        faces: Corners of each triangle.
        watertight: No ray slips through an edge that two triangles share; slower, but what generated scenes need.
    """

    def __init__(self, vertices: Float[np.ndarray, "P 3"], faces: Int[np.ndarray, "T 3"], watertight: bool = True):
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self._scene = EmbreeScene(robust=watertight)
        self._mesh = TriangleMesh(
            scene=self._scene,
            vertices=np.ascontiguousarray(vertices, dtype=np.float32),
            indices=np.ascontiguousarray(faces, dtype=np.int32),
        )
        nowhere = np.zeros((1, 3), np.float32)
        self._scene.run(nowhere, nowhere + 1)  # builds the hierarchy, which must not happen in two threads at once

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


class EmbreeMesh:
    """The `embree` back-end of `MeshRasterizer`."""

    def __init__(self, vertices: Float[Tensor, "P 3"], faces: Int[Tensor, "T 3"]):
        self._device = vertices.device
        self._vertices = vertices.detach().cpu().contiguous().numpy()
        self._faces = faces.detach().cpu().to(torch.int32).contiguous().numpy()
        low, high = self._vertices.min(0).astype(np.float64), self._vertices.max(0).astype(np.float64)
        self._middle = (low + high) / 2
        self._scale = 2.0 ** -np.ceil(np.log2(max(float((high - low).max()), 1e-300)))
        self._caster = RayCaster(self._normalised(self._vertices), self._faces, watertight=True)

    def visibility(
        self,
        intrinsics: Float[Tensor, "3 3"],
        world_to_cam: Float[Tensor, "4 4"],
        width: int,
        near: float,
        far: float,
        rows: range,
    ) -> Visibility:
        """See `MeshRasterizer.visibility`."""
        camera = _Camera(intrinsics, world_to_cam, width)
        count = len(rows) * width
        face = np.empty(count, np.int32)
        barycentric, depth = np.empty((count, 2), np.float32), np.empty(count, np.float32)
        start = rows.start * width

        def shoot(part: slice) -> None:
            pixels = np.arange(start + part.start, start + part.stop)
            self._see(camera, pixels, near, far, face[part], barycentric[part], depth[part])

        parts = [slice(first, min(first + RAYS_AT_ONCE, count)) for first in range(0, count, RAYS_AT_ONCE)]
        run_in_threads([lambda part=part: shoot(part) for part in parts])
        shape = (len(rows), width)
        return Visibility(
            torch.from_numpy(face.reshape(shape)).to(self._device),
            torch.from_numpy(barycentric.reshape(*shape, 2)).to(self._device),
            torch.from_numpy(depth.reshape(shape)).to(self._device),
        )

    def _see(self, camera, pixels, near, far, face, barycentric, depth) -> None:
        """Fill the last three for some pixels (numbered row by row)."""
        from common.ops.rasterize.numba_kernels import TOO_NEAR, refine_hits

        surface = self._vertices, self._faces
        hits = self._first_hits(camera, pixels)
        refine_hits(0, len(pixels), pixels, hits, camera.numbers, near, far, *surface, face, barycentric, depth)
        for layer in range(_MOST_LAYERS):
            again = np.flatnonzero(face == TOO_NEAR)
            if not len(again):
                return
            # Float32 may find the same surface again: the step beyond it doubles each time.
            beyond = np.maximum(near, depth[again].astype(np.float64)) * (1.0 + (2.0**layer - 1.0) * 1e-7)
            hits = self._first_hits(camera, pixels[again], beyond)
            found = (
                np.empty(len(again), np.int32),
                np.empty((len(again), 2), np.float32),
                np.empty(len(again), np.float32),
            )
            refine_hits(0, len(again), pixels[again], hits, camera.numbers, near, far, *surface, *found)
            face[again], barycentric[again], depth[again] = found
        face[face == TOO_NEAR] = -1

    def _first_hits(
        self, camera: "_Camera", pixels: Int[np.ndarray, " R"], start: Float[np.ndarray, " R"] | None = None
    ) -> Hits:
        """First hits of the rays through pixels, from the camera or from a depth each on."""
        from common.ops.rasterize.numba_kernels import fill_directions

        directions = np.empty((len(pixels), 3), np.float32)
        fill_directions(0, len(pixels), pixels, camera.numbers, directions)
        origins = camera.center[None] if start is None else camera.center + start[:, None] * directions
        origins = self._normalised(origins)
        return self._caster.first_hits(np.broadcast_to(origins, directions.shape), directions)

    def _normalised(self, points: Float[np.ndarray, "P 3"]) -> Float32[np.ndarray, "P 3"]:
        return ((points - self._middle) * self._scale).astype(np.float32)


class _Camera:
    """Numbers of a camera as the kernels read them, in float64.

    Attributes:
        center: Of the camera, world frame.
        numbers: World direction of unit depth from homogeneous pixel (3 x 3, rows), centre, optical axis, width of the
            picture.
    """

    def __init__(self, intrinsics: Float[Tensor, "3 3"], world_to_cam: Float[Tensor, "4 4"], width: int):
        rotation, translation = np.split(world_to_cam.detach().cpu().double().numpy()[:3], [3], axis=1)
        cam_to_world = np.linalg.inv(rotation)
        self.center = -(cam_to_world @ translation)[:, 0]
        directions = cam_to_world @ np.linalg.inv(intrinsics.detach().cpu().double().numpy())
        self.numbers = np.concatenate([directions.ravel(), self.center, rotation[2], [float(width)]])
