"""Photographs on their way from one layout to another: without their lens, reduced, and stored once more."""

import shutil
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from common.datasets.scene import PixelOrigin, View
from common.datasets.undistortion import undistort_image
from common.io.atomic import atomic_path
from common.io.images import read_image, read_pixels, write_image

JPEG_SUFFIXES = (".jpg", ".jpeg")


def pinhole_picture(view: View, pixel_origin: PixelOrigin) -> UInt8[np.ndarray, "H W 3"]:
    """The photograph of a view as a pinhole with the view's intrinsics takes it: 8-bit RGB of the stored size.

    Transparent pixels show the view's background, and what the lens did not see is black.

    Raises:
        FileNotFoundError, ValueError: The picture is gone, damaged, or of another size than when the scene was read.
    """
    rgb = read_pixels(view.image.path)
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[-1] != 3:
        rgb = np.rint(read_image(view.image.path, view.image.background) * 255).astype(np.uint8)
    if rgb.shape[1::-1] != view.image.size:
        raise ValueError(
            f"{view.image.path} has {rgb.shape[1]} x {rgb.shape[0]} pixels, expected {view.image.size[0]} x"
            f" {view.image.size[1]}"
        )
    return undistort_image(rgb, view.intrinsics, view.distortion, pixel_origin)


def store_picture(path: Path, view: View, pixel_origin: PixelOrigin, size: tuple[int, int] | None = None) -> None:
    """Write the photograph of a view as JPEG, without its lens, at (width, height) by averaging areas.

    A JPEG that needs no change is copied byte for byte, so that it loses nothing.
    """
    unchanged = (size is None or size == view.image.size) and (view.distortion is None or view.distortion.is_zero)
    if unchanged and view.image.path.suffix.lower() in JPEG_SUFFIXES:
        copy_file(view.image.path, path)
        return
    rgb = pinhole_picture(view, pixel_origin)
    write_image(path, rgb if size is None else cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))


def copy_file(source: Path, target: Path) -> None:
    """Copy the bytes of a file; the target appears whole or not at all."""
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def resized_intrinsics(
    intrinsics: Float[np.ndarray, "3 3"], old: tuple[int, int], new: tuple[int, int]
) -> Float[np.ndarray, "3 3"]:
    """Corner-origin intrinsics after a resize between two (width, height)."""
    return np.diag([new[0] / old[0], new[1] / old[1], 1.0]) @ intrinsics
