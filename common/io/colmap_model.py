"""A COLMAP sparse model as a folder: `cameras`, `images` and `points3D`, all `.bin` or all `.txt`.

The binary files win where both are there, as in COLMAP. `rigs` and `frames` (COLMAP 3.12 and later) are not needed
for single cameras and not read. Details of the two encodings are in `colmap_binary.py` and `colmap_text.py`.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from common.io import colmap_binary, colmap_text
from common.io.colmap_records import ColmapModel, no_points

LARGEST_NUMBER = 1e30
Encoding = Literal["bin", "txt"]


def find_model_encoding(folder: str | Path) -> Encoding | None:
    """Which encoding of a model lies in this folder; None where there is no model."""
    for encoding in ("bin", "txt"):
        if all((Path(folder) / f"{name}.{encoding}").is_file() for name in ("cameras", "images")):
            return encoding
    return None


def read_colmap_model(folder: str | Path) -> ColmapModel:
    """The model in a folder; without a `points3D` file it has no points.

    Raises:
        FileNotFoundError: There is no model in the folder.
        ValueError: A file is damaged or contradicts another; the sentence names it.
    """
    folder = Path(folder)
    encoding = find_model_encoding(folder)
    if encoding is None:
        raise FileNotFoundError(f"no COLMAP model in {folder}; expected cameras.bin and images.bin, or the .txt files")
    cameras_path, images_path, points_path = (
        folder / f"{name}.{encoding}" for name in ("cameras", "images", "points3D")
    )
    if encoding == "bin":
        cameras, images = colmap_binary.read_cameras_bin(cameras_path), colmap_binary.read_images_bin(images_path)
        points = colmap_binary.read_points_bin(points_path) if points_path.is_file() else no_points()
    else:
        cameras, images = colmap_text.read_cameras_txt(cameras_path), colmap_text.read_images_txt(images_path)
        points = colmap_text.read_points_txt(points_path) if points_path.is_file() else no_points()
    model = ColmapModel(cameras, images, points)
    _check(model, cameras_path, images_path, points_path)
    return model


def write_colmap_model(folder: str | Path, model: ColmapModel, encoding: Encoding = "bin") -> None:
    """Write the three files of a model."""
    folder = Path(folder)
    if encoding == "bin":
        colmap_binary.write_cameras_bin(folder / "cameras.bin", model.cameras)
        colmap_binary.write_images_bin(folder / "images.bin", model.images)
        colmap_binary.write_points_bin(folder / "points3D.bin", model.points)
    else:
        colmap_text.write_cameras_txt(folder / "cameras.txt", model.cameras)
        colmap_text.write_images_txt(folder / "images.txt", model.images)
        colmap_text.write_points_txt(folder / "points3D.txt", model.points)


def _check(model: ColmapModel, cameras_path: Path, images_path: Path, points_path: Path) -> None:
    """Refuse a model whose numbers or references make no sense."""
    for camera_id, camera in model.cameras.items():
        if not _usable(camera.params) or min(camera.width, camera.height) < 1:
            size = f"{camera.width} x {camera.height}"
            raise ValueError(f"{cameras_path}: camera {camera_id} is broken: {size}, parameters {camera.params}")
    names = set()
    for image_id, image in model.images.items():
        where = f"{images_path}: image {image_id} ({image.name!r})"
        if image.camera_id not in model.cameras:
            raise ValueError(f"{where} uses camera {image.camera_id}, which {cameras_path.name} does not have")
        if not (_usable(image.quaternion) and _usable(image.translation)):
            raise ValueError(f"{where} has a pose that is not finite")
        if abs(np.linalg.norm(image.quaternion) - 1.0) > 1e-3:
            raise ValueError(f"{where} has quaternion {image.quaternion.tolist()}, expected one of length 1")
        if image.name in names:
            raise ValueError(f"{where} has the name of another image")
        names.add(image.name)
    if not _usable(model.points.xyz):
        raise ValueError(f"{points_path} has points that are not finite")


def _usable(numbers: np.ndarray | tuple[float, ...]) -> bool:
    """Whether all are finite, also after a few products."""
    return bool((np.abs(numbers) < LARGEST_NUMBER).all())
