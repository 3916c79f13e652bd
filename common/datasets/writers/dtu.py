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

from common.datasets.rendered_scene import RenderedScene
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


def full_size_crop(width: int, height: int) -> TrainingCrop:
    """The crop that belongs to a full-size picture.

    Raises:
        ValueError: There is none; sizes must be in the proportion of 1600 x 1200, such as 400 x 300.
    """
    crop = training_crop(round(width / 2.5), round(height * 32 / 75))
    if crop.full_size != (width, height):
        raise ValueError(
            f"no DTU training crop belongs to full-size pictures of {width} x {height}; take 1600x1200 or 400x300"
        )
    return crop


def write_dtu(folder: Path, scene: RenderedScene) -> None:
    """Write a scan named `scene.name` into a DTU folder, and the cameras that all its scans share.

    Args:
        folder: The one that holds `Cameras`.
        scene: Its views are the training pictures; the full-size depth maps are cast from its mesh.

    Raises:
        ValueError: The folder has other cameras already: a scan of another rig or picture size.
    """
    folder = Path(folder)
    height, width = scene.views[0].depth.shape
    crop = training_crop(width, height)
    _write_cameras(folder, scene, [view.intrinsics for view in scene.views], crop)
    caster = RayCaster(scene.mesh.vertices, scene.mesh.faces)
    for index, view in enumerate(scene.views):
        write_image(folder / "Rectified" / f"{scene.name}_train" / _picture_name(index), view.image)
        write_mask(folder / "Masks" / f"{scene.name}_train" / f"mask_{index:04d}.png", view.mask)
        depth = cast_depth(caster, crop.full_intrinsics(view.intrinsics), view.world_to_cam, crop.full_size)
        _write_full_depth(folder, scene.name, index, depth)


def write_dtu_full(folder: Path, scene: RenderedScene) -> None:
    """Write the full-size pictures of a scan, of which `write_dtu` writes the middle: the views are of that size.

    Raises:
        ValueError: No training crop belongs to this size, or the folder has other cameras already.
    """
    folder = Path(folder)
    height, width = scene.views[0].depth.shape
    crop = full_size_crop(width, height)
    training_from_full = np.linalg.inv(crop.full_intrinsics(np.eye(3)))
    _write_cameras(folder, scene, [training_from_full @ view.intrinsics for view in scene.views], crop)
    for index, view in enumerate(scene.views):
        write_image(folder / "Rectified_raw" / scene.name / _picture_name(index), view.image)
        _write_full_depth(folder, scene.name, index, view.depth)


def _picture_name(index: int) -> str:
    return f"rect_{index + 1:03d}_{LIGHT}_r{5000 if index < 49 else 7000}.png"


def _write_full_depth(folder: Path, scan: str, index: int, depth: Float[np.ndarray, "H W"]) -> None:
    write_mask(folder / "Depths_raw" / scan / f"depth_visual_{index:04d}.png", depth > 0)
    write_pfm(folder / "Depths_raw" / scan / f"depth_map_{index:04d}.pfm", depth)


def _write_cameras(
    folder: Path, scene: RenderedScene, training: list[Float[np.ndarray, "3 3"]], crop: TrainingCrop
) -> None:
    """The camera files, from the intrinsics of the training pictures, and `pair.txt`; cameras present must agree."""
    near, far = scene.near_far
    depth_line = (near, (far - near) / NUM_INTERVALS)
    for index, (view, intrinsics) in enumerate(zip(scene.views, training, strict=True)):
        full = MvsnetCamera(crop.full_intrinsics(intrinsics), view.world_to_cam, depth_line)
        # A quarter, because readers of this file multiply its K by 4.
        quarter = MvsnetCamera(np.diag([0.25, 0.25, 1.0]) @ intrinsics, view.world_to_cam, depth_line)
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
