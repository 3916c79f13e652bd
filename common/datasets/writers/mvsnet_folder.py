"""Writes folders of MVSNet's testing form; the layout is described in `common/datasets/mvsnet_folder.py`."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.datasets.rendered_scene import RenderedScene
from common.datasets.writers.view_pairs import view_pairs
from common.io.images import write_image
from common.io.mvsnet_camera import MvsnetCamera, write_mvsnet_camera
from common.io.pair_file import write_pair_file

NUM_DEPTHS = 192


def write_mvsnet_folder(folder: Path, scene: RenderedScene, camera_folder: str = "cams") -> None:
    """Write pictures, cameras and pairs."""
    place = Path(folder) / scene.name
    for index, view in enumerate(scene.views):
        write_image(place / "images" / f"{index:08d}.jpg", view.image)
    write_cameras(place / camera_folder, scene, NUM_DEPTHS)
    write_pair_file(place / "pair.txt", view_pairs(scene))


def write_tanks_folder(folder: Path, scene: RenderedScene) -> None:
    """Write Tanks and Temples as the field packs it."""
    write_mvsnet_folder(folder, scene, "cams_1")


def write_cameras(folder: Path, scene: RenderedScene, num_depths: int) -> None:
    """Write `%08d_cam.txt` with a 4-number depth line for every view."""
    near, far = scene.near_far
    depth_line = (near, (far - near) / (num_depths - 1), float(num_depths), far)
    for index, view in enumerate(scene.views):
        write_mvsnet_camera(
            folder / f"{index:08d}_cam.txt", MvsnetCamera(view.intrinsics, view.world_to_cam, depth_line)
        )


def corner_origin(intrinsics: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """The same intrinsics with the centre of the top-left pixel at (0.5, 0.5)."""
    return intrinsics + np.array([[0.0, 0.0, 0.5], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
