"""The mesh that a scene is painted on (XScale-NVS, Sec. 3.4): vertices, faces, vertex normals, and its box.

    center = (max + min) / 2        scale = max - min + 1e-6        per axis, float32

The scale is per axis on purpose: the box becomes the cube that the hash grid fills.
"""

import logging
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Float32, Int32
from torch import Tensor

from common.io.data_files import check_data_file
from common.ops.rasterize import interpolate_at

POOR_RESOLUTION = 1e-5  # of a float32 coordinate, in scene diagonals

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SurfacePoints:
    """Places on the surface, as a camera sees them.

    Attributes:
        xyz: World; 0 where nothing is seen.
        normal: Interpolated vertex normal, unit length; 0 where nothing is seen.
        viewdr: Unit, from the camera to `xyz` (so that where nothing is seen it points to the world's origin).
    """

    xyz: Float32[Tensor, "*rays 3"]
    normal: Float32[Tensor, "*rays 3"]
    viewdr: Float32[Tensor, "*rays 3"]


@dataclass(frozen=True)
class SceneMesh:
    """A triangle mesh with what the method needs of it.

    Attributes:
        vertices: World.
        faces: Corners of each triangle.
        normals: Of the vertices, unit length or 0.
    """

    vertices: Float32[Tensor, "P 3"]
    faces: Int32[Tensor, "T 3"]
    normals: Float32[Tensor, "P 3"]

    @cached_property
    def center(self) -> Float32[Tensor, "3"]:
        """Middle of the box."""
        return (self.vertices.amax(dim=0) + self.vertices.amin(dim=0)) / 2

    @cached_property
    def scale(self) -> Float32[Tensor, "3"]:
        """Size of the box, per axis."""
        return self.vertices.amax(dim=0) - self.vertices.amin(dim=0) + 1e-6

    @cached_property
    def fingerprint(self) -> str:
        """Changes with any number of the mesh."""
        parts = [zlib.crc32(part.cpu().contiguous().numpy()) for part in (self.vertices, self.faces, self.normals)]
        return "-".join(f"{part:08x}" for part in [len(self.vertices), len(self.faces), *parts])

    @cached_property
    def _attributes(self) -> Float32[Tensor, "P 6"]:
        return torch.cat([self.vertices, self.normals], dim=1)

    def to(self, device: torch.device | str) -> "SceneMesh":
        """The same mesh on a device."""
        return SceneMesh(self.vertices.to(device), self.faces.to(device), self.normals.to(device))

    def points(
        self,
        face: Int32[Tensor, "*rays"],
        barycentric: Float32[Tensor, "*rays 2"],
        camera_center: Float32[Tensor, "*#rays 3"],
    ) -> SurfacePoints:
        """Places on the surface (step 1 of ray caching, Sec. 3.5).

        Args:
            face: Triangles; -1 where nothing is seen.
            barycentric: Weights of the first and second corner.
            camera_center: Of the camera that looks, world frame.
        """
        xyz, normal = interpolate_at(face, barycentric, self.faces, self._attributes).split(3, dim=-1)
        return SurfacePoints(xyz.contiguous(), _normalise(normal), _normalise(xyz - camera_center))


def load_mesh(path: Path) -> SceneMesh:
    """Read a mesh in any format that trimesh knows, with trimesh's default processing.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a mesh, has no faces, or its numbers are not finite.
    """
    check_data_file(path)
    try:
        scene = trimesh.load_scene(path)
        mesh = scene.to_mesh()  # what trimesh.load_mesh does, which forgets the file's normals
    except Exception as error:  # trimesh's readers raise anything on broken files
        raise ValueError(f"cannot read the mesh {path}: {type(error).__name__}: {error}") from None
    faces = np.asarray(getattr(mesh, "faces", ()))
    if not len(faces):
        raise ValueError(f"the mesh {path} has no faces; export a triangle mesh, not a point cloud")
    normals = _stored_normals(scene)
    if normals is None or normals.shape != mesh.vertices.shape:
        logger.info("%s has no normal for each vertex: they are computed from its faces", path)
        normals = mesh.vertex_normals
    vertices, normals = mesh.vertices.astype(np.float32), normals.astype(np.float32)
    if not (np.isfinite(vertices).all() and np.isfinite(normals).all()):
        raise ValueError(f"the mesh {path} holds numbers that are not finite; repair and export it again")
    loaded = SceneMesh(torch.from_numpy(vertices), torch.from_numpy(faces.astype(np.int32)), torch.from_numpy(normals))
    _warn_of_far_coordinates(loaded, path)
    return loaded


def _stored_normals(scene: trimesh.Scene) -> Float[np.ndarray, "P 3"] | None:
    """The vertex normals of a file with one mesh, where it has them."""
    if len(scene.geometry) != 1:
        return None
    (mesh,) = scene.geometry.values()
    return mesh.vertex_normals if "vertex_normals" in getattr(mesh, "_cache", ()) else None


def _warn_of_far_coordinates(mesh: SceneMesh, path: Path) -> None:
    """Georeferenced coordinates do not fit float32."""
    largest = np.spacing(np.float32(mesh.vertices.abs().max()))
    if largest > POOR_RESOLUTION * float(mesh.scale.norm()):
        offset = ", ".join(f"{value:.0f}" for value in mesh.center.tolist())
        logger.warning(
            "the coordinates of %s are so large that float32 resolves only %.2g of them; subtract about (%s) from mesh"
            " and cameras to keep the detail",
            path,
            largest,
            offset,
        )


def _normalise(vectors: Float32[Tensor, "*rays 3"]) -> Float32[Tensor, "*rays 3"]:
    x, y, z = vectors.unbind(-1)  # written out: a reduction may add in an order that depends on the number of rays
    return vectors / (x * x + y * y + z * z).sqrt().clamp(min=1e-8)[..., None]
