"""Writes DTU as MVSNet and CasMVSNet ship it; the layout is described in `common/datasets/dtu.py`.

A training picture of width w and height h is the middle of a full-size one: full size halved (every second pixel kept),
then cut by w / 8 columns on each side and 11 h / 128 rows above and below. For 640 x 512 that is DTU's own arithmetic:
1600 x 1200, 80 columns, 44 rows. A reader finds the margins from the two sizes: they are equal on opposite sides. Pixel
(x, y) of the picture is exactly pixel (2 (x + margin_x), 2 (y + margin_y)) of the full-size depth map.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.datasets.rendered_scene import RenderedScene, RenderedView
from common.datasets.writers.view_pairs import view_pairs
from common.io.images import write_image
from common.io.masks import write_mask
from common.io.mvsnet_camera import MvsnetCamera, read_mvsnet_camera, write_mvsnet_camera
from common.io.pair_file import write_pair_file
from common.io.pfm import write_pfm
from common.synthetic.ray_casting import RayCaster, cast_depth

LIGHT = 3
NUM_INTERVALS = 192


@dataclass(frozen=True)
class TrainingCrop:
    """How a training picture lies in the full-size one.

    Attributes:
        width, height: Of the training picture.
        margin_x, margin_y: Pixels of the halved full-size picture that are cut off on each side.
    """

    width: int
    height: int
    margin_x: int
    margin_y: int

    @property
    def full_size(self) -> tuple[int, int]:
        """Width and height of the full-size picture."""
        return 2 * (self.width + 2 * self.margin_x), 2 * (self.height + 2 * self.margin_y)

    def full_intrinsics(self, intrinsics: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
        """Intrinsics of the full-size picture from those of the training picture."""
        scale = np.array([[2.0, 0.0, 2.0 * self.margin_x], [0.0, 2.0, 2.0 * self.margin_y], [0.0, 0.0, 1.0]])
        return scale @ intrinsics


def training_crop(width: int, height: int) -> TrainingCrop:
    """DTU's crop for a training picture of any size."""
    return TrainingCrop(width, height, round(width / 8), round(11 * height / 128))


def write_dtu(folder: Path, scene: RenderedScene) -> None:
    """Write a scan named `scene.name` into a DTU folder, and the cameras that all its scans share.

    Raises:
        ValueError: The folder has other cameras already: a scan of another rig or picture size.
    """
    folder = Path(folder)
    height, width = scene.views[0].depth.shape
    crop = training_crop(width, height)
    _write_cameras(folder, scene, crop)
    caster = RayCaster(scene.mesh.vertices, scene.mesh.faces)
    for index, view in enumerate(scene.views):
        _write_view(folder, scene.name, index, view, crop, caster)


def _write_view(folder: Path, scan: str, index: int, view: RenderedView, crop: TrainingCrop, caster: RayCaster) -> None:
    series = 5000 if index < 49 else 7000
    write_image(folder / "Rectified" / f"{scan}_train" / f"rect_{index + 1:03d}_{LIGHT}_r{series}.png", view.image)
    write_mask(folder / "Masks" / f"{scan}_train" / f"mask_{index:04d}.png", view.mask)
    depth = cast_depth(caster, crop.full_intrinsics(view.intrinsics), view.world_to_cam, crop.full_size)
    write_mask(folder / "Depths_raw" / scan / f"depth_visual_{index:04d}.png", depth > 0)
    write_pfm(folder / "Depths_raw" / scan / f"depth_map_{index:04d}.pfm", depth)


def _write_cameras(folder: Path, scene: RenderedScene, crop: TrainingCrop) -> None:
    """The camera files and `pair.txt`; files that are there already must be the same."""
    near, far = scene.near_far
    depth_line = (near, (far - near) / NUM_INTERVALS)
    for index, view in enumerate(scene.views):
        full = MvsnetCamera(crop.full_intrinsics(view.intrinsics), view.world_to_cam, depth_line)
        # A quarter, because readers of this file multiply its K by 4.
        quarter = MvsnetCamera(np.diag([0.25, 0.25, 1.0]) @ view.intrinsics, view.world_to_cam, depth_line)
        _write_or_compare(folder / "Cameras" / f"{index:08d}_cam.txt", full)
        _write_or_compare(folder / "Cameras" / "train" / f"{index:08d}_cam.txt", quarter)
    if not (folder / "Cameras" / "pair.txt").is_file():
        write_pair_file(folder / "Cameras" / "pair.txt", view_pairs(scene))


def _write_or_compare(path: Path, camera: MvsnetCamera) -> None:
    if not path.is_file():
        write_mvsnet_camera(path, camera)
        return
    present = read_mvsnet_camera(path)
    same_pose = np.allclose(present.world_to_cam, camera.world_to_cam, atol=1e-6)
    if not (same_pose and np.allclose(present.intrinsics, camera.intrinsics, atol=1e-6)):
        raise ValueError(
            f"{path} belongs to other cameras; all scans of a DTU folder share theirs, so choose another folder"
        )
