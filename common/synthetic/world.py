"""A scene as flat arrays: what is traced, baked and shaded."""

from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Bool, Float32, Int32

from common.synthetic.flat_shapes import divided
from common.synthetic.materials import Material
from common.synthetic.surfaces import Surface


@dataclass(frozen=True)
class World:
    """Every surface of a scene in one mesh, world frame, millimetres.

    Attributes:
        face_part: Surface that each triangle belongs to.
        part_material, part_triplanar, part_to_object: Per surface: material number, whether its texture is triplanar,
            and the rotation from the world to the frame in which it was made.
        is_object: Per surface: False for ground and walls.
        materials: By number.
        outline: Vertices and faces of the same surface in larger triangles; None where the triangles that are shaded
            are the scene's own.
    """

    vertices: Float32[np.ndarray, "P 3"]
    faces: Int32[np.ndarray, "T 3"]
    normals: Float32[np.ndarray, "P 3"]
    texture_points: Float32[np.ndarray, "P 3"]
    face_part: Int32[np.ndarray, " T"]
    part_material: Int32[np.ndarray, " K"]
    part_triplanar: Bool[np.ndarray, " K"]
    part_to_object: Float32[np.ndarray, "K 3 3"]
    is_object: Bool[np.ndarray, " K"]
    materials: tuple[Material, ...]
    outline: tuple[Float32[np.ndarray, "Q 3"], Int32[np.ndarray, "S 3"]] | None = None

    def mesh(self, scale: float = 1.0) -> trimesh.Trimesh:
        """The surface as one mesh, every vertex kept, multiplied by `scale`."""
        vertices, faces = self.outline or (self.vertices, self.faces)
        return trimesh.Trimesh(vertices.astype(np.float64) * scale, faces.astype(np.int64), process=False)


def build_world(
    objects: list[Surface], surroundings: list[Surface], materials: list[Material], spacing: float | None = None
) -> World:
    """Flatten the surfaces of objects and of the stage around them.

    Args:
        objects: What the masks show.
        surroundings: The rest.
        materials: By number.
        spacing: Largest edge of the triangles that are shaded, millimetres; None shades the surfaces as they are. Light
            is baked into vertices, so that large triangles need division.
    """
    parts, outline = [*objects, *surroundings], None
    if spacing is not None:
        outline = _joined(parts)
        parts = [divided(part, spacing) for part in parts]
    vertices, faces = _joined(parts)
    return World(
        vertices=vertices,
        faces=faces,
        normals=np.concatenate([part.normals for part in parts]).astype(np.float32),
        texture_points=np.concatenate([part.texture_points for part in parts]).astype(np.float32),
        face_part=np.repeat(np.arange(len(parts)), [len(part.faces) for part in parts]).astype(np.int32),
        part_material=np.array([part.material for part in parts], np.int32),
        part_triplanar=np.array([part.triplanar for part in parts]),
        part_to_object=np.stack([part.object_to_world.T for part in parts]).astype(np.float32),
        is_object=np.arange(len(parts)) < len(objects),
        materials=tuple(materials),
        outline=outline,
    )


def _joined(parts: list[Surface]) -> tuple[Float32[np.ndarray, "P 3"], Int32[np.ndarray, "T 3"]]:
    """Vertices and faces of all parts."""
    offsets = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    faces = [part.faces + offset for part, offset in zip(parts, offsets, strict=True)]
    return np.concatenate([part.vertices for part in parts]).astype(np.float32), np.concatenate(faces).astype(np.int32)
