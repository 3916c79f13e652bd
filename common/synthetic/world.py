"""A scene as flat arrays: what is traced, baked and shaded."""

from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Bool, Float32, Int32

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

    def mesh(self, scale: float = 1.0) -> trimesh.Trimesh:
        """The surface as one mesh, every vertex kept, multiplied by `scale`."""
        vertices = self.vertices.astype(np.float64) * scale
        return trimesh.Trimesh(vertices, self.faces.astype(np.int64), process=False)


def build_world(objects: list[Surface], surroundings: list[Surface], materials: list[Material]) -> World:
    """Flatten the surfaces of objects and of the stage around them."""
    parts = [*objects, *surroundings]
    offsets = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    return World(
        vertices=np.concatenate([part.vertices for part in parts]).astype(np.float32),
        faces=np.concatenate([part.faces + offset for part, offset in zip(parts, offsets, strict=True)]).astype(
            np.int32
        ),
        normals=np.concatenate([part.normals for part in parts]).astype(np.float32),
        texture_points=np.concatenate([part.texture_points for part in parts]).astype(np.float32),
        face_part=np.repeat(np.arange(len(parts)), [len(part.faces) for part in parts]).astype(np.int32),
        part_material=np.array([part.material for part in parts], np.int32),
        part_triplanar=np.array([part.triplanar for part in parts]),
        part_to_object=np.stack([part.object_to_world.T for part in parts]).astype(np.float32),
        is_object=np.arange(len(parts)) < len(objects),
        materials=tuple(materials),
    )
