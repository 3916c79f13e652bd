"""Do the cameras belong to these photographs? Pose files of another scene fit in number and size, and render fog.

Features that match between two photographs lie on each other's epipolar lines where the cameras are right, within about
a pixel. The matches are judged first: only where some epipolar geometry explains most of them do they say anything
about the cameras. A scene is refused where several pairs of views agree that its cameras are wrong.
"""

import dataclasses
import logging

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from common.datasets.loading import load_image
from common.datasets.scene import Scene, View
from common.datasets.view_selection import nearest_views

LONGEST_SIDE = 480
NUM_PAIRS = 4
NUM_FEATURES = 800
RATIO = 0.7  # of the best match to the second best (Lowe)
FEWEST_MATCHES = 30
SMALLEST_SHARE = 0.6  # of the matches that one epipolar geometry explains
EXPLAINED = 1.5  # pixels
LARGEST_DISTANCE = 0.015  # of the longest side; real captures stay below a fifth of it
FEWEST_PAIRS = 2

_LOGGER = logging.getLogger(__name__)


def check_poses(scene: Scene, place: str = "") -> None:
    """Refuse cameras that contradict the photographs; scenes with too little texture to tell pass.

    Args:
        scene: With at least two pictures, else nothing is checked.
        place: Where it comes from, for the error; its name if empty.

    Raises:
        ValueError: At least two pairs of neighbouring views can be judged and all of them contradict their cameras.
    """
    scene = scene.with_pixel_origin("center")
    found = [_distance(*pair) for pair in _pairs(scene)]
    judged = [distance for distance in found if distance is not None]
    wrong = [distance for distance in judged if distance > LARGEST_DISTANCE]
    if len(judged) >= FEWEST_PAIRS and len(wrong) == len(judged):
        raise ValueError(
            f"the cameras of {place or scene.name} do not fit its pictures: matching features lie"
            f" {100 * float(np.median(wrong)):.0f} % of the picture's size off their epipolar lines in {len(wrong)} of"
            f" {len(judged)} pairs of views; the pose file probably belongs to another scene"
        )
    if wrong:
        _LOGGER.warning(
            "%s: %d of %d pairs of views contradict their cameras", place or scene.name, len(wrong), len(judged)
        )


def _pairs(scene: Scene) -> list[tuple[View, View]]:
    """Views spread over the scene, each with its nearest neighbour."""
    pictured = [index for index, view in enumerate(scene.views) if view.image is not None]
    if len(pictured) < 2:
        return []
    spread = np.linspace(0, len(pictured) - 1, min(NUM_PAIRS, len(pictured))).astype(int)
    pairs = {tuple(sorted((pictured[i], nearest_views(scene, pictured[i], pictured, 1)[0]))) for i in spread}
    return [(scene.views[first], scene.views[second]) for first, second in sorted(pairs)]


def _distance(first: View, second: View) -> float | None:
    """Median distance from the epipolar lines as a share of the longest side; None where matches say nothing."""
    (view_a, grey_a), (view_b, grey_b) = _reduced(first), _reduced(second)
    pixels_a, pixels_b = _matches(grey_a, grey_b)
    if len(pixels_a) < FEWEST_MATCHES:
        return None
    _, explained = cv2.findFundamentalMat(pixels_a, pixels_b, cv2.FM_RANSAC, EXPLAINED, 0.99, 1000)
    if explained is None or explained.sum() < max(SMALLEST_SHARE * len(pixels_a), FEWEST_MATCHES):
        return None
    kept = explained.ravel().astype(bool)
    distances = epipolar_distances(view_a, view_b, pixels_a[kept], pixels_b[kept])
    return float(np.median(distances)) / max(grey_b.shape)


def epipolar_distances(
    view_a: View, view_b: View, pixels_a: Float[np.ndarray, "N 2"], pixels_b: Float[np.ndarray, "N 2"]
) -> Float[np.ndarray, " N"]:
    """Distance in pixels of each pixel of b from the line on which b sees the ray of its partner in a.

    Infinite for all where the two cameras stand in one place.
    """
    b_from_a = view_b.world_to_cam @ np.linalg.inv(view_a.world_to_cam)
    x, y, z = b_from_a[:3, 3]
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ b_from_a[:3, :3]
    fundamental = np.linalg.inv(view_b.intrinsics).T @ essential @ np.linalg.inv(view_a.intrinsics)
    lines = np.column_stack([pixels_a, np.ones(len(pixels_a))]) @ fundamental.T
    offsets = np.abs((np.column_stack([pixels_b, np.ones(len(pixels_b))]) * lines).sum(axis=1))
    lengths = np.linalg.norm(lines[:, :2], axis=1)
    return np.where(lengths > 0, offsets / np.maximum(lengths, 1e-30), np.inf)


def _reduced(view: View) -> tuple[View, UInt8[np.ndarray, "H W"]]:
    """The view of a smaller picture, and its grey values."""
    scale = min(LONGEST_SIDE / max(view.image.size), 1.0)
    size = (max(round(scale * view.image.size[0]), 1), max(round(scale * view.image.size[1]), 1))
    grey = (255 * load_image(view, size).mean(axis=-1)).astype(np.uint8)
    factors = np.array([size[0] / view.image.size[0], size[1] / view.image.size[1], 1.0])
    return dataclasses.replace(view, intrinsics=view.intrinsics * factors[:, None]), grey


def _matches(
    grey_a: UInt8[np.ndarray, "H W"], grey_b: UInt8[np.ndarray, "h w"]
) -> tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, "N 2"]]:
    """Pixels of features that look alike in two pictures."""
    sift = cv2.SIFT_create(NUM_FEATURES)
    (keys_a, descriptors_a), (keys_b, descriptors_b) = (sift.detectAndCompute(grey, None) for grey in (grey_a, grey_b))
    if descriptors_a is None or descriptors_b is None:
        return np.zeros((0, 2)), np.zeros((0, 2))
    candidates = cv2.BFMatcher().knnMatch(descriptors_a, descriptors_b, 2)
    good = [pair[0] for pair in candidates if len(pair) == 2 and pair[0].distance < RATIO * pair[1].distance]
    pixels = np.array([(*keys_a[match.queryIdx].pt, *keys_b[match.trainIdx].pt) for match in good]).reshape(-1, 4)
    return pixels[:, :2], pixels[:, 2:]
