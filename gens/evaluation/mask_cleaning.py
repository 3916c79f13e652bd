"""A DTU mesh without what the object masks do not show (spec of the release, Sec. 9.4).

Before the Chamfer distance of Sec. 4 of the paper is measured, every mesh is cut in two stages: by vertices, then by
what the cameras see first.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from common.meshes.cleaning import faces_of_vertices, first_hit_faces, keep_faces, large_components
from common.ops.rasterize.embree import RayCaster
from common.synthetic.ray_casting import camera_rays

DILATION = (11, 11)  # OpenCV's ellipse, pixels
START = 425.0  # millimetres in front of the camera: nothing of DTU is nearer
FEWEST_VIEWS, FEWEST_FACES = 2, 500

Camera = tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"]]  # intrinsics, world_to_cam
Mesh = tuple[Float[np.ndarray, "Q 3"], Int[np.ndarray, "S 3"]]


def dilate(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """The mask, grown by an ellipse of 11 x 11 pixels."""
    return cv2.dilate(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, DILATION)) > 0


def cut_by_masks(
    vertices: Float[np.ndarray, "P 3"],
    faces: Int[np.ndarray, "T 3"],
    cameras: Sequence[Camera],
    masks: Bool[np.ndarray, "V H W"],
) -> Mesh:
    """First stage: what lies in the masks of more than one view.

    As in the release, masks have a border of one pixel that counts as object, pixels are looked up one to the right and
    below, and the sign of the depth is not asked for.

    Args:
        vertices: Millimetres.
        faces: Corners of each triangle.
        cameras: Of the masks.
        masks: Dilated.

    Raises:
        ValueError: Nothing is left.
    """
    H, W = masks.shape[1:]
    count = np.zeros(len(vertices), np.int64)
    for (intrinsics, world_to_cam), mask in zip(cameras, masks, strict=True):
        projection = intrinsics @ world_to_cam[:3]
        homogeneous = vertices @ projection[:, :3].T + projection[:, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = np.rint(homogeneous[:, :2] / homogeneous[:, 2:]) + 1
        inside = (pixels >= 0).all(1) & (pixels <= [W, H]).all(1)
        x, y = np.where(inside[:, None], pixels, 0).astype(np.int64).T
        count += inside & np.pad(mask, 1, constant_values=True)[y, x]
    kept = faces_of_vertices(faces, count >= FEWEST_VIEWS)
    _check_left(kept, "lies inside the masks of two views")
    # A kept vertex stays, even if none of its faces did.
    numbers = np.cumsum(count >= FEWEST_VIEWS) - 1
    return vertices[count >= FEWEST_VIEWS], numbers[faces[kept]]


def cut_by_sight(
    vertices: Float[np.ndarray, "P 3"],
    faces: Int[np.ndarray, "T 3"],
    cameras: Sequence[Camera],
    masks: Bool[np.ndarray, "V H W"],
) -> Mesh:
    """Second stage: what at least two views see first through their mask, in components of at least 500 faces.

    Args:
        vertices: Millimetres.
        faces: Corners of each triangle.
        cameras: Of the masks.
        masks: Dilated.

    Raises:
        ValueError: Nothing is left.
    """
    caster = RayCaster(vertices, faces)
    H, W = masks.shape[1:]
    count = np.zeros(len(faces), np.int64)
    for camera, mask in zip(cameras, masks, strict=True):
        rays = camera_rays(*camera, np.arange(float(W)), np.arange(float(H)))
        origins, directions = (part[mask.reshape(-1)] for part in rays)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        count += first_hit_faces(caster, len(faces), origins + np.float32(START) * directions, directions)
    seen = count >= FEWEST_VIEWS
    _check_left(seen, "is seen first by two views")
    vertices, faces = keep_faces(vertices, faces, seen)
    return keep_faces(vertices, faces, large_components(faces, FEWEST_FACES))


def _check_left(kept: Bool[np.ndarray, " T"], what: str) -> None:
    if not kept.any():
        raise ValueError(
            f"cleaning leaves nothing of the mesh: no triangle {what}; check that the mesh is in DTU's millimetres and"
            " belongs to this scan and set of views"
        )
