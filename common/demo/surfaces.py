"""Scenes whose true surface is known, and how far a mesh made from three of their photographs is from it.

Of both surfaces counts what the three photographs show inside the box that they see together; first of everything,
then of what they show within the objects' outlines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Bool, Float, Int

from common.baselines.reconstruction import source_cameras
from common.bounding_cubes import Cube, subject_cube
from common.cameras import Camera
from common.datasets.dtu import read_dtu
from common.datasets.loading import load_mask
from common.datasets.scene import MaskFile, Scene
from common.datasets.writers.dtu import write_dtu_full
from common.io.atomic import atomic_path
from common.io.masks import write_mask
from common.io.meshes import read_mesh
from common.meshes.cleaning import faces_seen_by, first_hit_faces
from common.metrics.meshes import MESH_PROTOCOLS, MeshProtocol, MeshScores, score_surface
from common.renderer import SurfaceMesh
from common.synthetic import generate
from common.synthetic.ray_casting import RayCaster, camera_rays

REFERENCE, NUM_VIEWS = 23, 26  # the first rows of the rig hold the reference and its sources
FINEST = 48  # true faces are split until this many of them fit in half a side of the box
REGIONS = ("all that is seen", "objects")

Surface = tuple[Float[np.ndarray, "_ 3"], Int[np.ndarray, "_ 3"]]


@dataclass(frozen=True)
class SurfaceScene:
    """A scene, three of its views (the reference first) and the true surface in the box that they see together."""

    scene: Scene
    source_ids: list[int]
    truth: Surface

    @property
    def cameras(self) -> list[Camera]:
        """Of the three views."""
        return source_cameras(self.scene, self.source_ids)

    @property
    def cube(self) -> Cube:
        """What the three views see together."""
        return subject_cube(self.cameras)


def generated_surface(folder: Path, seed: int, size: tuple[int, int]) -> SurfaceScene:
    """A generated scene in DTU's layout with the objects' outlines; one that is finished is read only."""
    root, name = folder / f"surfaces_{size[0]}x{size[1]}", f"scan{seed}"
    truth = root / "Meshes" / f"{name}.ply"  # written last
    if not truth.is_file():
        made = generate(seed, "dtu_full", size, NUM_VIEWS, name)
        write_dtu_full(root, made)
        for index, view in enumerate(made.views):
            write_mask(root / "Objects" / name / f"{index}.png", view.mask)
        with atomic_path(truth) as temporary:
            made.mesh.export(temporary, file_type="ply")
    scene = read_dtu(root, name, "raw")
    views = (replace(v, mask=MaskFile(root / "Objects" / name / f"{i}.png")) for i, v in enumerate(scene.views))
    scene = replace(scene, views=tuple(views))
    ids = [REFERENCE, *scene.pairs[REFERENCE][:2]]
    return SurfaceScene(scene, ids, true_surface(read_mesh(truth), subject_cube(source_cameras(scene, ids))))


def true_surface(mesh: Surface, cube: Cube) -> Surface:
    """The part of a mesh near the cube in faces so small that cutting them off whole makes no difference."""
    vertices, faces = mesh
    corners = vertices[faces] - cube.center
    is_near = (corners.max(1) > -cube.radius).all(1) & (corners.min(1) < cube.radius).all(1)
    vertices, faces = trimesh.remesh.subdivide_to_size(vertices, faces[is_near], cube.radius / FINEST)
    return np.asarray(vertices, np.float64), np.asarray(faces, np.int64)


def scored(
    mesh: SurfaceMesh, one: SurfaceScene, protocol: MeshProtocol = MESH_PROTOCOLS["sampled"]
) -> dict[str, MeshScores]:
    """Chamfer distances by region; a mesh that shows nothing there raises ValueError."""
    surface = mesh.vertices.double().numpy(), mesh.faces.numpy()
    masks = [load_mask(one.scene.views[index]) for index in one.source_ids]
    return {
        region: score_surface(*(visible(part, one, chosen) for part in (surface, one.truth)), protocol)
        for region, chosen in zip(REGIONS, (None, masks), strict=True)
    }


def visible(surface: Surface, one: SurfaceScene, masks: Sequence[Bool[np.ndarray, "_ _"]] | None) -> Surface:
    """The faces in the box that the photographs show, or that they show within masks."""
    vertices, faces = surface
    inside = faces_inside(surface, one.cube)
    if masks is None:
        return vertices, faces[inside & faces_seen_by(vertices, faces, one.cameras)]
    caster = RayCaster(vertices, faces)
    seen = np.zeros(len(faces), bool)
    for camera, mask in zip(one.cameras, masks, strict=True):
        twice = np.repeat(np.repeat(mask, 2, 0), 2, 1).ravel()
        x, y = ((np.arange(2 * side) + 0.5) / 2 - 0.5 for side in (camera.width, camera.height))
        origins, directions = camera_rays(camera.intrinsics.numpy(), camera.world_to_cam.numpy(), x, y)
        seen |= first_hit_faces(caster, len(faces), origins[twice], directions[twice])
    return vertices, faces[inside & seen]


def faces_inside(surface: Surface, cube: Cube) -> Bool[np.ndarray, " T"]:
    """Faces whose middle lies in the cube."""
    vertices, faces = surface
    return (np.abs(vertices[faces].mean(1) - cube.center) < cube.radius).all(1)
