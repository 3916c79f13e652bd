"""The check that needs no reference: features matched between two photographs lie on each other's epipolar lines.

The right cameras give a median distance of 0.1 to about 1 pixel; exchanged axes, a transposed rotation, a forgotten
scale or crop give 5 to 130. Two views that are nearly symmetric can hide a mistake, so check several pairs.
"""

import cv2
import numpy as np

from common.datasets.loading import load_image
from common.datasets.scene import Scene

RATIO = 0.7  # of the best to the second best match (Lowe)
FEWEST_MATCHES = 40


def median_epipolar_distance(scene: Scene, first: int, second: int, max_features: int = 2000, shrink: int = 1) -> float:
    """Median distance in pixels of matched features in view `second` from the epipolar lines of view `first`."""
    return float(np.median(epipolar_distances(*matched_features(scene, first, second, max_features, shrink))))


def matched_features(scene: Scene, first: int, second: int, max_features: int = 2000, shrink: int = 1):
    """Arguments of `epipolar_distances`: two views and the pixels of their matched features, all centre-origin.

    Features are looked for in pictures smaller by `shrink`, which saves time.
    """
    scene = scene.with_pixel_origin("center")
    views = [scene.views[first], scene.views[second]]
    images = [load_image(view, tuple(length // shrink for length in view.image.size)) for view in views]
    points = _matches([_grey(image) for image in images], max_features)
    return *views, *((pixels + 0.5) * shrink - 0.5 for pixels in points)


def epipolar_distances(view_a, view_b, points_a: np.ndarray, points_b: np.ndarray) -> np.ndarray:
    """Distance of each pixel of b from the line on which b sees the ray of its partner in a (centre-origin numbers)."""
    b_from_a = view_b.world_to_cam @ np.linalg.inv(view_a.world_to_cam)
    x, y, z = b_from_a[:3, 3]
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ b_from_a[:3, :3]
    fundamental = np.linalg.inv(view_b.intrinsics).T @ essential @ np.linalg.inv(view_a.intrinsics)
    lines = np.column_stack([points_a, np.ones(len(points_a))]) @ fundamental.T
    offset = (np.column_stack([points_b, np.ones(len(points_b))]) * lines).sum(axis=1)
    return np.abs(offset) / np.linalg.norm(lines[:, :2], axis=1)


def _grey(rgb: np.ndarray) -> np.ndarray:
    return (rgb.mean(axis=-1) * 255).astype(np.uint8)


def _matches(images: list[np.ndarray], max_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (centre-origin) of features that match in both directions."""
    sift = cv2.SIFT_create(max_features)
    (keys_a, descriptors_a), (keys_b, descriptors_b) = (sift.detectAndCompute(image, None) for image in images)
    matcher = cv2.BFMatcher()
    forward = _best(matcher.knnMatch(descriptors_a, descriptors_b, 2))
    backward = _best(matcher.knnMatch(descriptors_b, descriptors_a, 2))
    pairs = [(a, b) for a, b in forward.items() if backward.get(b) == a]
    assert len(pairs) >= FEWEST_MATCHES, f"only {len(pairs)} features match; choose views that lie closer together"
    return np.array([keys_a[a].pt for a, _ in pairs]), np.array([keys_b[b].pt for _, b in pairs])


def _best(candidates) -> dict[int, int]:
    good = [pair[0] for pair in candidates if len(pair) == 2 and pair[0].distance < RATIO * pair[1].distance]
    return {match.queryIdx: match.trainIdx for match in good}
