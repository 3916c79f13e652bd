"""Do the cameras belong to these photographs? Pose files of another scene fit in number and size, and render fog.

Features that match between two photographs lie on each other's epipolar lines where the cameras are right, within about
a pixel. The matches are judged first: only where some epipolar geometry explains most of them do they say anything
about the cameras. A scene is refused where most pairs of views agree that its cameras are wrong: not all, because
cameras on a grid suit a pair or two by chance.
"""

import dataclasses
import logging
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from common.datasets.loading import load_image
from common.datasets.scene import Scene, View
from common.datasets.view_selection import nearest_views

LONGEST_SIDE = 480
NUM_VIEWS = 4
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

    Cameras that differ little from the right ones pass too: what is refused is off by 1.5 % of the picture.

    Args:
        scene: With at least two pictures, else nothing is checked.
        place: Where it comes from, for the error; its name if empty.

    Raises:
        ValueError: At least two pairs of neighbouring views can be judged and most of them contradict their cameras.
    """
    scene = scene.with_pixel_origin("center")
    pairs = _pairs(scene)
    seen = {index: _features(scene.views[index]) for index in {index for pair in pairs for index in pair}}
    found = [_distance(seen[first], seen[second]) for first, second in pairs]
    judged = [distance for distance in found if distance is not None]
    wrong = [distance for distance in judged if distance > LARGEST_DISTANCE]
    if len(judged) >= FEWEST_PAIRS and len(wrong) > len(judged) / 2:
        raise ValueError(
            f"the cameras of {place or scene.name} do not fit its pictures: matching features lie"
            f" {100 * float(np.median(wrong)):.0f} % of the picture's size off their epipolar lines in {len(wrong)} of"
            f" {len(judged)} pairs of views; the pose file probably belongs to another scene"
        )
    if wrong:
        _LOGGER.warning(
            "%s: %d of %d pairs of views contradict their cameras", place or scene.name, len(wrong), len(judged)
        )


@dataclass(frozen=True)
class _Features:
    """A view of a reduced picture, its features' pixels and their descriptions."""

    view: View
    pixels: Float[np.ndarray, "N 2"]
    descriptors: Float[np.ndarray, "N 128"]


def _pairs(scene: Scene) -> list[tuple[int, int]]:
    """Views spread over the scene, each with its nearest camera and with its successor.

    Where cameras are those of another scene, the nearest may show something else; successors were often taken together.
    """
    pictured = [index for index, view in enumerate(scene.views) if view.image is not None]
    if len(pictured) < 2:
        return []
    pairs = set()
    for position in np.linspace(0, len(pictured) - 2, min(NUM_VIEWS, len(pictured) - 1)).astype(int):
        index = pictured[position]
        for other in (nearest_views(scene, index, pictured, 1)[0], pictured[position + 1]):
            pairs.add((min(index, other), max(index, other)))
    return sorted(pairs)


def _distance(first: _Features, second: _Features) -> float | None:
    """Median distance from the epipolar lines as a share of the longest side; None where matches say nothing."""
    pixels_a, pixels_b = _matches(first, second)
    if len(pixels_a) < FEWEST_MATCHES or np.allclose(first.view.center, second.view.center, rtol=1e-9, atol=0):
        return None
    _, explained = cv2.findFundamentalMat(pixels_a, pixels_b, cv2.FM_RANSAC, EXPLAINED, 0.99, 1000)
    if explained is None or explained.sum() < max(SMALLEST_SHARE * len(pixels_a), FEWEST_MATCHES):
        return None
    kept = explained.ravel().astype(bool)
    distances = epipolar_distances(first.view, second.view, pixels_a[kept], pixels_b[kept])
    return float(np.median(distances)) / max(second.view.image.size)


def epipolar_distances(
    view_a: View, view_b: View, pixels_a: Float[np.ndarray, "N 2"], pixels_b: Float[np.ndarray, "N 2"]
) -> Float[np.ndarray, " N"]:
    """Distance in pixels of each pixel of b from the line on which b sees the ray of its partner in a.

    The two cameras must not stand in one place.
    """
    b_from_a = view_b.world_to_cam @ np.linalg.inv(view_a.world_to_cam)
    x, y, z = b_from_a[:3, 3]
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ b_from_a[:3, :3]
    fundamental = np.linalg.inv(view_b.intrinsics).T @ essential @ np.linalg.inv(view_a.intrinsics)
    lines = np.column_stack([pixels_a, np.ones(len(pixels_a))]) @ fundamental.T
    offsets = np.abs((np.column_stack([pixels_b, np.ones(len(pixels_b))]) * lines).sum(axis=1))
    return offsets / np.maximum(np.linalg.norm(lines[:, :2], axis=1), 1e-30)


def _features(view: View) -> _Features:
    scale = min(LONGEST_SIDE / max(view.image.size), 1.0)
    size = (max(round(scale * view.image.size[0]), 1), max(round(scale * view.image.size[1]), 1))
    grey = (255 * load_image(view, size).mean(axis=-1)).astype(np.uint8)
    keys, descriptors = cv2.SIFT_create(NUM_FEATURES).detectAndCompute(grey, None)
    factors = np.array([size[0] / view.image.size[0], size[1] / view.image.size[1], 1.0])
    image = dataclasses.replace(view.image, size=size)
    small = dataclasses.replace(view, image=image, intrinsics=view.intrinsics * factors[:, None])
    pixels = np.array([key.pt for key in keys], dtype=np.float64).reshape(-1, 2)
    return _Features(small, pixels, np.zeros((0, 128), np.float32) if descriptors is None else descriptors)


def _matches(first: _Features, second: _Features) -> tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, "N 2"]]:
    """Pixels of features that look alike in two pictures."""
    candidates = cv2.BFMatcher().knnMatch(first.descriptors, second.descriptors, 2) if len(first.pixels) else ()
    good = [pair[0] for pair in candidates if len(pair) == 2 and pair[0].distance < RATIO * pair[1].distance]
    return first.pixels[[match.queryIdx for match in good]], second.pixels[[match.trainIdx for match in good]]
