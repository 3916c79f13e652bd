"""Depth bounds from the photographs themselves, for layouts that hold none (transforms.json, Metashape, XScale-NVS).

Features are matched between every view and its nearest neighbours and triangulated with the known cameras; what both
views see where the cameras say is kept. Percentiles of the depths of these points in a view, widened, are its bounds.
"""

import dataclasses

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from common.datasets.loading import load_image
from common.datasets.scene import Scene, View

LONGEST_SIDE = 800
NUM_FEATURES = 1500
NUM_NEIGHBORS = 3
RATIO = 0.7  # of the best match to the second best (Lowe)
LARGEST_ERROR = 2.0  # pixels of the reduced pictures
SMALLEST_ANGLE = 1.0  # degrees between the two rays of a point; below it, depth is a guess
FEWEST_POINTS = 20
PERCENTILES, MARGINS = (1.0, 99.0), (0.8, 1.25)


def with_estimated_bounds(scene: Scene) -> Scene:
    """The scene with depth bounds for every view; views that have bounds keep them.

    Raises:
        ValueError: Too few features match to tell.
    """
    points = triangulate_features(scene)
    estimates = [_bounds(view, points) for view in scene.views]
    known = [bounds for bounds in estimates if bounds is not None]
    if not known:
        raise ValueError(
            f"the pictures of scene '{scene.name}' have too few features in common to estimate depth bounds; give"
            " near_far=(near, far)"
        )
    widest = (min(near for near, _ in known), max(far for _, far in known))
    views = [
        view if view.near_far else dataclasses.replace(view, near_far=bounds or widest)
        for view, bounds in zip(scene.views, estimates, strict=True)
    ]
    note = f"depth bounds are estimated from {len(points)} points that match between pictures"
    return dataclasses.replace(scene, views=tuple(views), notes=(*scene.notes, note))


def triangulate_features(scene: Scene) -> Float[np.ndarray, "P 3"]:
    """World points of features that match between neighbouring views and agree with their cameras."""
    views, features = [], []
    sift = cv2.SIFT_create(NUM_FEATURES)
    for view in scene.with_pixel_origin("corner").views:
        if view.image is not None:
            small, grey = _reduced(view)
            views.append(small)
            features.append(sift.detectAndCompute(grey, None))
    points = [np.zeros((0, 3))]
    for first, second in _neighboring_pairs(views):
        pixels = _match(features[first], features[second])
        points.append(_triangulate(views[first], views[second], *pixels))
    return np.concatenate(points)


def _reduced(view: View) -> tuple[View, UInt8[np.ndarray, "H W"]]:
    """The view of a smaller picture, and its grey values."""
    rgb = load_image(view, pixel_origin="corner")
    scale = min(LONGEST_SIDE / max(rgb.shape[:2]), 1.0)
    size = tuple(round(scale * side) for side in view.image.size)
    grey = cv2.resize((255 * rgb.mean(axis=-1)).astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    factors = np.array([size[0] / view.image.size[0], size[1] / view.image.size[1], 1.0])
    return dataclasses.replace(view, intrinsics=view.intrinsics * factors[:, None]), grey


def _neighboring_pairs(views: list[View]) -> list[tuple[int, int]]:
    centers = np.array([view.center for view in views]).reshape(-1, 3)
    pairs = set()
    for index in range(len(views)):
        order = np.argsort(np.linalg.norm(centers - centers[index], axis=1), kind="stable").tolist()
        others = [other for other in order if other != index][:NUM_NEIGHBORS]
        pairs |= {(min(index, other), max(index, other)) for other in others}
    return sorted(pairs)


def _match(first: tuple, second: tuple) -> tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, "N 2"]]:
    """Corner-origin pixels of features that look alike in two views."""
    (keys_a, descriptors_a), (keys_b, descriptors_b) = first, second
    if descriptors_a is None or descriptors_b is None:
        return np.zeros((0, 2)), np.zeros((0, 2))
    candidates = cv2.BFMatcher().knnMatch(descriptors_a, descriptors_b, 2)
    good = [pair[0] for pair in candidates if len(pair) == 2 and pair[0].distance < RATIO * pair[1].distance]
    pixels = [[(*keys_a[match.queryIdx].pt, *keys_b[match.trainIdx].pt)] for match in good]
    both = np.array(pixels, dtype=np.float64).reshape(-1, 4) + 0.5  # OpenCV puts pixel centres at integers
    return both[:, :2], both[:, 2:]


def _triangulate(
    first: View, second: View, pixels_a: Float[np.ndarray, "N 2"], pixels_b: Float[np.ndarray, "N 2"]
) -> Float[np.ndarray, "P 3"]:
    """Points of which both views see the projection where the feature is, from directions that differ enough."""
    if not len(pixels_a):
        return np.zeros((0, 3))
    projections = [view.intrinsics @ view.world_to_cam[:3] for view in (first, second)]
    homogeneous = cv2.triangulatePoints(*projections, pixels_a.T, pixels_b.T).T
    scale = np.where(np.abs(homogeneous[:, 3:]) > 1e-9, homogeneous[:, 3:], np.nan)  # NaN fails every test below
    points = homogeneous[:, :3] / scale
    good = np.ones(len(points), dtype=bool)
    for view, pixels in ((first, pixels_a), (second, pixels_b)):
        projected, depth = _project(view, points)
        good &= (depth > 0) & (np.linalg.norm(projected - pixels, axis=1) < LARGEST_ERROR)
    rays = [points - view.center for view in (first, second)]
    lengths = np.linalg.norm(rays[0], axis=1) * np.linalg.norm(rays[1], axis=1)
    wide = (rays[0] * rays[1]).sum(axis=1) < np.cos(np.deg2rad(SMALLEST_ANGLE)) * lengths
    return points[good & wide]


def _bounds(view: View, points: Float[np.ndarray, "P 3"]) -> tuple[float, float] | None:
    """Bounds from the points that lie in the view's field of view; None where these are too few."""
    pixels, depth = _project(view, points)
    width, height = view.image.size if view.image else 2 * view.intrinsics[:2, 2]
    depth = depth[(depth > 0) & (pixels >= 0).all(axis=1) & (pixels < [width, height]).all(axis=1)]
    if len(depth) < FEWEST_POINTS:
        return None
    near, far = np.percentile(depth, PERCENTILES) * MARGINS
    return float(near), float(far)


def _project(view: View, points: Float[np.ndarray, "P 3"]) -> tuple[Float[np.ndarray, "P 2"], Float[np.ndarray, " P"]]:
    points_cam = points @ view.world_to_cam[:3, :3].T + view.world_to_cam[:3, 3]
    depth = points_cam[:, 2]
    return (points_cam @ view.intrinsics.T)[:, :2] / np.where(depth > 0, depth, np.nan)[:, None], depth
