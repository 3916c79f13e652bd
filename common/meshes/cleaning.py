"""What to keep of a mesh: what cameras see first, large components, and vertices that are used."""

import logging
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int64

from common.cameras import Camera
from common.ops.rasterize.embree import RAYS_AT_ONCE, RayCaster
from common.parallel import run_in_threads
from common.synthetic.ray_casting import camera_rays

_LOGGER = logging.getLogger(__name__)


def first_hit_faces(
    caster: RayCaster,
    num_faces: int,
    origins: Float32[np.ndarray, "R 3"],
    directions: Float32[np.ndarray, "R 3"],
) -> Bool[np.ndarray, " T"]:
    """Faces that are the first thing that some ray meets.

    Args:
        caster: Of the mesh.
        num_faces: Of the mesh.
        origins: World frame.
        directions: World frame, any length.
    """

    def shoot(part: slice) -> Int64[np.ndarray, " N"]:
        faces = caster.first_hits(origins[part], directions[part]).faces
        return np.unique(faces[faces >= 0]).astype(np.int64)

    parts = [slice(start, start + RAYS_AT_ONCE) for start in range(0, len(origins), RAYS_AT_ONCE)]
    seen = np.zeros(num_faces, bool)
    for faces in run_in_threads([lambda part=part: shoot(part) for part in parts]):
        seen[faces] = True
    return seen


def faces_of_vertices(faces: Int[np.ndarray, "T 3"], kept: Bool[np.ndarray, " P"]) -> Bool[np.ndarray, " T"]:
    """Faces whose three corners are all kept."""
    return kept[faces].all(1)


def large_components(faces: Int[np.ndarray, "T 3"], fewest: int) -> Bool[np.ndarray, " T"]:
    """Faces of connected components (across shared edges) of at least `fewest` faces.

    If no component is as large as that, the largest one is kept, with a warning.
    """
    import trimesh

    pairs = trimesh.graph.face_adjacency(faces)
    labels = trimesh.graph.connected_component_labels(pairs, node_count=len(faces))
    sizes = np.bincount(labels)
    if sizes.max(initial=0) < fewest and len(sizes):
        _LOGGER.warning("no part of the mesh has %d faces; the largest, of %d faces, is kept", fewest, sizes.max())
        fewest = sizes.max()
    return sizes[labels] >= fewest


def without_unused(
    faces: Int[np.ndarray, "T 3"], num_vertices: int
) -> tuple[Int64[np.ndarray, " Q"], Int64[np.ndarray, "T 3"]]:
    """Numbers of the vertices that faces use, in order, and the faces in terms of these."""
    used = np.zeros(num_vertices, bool)
    used[faces] = True
    numbers = np.cumsum(used) - 1
    return np.flatnonzero(used), numbers[faces].astype(np.int64)


def keep_faces(
    vertices: Float[np.ndarray, "P C"], faces: Int[np.ndarray, "T 3"], kept: Bool[np.ndarray, " T"]
) -> tuple[Float[np.ndarray, "Q C"], Int64[np.ndarray, "S 3"]]:
    """The mesh of some faces, without the vertices that none of them uses."""
    used, renumbered = without_unused(faces[kept], len(vertices))
    return vertices[used], renumbered


def faces_seen_by(
    vertices: Float[np.ndarray, "P 3"],
    faces: Int[np.ndarray, "T 3"],
    cameras: Sequence[Camera],
    fewest_cameras: int = 1,
    rays_per_pixel: int = 2,
) -> Bool[np.ndarray, " T"]:
    """Faces that at least so many cameras see first.

    Args:
        vertices: World frame.
        faces: Corners of each triangle.
        cameras: Their depth bounds do not matter.
        fewest_cameras: At least 1.
        rays_per_pixel: Along each side of a pixel; triangles much smaller than the distance of rays are missed.
    """
    caster = RayCaster(vertices, faces)
    count = np.zeros(len(faces), np.int64)
    for camera in cameras:
        x, y = (
            (np.arange(rays_per_pixel * side) + 0.5) / rays_per_pixel - 0.5 for side in (camera.width, camera.height)
        )
        matrices = (matrix.detach().cpu().double().numpy() for matrix in (camera.intrinsics, camera.world_to_cam))
        count += first_hit_faces(caster, len(faces), *camera_rays(*matrices, x, y))
    return count >= fewest_cameras
