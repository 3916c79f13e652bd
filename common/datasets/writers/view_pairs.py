"""Which views suit each other, computed from a scene's surface as MVSNet's converter does from a sparse model.

    score(i, j) = sum over points seen by both of exp(-(angle - 5 deg)^2 / (2 sigma^2))

where the angle lies between the rays from the point to the two camera centres, and sigma is 1 degree below 5 degrees
and 10 degrees above.
"""

import numpy as np
from jaxtyping import Bool, Float

from common.datasets.rendered_scene import RenderedScene, RenderedView

NUM_POINTS = 500
BEST_ANGLE = 5.0


def view_pairs(scene: RenderedScene, count: int = 10) -> dict[int, tuple[tuple[int, float], ...]]:
    """The `count` best source views of each view with their scores, best first; a view is never its own source."""
    points = _surface_points(scene)
    seen = np.stack([_visible(view, points) for view in scene.views])
    centers = np.stack([-view.world_to_cam[:3, :3].T @ view.world_to_cam[:3, 3] for view in scene.views])
    rays = centers[:, None] - points
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    pairs = {}
    for index in range(len(scene.views)):
        angle = np.degrees(np.arccos(np.clip((rays[index] * rays).sum(axis=-1), -1.0, 1.0)))
        sigma = np.where(angle < BEST_ANGLE, 1.0, 10.0)
        scores = (np.exp(-((angle - BEST_ANGLE) ** 2) / (2 * sigma**2)) * (seen & seen[index])).sum(axis=1)
        order = [int(other) for other in np.argsort(-scores, kind="stable") if other != index][:count]
        pairs[index] = tuple((other, float(scores[other])) for other in order)
    return pairs


def _surface_points(scene: RenderedScene) -> Float[np.ndarray, "P 3"]:
    """Points that the views see, evenly from all of them."""
    each = max(NUM_POINTS // len(scene.views), 4)
    points = []
    for view in scene.views:
        rows, columns = np.nonzero(view.depth > 0)
        if len(rows) == 0:
            continue
        chosen = np.linspace(0, len(rows) - 1, each).astype(int)
        rows, columns = rows[chosen], columns[chosen]
        pixels = np.stack([columns, rows, np.ones(len(rows))], axis=1) * view.depth[rows, columns, None]
        points_cam = pixels @ np.linalg.inv(view.intrinsics).T
        points.append((points_cam - view.world_to_cam[:3, 3]) @ view.world_to_cam[:3, :3])
    return np.concatenate(points) if points else np.zeros((0, 3))


def _visible(view: RenderedView, points: Float[np.ndarray, "P 3"]) -> Bool[np.ndarray, " P"]:
    """Whether the view's depth map shows each point (within 2 percent)."""
    height, width = view.depth.shape
    points_cam = points @ view.world_to_cam[:3, :3].T + view.world_to_cam[:3, 3]
    z = points_cam[:, 2]
    pixels = points_cam @ view.intrinsics.T / np.maximum(z, 1e-9)[:, None]
    column, row = (
        np.clip(np.round(pixels[:, axis]), -1, limit).astype(int) for axis, limit in ((0, width), (1, height))
    )
    inside = (z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    shown = view.depth[np.where(inside, row, 0), np.where(inside, column, 0)]
    return inside & (np.abs(shown - z) < 0.02 * z)
