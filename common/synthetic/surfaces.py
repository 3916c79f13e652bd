"""Triangle surfaces with normals and texture points: the pieces that objects are made of.

World and object frames have z up; lengths are millimetres. A texture point is where on (or in) its material a vertex
lies: (u, v, 0) for surfaces that are wrapped, the vertex itself for surfaces that are cut out of a block (triplanar),
both in millimetres of material.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Surface:
    """One piece of an object, in one material.

    Attributes:
        vertices, normals: Object frame until `moved`; normals have unit length and point outwards.
        texture_points: Millimetres; see the module docstring.
        material: Index into the scene's list of materials.
        triplanar: True where the texture is projected along the three axes of the object frame.
        object_to_world: Rotation that was applied so far, so that triplanar projection can undo it.
    """

    vertices: Float[np.ndarray, "P 3"]
    faces: Int[np.ndarray, "T 3"]
    normals: Float[np.ndarray, "P 3"]
    texture_points: Float[np.ndarray, "P 3"]
    material: int = 0
    triplanar: bool = False
    object_to_world: Float[np.ndarray, "3 3"] = None

    def __post_init__(self):
        if self.object_to_world is None:
            object.__setattr__(self, "object_to_world", np.eye(3))

    def moved(self, rotation: Float[np.ndarray, "3 3"], translation: Float[np.ndarray, "3"]) -> "Surface":
        """The same surface, rotated and then shifted; the texture goes with it."""
        return replace(
            self,
            vertices=self.vertices @ rotation.T + translation,
            normals=self.normals @ rotation.T,
            object_to_world=rotation @ self.object_to_world,
        )

    def dressed(self, material: int) -> "Surface":
        """The same surface in another material."""
        return replace(self, material=material)


def rotation_z(angle: float) -> Float[np.ndarray, "3 3"]:
    """Turn about the vertical by `angle` radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def rotation_x(angle: float) -> Float[np.ndarray, "3 3"]:
    """Tilt about the x axis by `angle` radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def smooth_normals(vertices: Float[np.ndarray, "P 3"], faces: Int[np.ndarray, "T 3"]) -> Float[np.ndarray, "P 3"]:
    """Area-weighted vertex normals; vertices at the same place (seams) share theirs."""
    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    places = np.round(vertices * 1000.0).astype(np.int64)
    _, place_of = np.unique(places, axis=0, return_inverse=True)
    place_of = place_of.reshape(-1)
    owner = place_of[faces].reshape(-1)
    repeated = np.repeat(face_normals, 3, axis=0)
    summed = np.stack([np.bincount(owner, repeated[:, k], minlength=place_of.max() + 1) for k in range(3)], axis=1)
    normals = summed[place_of]
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-12, normals / np.maximum(length, 1e-12), [0.0, 0.0, 1.0])


def grid_faces(rows: int, columns: int) -> Int[np.ndarray, "T 3"]:
    """Triangles of a grid of `rows` x `columns` vertices; seen from outside, columns go right while rows go up."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (i * columns + j).reshape(-1)
    b, c, d = a + 1, a + columns, a + columns + 1
    return np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)]).astype(np.int64)


def grid_surface(points: Float[np.ndarray, "rows columns 3"]) -> Surface:
    """A sheet through a grid of points, textured by arc length along its middle row and column."""
    rows, columns, _ = points.shape
    across = np.linalg.norm(np.diff(points, axis=1), axis=-1).max(axis=0)
    along = np.linalg.norm(np.diff(points, axis=0), axis=-1).mean(axis=1)
    u = np.concatenate([[0.0], np.cumsum(across)])
    v = np.concatenate([[0.0], np.cumsum(along)])
    texture = np.stack([*np.meshgrid(u, v), np.zeros((rows, columns))], axis=-1).reshape(-1, 3)
    vertices = points.reshape(-1, 3).astype(np.float64)
    faces = without_slivers(vertices, grid_faces(rows, columns))
    return Surface(vertices, faces, smooth_normals(vertices, faces), texture)


def without_slivers(vertices: Float[np.ndarray, "P 3"], faces: Int[np.ndarray, "T 3"]) -> Int[np.ndarray, "K 3"]:
    """The faces that have an area."""
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return faces[area > 1e-9]


def block_surface(vertices: Float[np.ndarray, "P 3"], faces: Int[np.ndarray, "T 3"]) -> Surface:
    """A smooth closed surface cut out of its material (triplanar texture)."""
    vertices = np.asarray(vertices, dtype=np.float64)
    faces = without_slivers(vertices, np.asarray(faces, dtype=np.int64))
    return Surface(vertices, faces, smooth_normals(vertices, faces), vertices.copy(), triplanar=True)


def join_surfaces(surfaces: list[Surface]) -> Surface:
    """One surface of several that share material, mapping and rotation; edges between them stay sharp."""
    offsets = np.cumsum([0] + [len(surface.vertices) for surface in surfaces[:-1]])
    return replace(
        surfaces[0],
        vertices=np.concatenate([surface.vertices for surface in surfaces]),
        faces=np.concatenate([surface.faces + offset for surface, offset in zip(surfaces, offsets, strict=True)]),
        normals=np.concatenate([surface.normals for surface in surfaces]),
        texture_points=np.concatenate([surface.texture_points for surface in surfaces]),
    )
