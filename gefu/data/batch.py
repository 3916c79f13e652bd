"""What the loaders give to the network: the paper's dictionary, and how its parts are computed from views.

Cameras: `ext` is world-to-camera (OpenCV axes), `ixt` is in pixels with pixel centres on integers; scaling an image by
s multiplies the first two rows of `ixt` by s and nothing else. Level 0 is the coarse one (1/4 size in the paper's
config), level 1 the full image. A ray is (origin 3, direction 3, x, y); the direction has unit z in the camera, so the
ray parameter is the depth.
"""

from collections.abc import Sequence
from typing import Any, TypedDict

import cv2
import numpy as np
from jaxtyping import Float, UInt8


class GefuItem(TypedDict, total=False):
    """One target view with its sources; a batch is the same with a leading axis `B`.

    Attributes:
        src_inps: Source images in [-1, 1].
        src_exts, src_ixts, tar_ext, tar_ixt: Cameras at full size.
        near_far: Depth bounds of the target.
        rays_0, rays_1: Rays through every pixel of the level's target, row by row.
        rgb_0, rgb_1: The target's colours there, in [0, 1].
        msk_0, msk_1: 1 where the target counts in the metrics.
        meta: `scene`, `tar_view`, `frame_id`, and each level's height `h_i` and width `w_i`.
        tar_img, tar_mask: The target at full size (test items only).
        tar_dpt, tar_dpt_0, tar_dpt_1: Its depth at full and at volume size, 0 where unknown (test items, and training
            items under `gefu.depth_weight`; only where the scene has depth).
    """

    src_inps: Float[np.ndarray, "S 3 H W"]
    src_exts: Float[np.ndarray, "S 4 4"]
    src_ixts: Float[np.ndarray, "S 3 3"]
    tar_ext: Float[np.ndarray, "4 4"]
    tar_ixt: Float[np.ndarray, "3 3"]
    near_far: Float[np.ndarray, "2"]
    rays_0: Float[np.ndarray, "R0 8"]
    rays_1: Float[np.ndarray, "R1 8"]
    rgb_0: Float[np.ndarray, "R0 3"]
    rgb_1: Float[np.ndarray, "R1 3"]
    msk_0: UInt8[np.ndarray, " R0"]
    msk_1: UInt8[np.ndarray, " R1"]
    meta: dict[str, Any]
    tar_img: Float[np.ndarray, "H W 3"]
    tar_mask: UInt8[np.ndarray, "H W"]
    tar_dpt: Float[np.ndarray, "H W"]
    tar_dpt_0: Float[np.ndarray, "h0 w0"]
    tar_dpt_1: Float[np.ndarray, "h1 w1"]


def level_entries(
    image: Float[np.ndarray, "H W 3"],
    mask: UInt8[np.ndarray, "H W"],
    ext: Float[np.ndarray, "4 4"],
    ixt: Float[np.ndarray, "3 3"],
    scales: Sequence[float],
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """`rays_i`, `rgb_i`, `msk_i` of every level, and the `h_i`, `w_i` of `meta`.

    Args:
        image: The target in [0, 1].
        mask: 1 where it counts.
        ext: World to camera.
        ixt: At the size of `image`.
        scales: Size of each level relative to `image`.
    """
    entries: dict[str, np.ndarray] = {}
    sizes: dict[str, int] = {}
    for level, scale in enumerate(scales):
        scaled = resize(image, scale, cv2.INTER_AREA)
        height, width = scaled.shape[:2]
        entries[f"rays_{level}"] = build_rays(ext, scale_rows(ixt, scale, scale), height, width)
        entries[f"rgb_{level}"] = scaled.reshape(-1, 3)
        entries[f"msk_{level}"] = resize(mask, scale, cv2.INTER_NEAREST).reshape(-1)
        sizes |= {f"h_{level}": height, f"w_{level}": width}
    return entries, sizes


def build_rays(
    ext: Float[np.ndarray, "4 4"], ixt: Float[np.ndarray, "3 3"], height: int, width: int
) -> Float[np.ndarray, "R 8"]:
    """Origin, direction, x and y of the ray through every pixel, row by row.

    The inverses are float32 and the product with the pixel float64, as the paper's loaders compute them.
    """
    cam_to_world = np.linalg.inv(ext.astype(np.float32))
    pixel_to_world = cam_to_world[:3, :3] @ np.linalg.inv(ixt.astype(np.float32))
    rows, columns = np.mgrid[:height, :width].reshape(2, -1).astype(np.float64)
    rays = np.empty((height * width, 8), np.float32)
    rays[:, :3] = cam_to_world[:3, 3]
    rays[:, 3:6] = np.stack([columns, rows, np.ones_like(rows)], axis=1) @ pixel_to_world.T.astype(np.float64)
    rays[:, 6], rays[:, 7] = columns, rows
    return rays


def scale_rows(ixt: Float[np.ndarray, "3 3"], scale_x: float, scale_y: float) -> Float[np.ndarray, "3 3"]:
    """Intrinsics of a resized image."""
    return ixt * np.array([[scale_x], [scale_y], [1.0]], dtype=ixt.dtype)


def resize(image: np.ndarray, scale: float, interpolation: int) -> np.ndarray:
    """The image with both sides multiplied by `scale`."""
    if scale == 1.0:
        return image
    height, width = round(image.shape[0] * scale), round(image.shape[1] * scale)
    return cv2.resize(image, (width, height), interpolation=interpolation)
