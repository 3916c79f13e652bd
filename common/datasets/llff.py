"""LLFF scenes (Real Forward-Facing, `nerf_llff_data`).

    <scene>/poses_bounds.npy        one row of 17 numbers a picture
    <scene>/images/*                full size
    <scene>/images_4/*, images_8/*  smaller copies, with other names

A row is a 3 x 5 matrix, row by row, then the near and far depth. Its columns are the camera axes down, right and
backward and the centre, all in the world, and (height, width, focal length) of the full-size picture. Pictures and rows
are paired by sorted position. There is one focal length, no lens, and the principal point is the image centre, W/2 and
H/2: corner-origin numbers.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.datasets.photographs import list_photographs
from common.datasets.scene import ImageFile, Scene, View
from common.datasets.validation import check_view, checked_scene
from common.io.data_files import read_npy
from common.io.images import read_image_size


def read_llff(folder: str | Path, downscale: int = 4) -> Scene:
    """One scene, its world and bounds as in the file.

    Args:
        folder: The one that holds `poses_bounds.npy`.
        downscale: 4 reads `images_4`, 1 reads `images`.

    Raises:
        FileNotFoundError: There is no `poses_bounds.npy` or no such folder of pictures.
        ValueError: The numbers of rows and pictures differ, sizes disagree, or a pose is broken.
    """
    folder = Path(folder)
    path = folder / "poses_bounds.npy"
    rows = read_poses_bounds(path)
    images = _images(folder / ("images" if downscale == 1 else f"images_{downscale}"))
    if len(images) != len(rows):
        raise ValueError(
            f"{path} has {len(rows)} rows but {images[0].parent} has {len(images)} pictures; the numbers must agree,"
            " because they are paired by position"
        )
    views = []
    for number, (row, image_path) in enumerate(zip(rows, images, strict=True)):
        where = f"{path} row {number}"
        size = read_image_size(image_path)
        intrinsics = _intrinsics(row, downscale, size, where, image_path)
        near_far = (float(row[15]), float(row[16]))
        view = View(image_path.stem, ImageFile(image_path, size), intrinsics, _world_to_cam(row), near_far)
        check_view(view, where)
        views.append(view)
    return checked_scene(Scene(folder.name, tuple(views), pixel_origin="corner"), folder)


def read_poses_bounds(path: str | Path) -> Float[np.ndarray, "V 17"]:
    """The rows of a `poses_bounds.npy` in float64.

    Raises:
        FileNotFoundError, ValueError: As `common.io.data_files.read_npy`; ValueError also for another shape or NaN.
    """
    rows = read_npy(path)
    if rows.ndim != 2 or rows.shape[1] != 17 or not len(rows):
        raise ValueError(f"{path} has shape {rows.shape}; expected a row of 17 numbers for every picture")
    broken = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(broken):
        raise ValueError(f"{path} row {broken[0]} has numbers that are not finite")
    return rows.astype(np.float64)


def llff_to_world_to_cam(axes: Float[np.ndarray, "3 4"]) -> Float[np.ndarray, "4 4"]:
    """OpenCV world_to_cam from the columns down, right, backward, centre."""
    down, right, backward, center = axes.T
    cam_to_world = np.eye(4)
    cam_to_world[:3] = np.stack([right, down, -backward, center], axis=1)
    world_to_cam = np.eye(4)
    world_to_cam[:3, :3] = cam_to_world[:3, :3].T
    world_to_cam[:3, 3] = -cam_to_world[:3, :3].T @ center
    return world_to_cam


def world_to_cam_to_llff(world_to_cam: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "3 4"]:
    """The columns down, right, backward, centre of an OpenCV world_to_cam."""
    right, down, forward = world_to_cam[:3, :3]
    center = -world_to_cam[:3, :3].T @ world_to_cam[:3, 3]
    return np.stack([down, right, -forward, center], axis=1)


def _images(folder: Path) -> list[Path]:
    images = list_photographs(folder)
    if not images:
        raise FileNotFoundError(f"no picture in {folder}; downscale must name an images_<d> folder that is there")
    return images


def _world_to_cam(row: Float[np.ndarray, " 17"]) -> Float[np.ndarray, "4 4"]:
    return llff_to_world_to_cam(row[:15].reshape(3, 5)[:, :4])


def _intrinsics(
    row: Float[np.ndarray, " 17"], downscale: int, size: tuple[int, int], where: str, image_path: Path
) -> Float[np.ndarray, "3 3"]:
    height, width, focal = row[:15].reshape(3, 5)[:, 4]
    expected = (width / downscale, height / downscale)
    if max(abs(size[0] - expected[0]), abs(size[1] - expected[1])) > 1:  # resizing rounds up or down
        raise ValueError(
            f"{where} speaks of {width:g} x {height:g} pixels, so {image_path} should have about {expected[0]:g} x"
            f" {expected[1]:g}; it has {size[0]} x {size[1]}"
        )
    scaled = focal / downscale
    return np.array([[scaled, 0.0, size[0] / 2], [0.0, scaled, size[1] / 2], [0.0, 0.0, 1.0]])
