"""Moving and scaling a scene, for layouts whose readers assume a size of the world."""

import dataclasses

import numpy as np
from jaxtyping import Float

from common.datasets.rendered_scene import RenderedScene, RenderedView


def similarity(scale: float, center: Float[np.ndarray, "3"] | None = None) -> Float[np.ndarray, "4 4"]:
    """S with x_old = S x_new: the new world is smaller by `scale` and has its origin at `center`."""
    matrix = np.diag([scale, scale, scale, 1.0])
    matrix[:3, 3] = 0.0 if center is None else center
    return matrix


def moved_scene(scene: RenderedScene, old_from_new: Float[np.ndarray, "4 4"]) -> RenderedScene:
    """The same pictures in a new world: R b + t divided by the scale, as the depths; rotations stay."""
    scale = old_from_new[0, 0]

    def moved(view: RenderedView) -> RenderedView:
        world_to_cam = view.world_to_cam @ old_from_new
        world_to_cam[:3] /= scale
        return dataclasses.replace(view, world_to_cam=world_to_cam, depth=view.depth / np.float32(scale))

    mesh = scene.mesh.copy()
    mesh.apply_transform(np.linalg.inv(old_from_new))
    near_far = (scene.near_far[0] / scale, scene.near_far[1] / scale)
    return dataclasses.replace(scene, views=tuple(moved(view) for view in scene.views), near_far=near_far, mesh=mesh)


def within_depths(scene: RenderedScene, near_far: tuple[float, float]) -> RenderedScene:
    """The scene, scaled only if its depths leave these bounds: they are then put into their geometric middle.

    Raises:
        ValueError: The scene is too deep for the bounds at any scale.
    """
    near, far = scene.near_far
    if near >= near_far[0] and far <= near_far[1]:
        return scene
    if far / near > near_far[1] / near_far[0]:
        raise ValueError(f"scene {scene.name} has depths {near:g} to {far:g}, which no scale brings within {near_far}")
    return moved_scene(scene, similarity(float(np.sqrt(near * far / (near_far[0] * near_far[1])))))


def object_points(scene: RenderedScene, num_points: int = 4000) -> Float[np.ndarray, "P 3"]:
    """World points on the objects (not the ground) that the views see; on everything where there are no objects."""
    points = []
    for view in scene.views:
        shown = view.mask & (view.depth > 0)
        rows, columns = np.nonzero(shown if shown.any() else view.depth > 0)
        step = max(len(rows) * len(scene.views) // num_points, 1)
        points.append(points_behind(view, columns[::step], rows[::step]))
    return np.concatenate(points)


def points_behind(view: RenderedView, columns: np.ndarray, rows: np.ndarray) -> Float[np.ndarray, "P 3"]:
    """World points that the pixels of a view show."""
    pixels = np.stack([columns, rows, np.ones(len(rows))], axis=1) * view.depth[rows, columns, None]
    points_cam = pixels @ np.linalg.inv(view.intrinsics).T
    return (points_cam - view.world_to_cam[:3, 3]) @ view.world_to_cam[:3, :3]
