"""Writes scene folders of XScale-NVS; the layout is described in `common/datasets/xscale.py`."""

from pathlib import Path

import trimesh

from common.datasets.rendered_scene import RenderedScene
from common.datasets.writers.mvsnet_folder import corner_origin
from common.datasets.xscale import MESH_NAME
from common.io.atomic import atomic_path
from common.io.images import write_image
from common.io.mvsnet_camera import MvsnetCamera, write_mvsnet_camera


def write_xscale(folder: Path, scene: RenderedScene, downscale: int = 1) -> None:
    """Write pictures, cameras without depth line, and the mesh.

    Args:
        folder: The one that holds all scenes.
        scene: What to write, as it is after down-sampling.
        downscale: The number in the names of the folders.
    """
    place = Path(folder) / scene.name
    for index, view in enumerate(scene.views):
        write_image(place / f"images_{downscale}" / f"{index:05d}.JPG", view.image)
        camera = MvsnetCamera(corner_origin(view.intrinsics), view.world_to_cam, ())
        write_mvsnet_camera(place / f"cams_{downscale}" / f"{index:05d}_cam.txt", camera)
    surface = trimesh.Trimesh(scene.mesh.vertices, scene.mesh.faces, process=False)
    with atomic_path(place / MESH_NAME) as temporary:
        surface.export(temporary, file_type="obj", include_normals=False, include_texture=False, include_color=False)
