"""Loading what a view names: its picture, depth map and mask, as arrays that fit its pinhole intrinsics.

A view with a lens is undistorted on the way (same intrinsics, same size, black where the lens saw nothing).
`pixel_origin` is the scene's.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float

from common.datasets.scene import DepthFile, PixelOrigin, View
from common.datasets.undistortion import undistort_image
from common.io.depth_maps import read_depth_map
from common.io.images import read_image
from common.io.masks import read_mask

Size = tuple[int, int]


def load_image(
    view: View,
    size: Size | None = None,
    *,
    interpolation: int = cv2.INTER_AREA,
    divisor: float = 255.0,
    pixel_origin: PixelOrigin = "center",
) -> Float[np.ndarray, "H W 3"]:
    """The picture as float32 RGB in [0, 1], composited on its background where it is transparent.

    Args:
        view: What to load.
        size: (width, height) to resize to; None keeps the stored size. The caller scales the intrinsics.
        interpolation: OpenCV's filter for the resize.
        divisor: White of an 8-bit file, 255 or 256.
        pixel_origin: Of the scene; matters only for views with a lens.

    Raises:
        FileNotFoundError: The file is gone.
        ValueError: The view has no picture, or the file is damaged or of another size than when the scene was read.
    """
    if view.image is None:
        raise ValueError(f"view '{view.name}' has no picture; only views with a picture can be loaded")
    rgb = read_image(view.image.path, view.image.background, divisor=divisor)
    if rgb.shape[1::-1] != view.image.size:
        raise ValueError(f"{view.image.path} has {_by(rgb.shape[1::-1])} pixels, expected {_by(view.image.size)}")
    rgb = undistort_image(rgb, view.intrinsics, view.distortion, pixel_origin)
    return _resized(rgb, size, interpolation)


def load_depth(
    view: View, size: Size | None = None, *, pixel_origin: PixelOrigin = "center"
) -> Float[np.ndarray, "H W"]:
    """Depth along z in scene units as float32, 0 where unknown.

    Args:
        view: What to load.
        size: (width, height) of the result; None takes the picture's size. Resized to the nearest stored value.
        pixel_origin: Of the scene; matters only for views with a lens and for depths along the ray.

    Raises:
        FileNotFoundError: The file is gone.
        ValueError: The view has no depth map, or the file is damaged.
    """
    if view.depth is None:
        raise ValueError(f"view '{view.name}' has no depth map")
    depth = load_depth_file(view.depth)
    if view.image is not None:
        depth = _resized(depth, view.image.size, cv2.INTER_NEAREST)
        depth = undistort_image(depth, view.intrinsics, view.distortion, pixel_origin, cv2.INTER_NEAREST)
    if view.depth.along_ray:
        depth = distance_to_depth(depth, view.intrinsics, pixel_origin)
    return _resized(depth, size, cv2.INTER_NEAREST)


def load_depth_file(file: DepthFile) -> Float[np.ndarray, "H W"]:
    """A depth map at its own resolution after its crop, in scene units, 0 where it is not a positive finite number.

    Raises:
        FileNotFoundError: The file is gone.
        ValueError: The file is damaged or smaller than its crop.
    """
    depth = read_depth_map(file.path, file.encoding)
    if file.halve_and_crop is not None:
        left, top, width, height = file.halve_and_crop
        depth = depth[::2, ::2][top : top + height, left : left + width]
        if depth.shape != (height, width):
            raise ValueError(f"{file.path} is too small to cut out {width} x {height} pixels at {left}, {top}")
    known = np.isfinite(depth) & (depth > 0)
    return np.where(known, depth, np.float32(0)) * np.float32(file.unit)


def load_mask(view: View, size: Size | None = None, *, pixel_origin: PixelOrigin = "center") -> Bool[np.ndarray, "H W"]:
    """Pixels that show the object.

    Args:
        view: What to load.
        size: (width, height) of the result; None takes the picture's size. Resized to the nearest stored value.
        pixel_origin: Of the scene; matters only for views with a lens.

    Raises:
        FileNotFoundError: The file is gone.
        ValueError: The view has no mask, or the file is damaged.
    """
    if view.mask is None:
        raise ValueError(f"view '{view.name}' has no mask")
    mask = read_mask(view.mask.path, view.mask.threshold, view.mask.inverted).astype(np.uint8)
    if view.image is not None:
        mask = _resized(mask, view.image.size, cv2.INTER_NEAREST)
        mask = undistort_image(mask, view.intrinsics, view.distortion, pixel_origin, cv2.INTER_NEAREST)
    return _resized(mask, size, cv2.INTER_NEAREST) > 0


def distance_to_depth(
    distance: Float[np.ndarray, "H W"], intrinsics: Float[np.ndarray, "3 3"], pixel_origin: PixelOrigin = "center"
) -> Float[np.ndarray, "H W"]:
    """Depth along z from distances along the rays: depth = distance / |K^-1 (u, v, 1)|."""
    H, W = distance.shape
    shift = 0.5 if pixel_origin == "corner" else 0.0
    u, v = np.meshgrid(np.arange(W) + shift, np.arange(H) + shift)
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(intrinsics).T
    return (distance / np.linalg.norm(rays, axis=-1)).astype(distance.dtype)


def _resized(array: np.ndarray, size: Size | None, interpolation: int) -> np.ndarray:
    if size is None or array.shape[1::-1] == tuple(size):
        return array
    return cv2.resize(array, tuple(size), interpolation=interpolation)


def _by(size: Size) -> str:
    return f"{size[0]} x {size[1]}"
