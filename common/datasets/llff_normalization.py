"""LLFF's recentring and rescaling of a forward-facing scene, as NeRF's code does it.

    s = 1 / (factor * nearest bound)        lengths are multiplied by s
    A = average pose                        mean centre; z = mean backward axis, x = mean up axis x z, y = z x x
    cam_to_world <- A^-1 cam_to_world       in OpenGL axes

The two steps may be taken in either order. `Scene.to_original` records them.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from common.datasets.scene import Scene, View


def normalize_llff(scene: Scene, bound_factor: float = 0.75, recenter: bool = True) -> Scene:
    """The scene scaled so that its nearest bound is 1 / `bound_factor`, in the frame of its average camera.

    Args:
        scene: Every view has depth bounds.
        bound_factor: 0.75 in NeRF's code.
        recenter: False only scales.

    Raises:
        ValueError: A view has no depth bounds.
    """
    if any(view.near_far is None for view in scene.views):
        raise ValueError(f"scene {scene.name} has views without depth bounds; LLFF's scale comes from them")
    scale = 1.0 / (bound_factor * min(view.near_far[0] for view in scene.views))
    average = average_pose(scene) if recenter else np.eye(4)
    views = tuple(_moved(view, average, scale) for view in scene.views)
    to_original = average @ np.diag([1 / scale, 1 / scale, 1 / scale, 1.0])
    if scene.to_original is not None:
        to_original = scene.to_original @ to_original
    points = scene.points
    if points is not None:
        points = (points - average[:3, 3]) @ average[:3, :3] * scale
    return dataclasses.replace(scene, views=views, to_original=to_original, points=points)


def average_pose(scene: Scene) -> Float[np.ndarray, "4 4"]:
    """The average camera as cam_to_world with OpenGL axes (x right, y up, z backward)."""
    poses = np.stack([view.world_to_cam for view in scene.views])
    backward, up = -poses[:, 2, :3].mean(axis=0), -poses[:, 1, :3].mean(axis=0)
    z = backward / np.linalg.norm(backward)
    x = np.cross(up, z)
    x /= np.linalg.norm(x)
    pose = np.eye(4)
    pose[:3] = np.stack([x, np.cross(z, x), z, np.mean([view.center for view in scene.views], axis=0)], axis=1)
    return pose


def _moved(view: View, average: Float[np.ndarray, "4 4"], scale: float) -> View:
    world_to_cam = view.world_to_cam @ average
    world_to_cam[:3, 3] *= scale
    depth = view.depth and dataclasses.replace(view.depth, unit=view.depth.unit * scale)
    near_far = (view.near_far[0] * scale, view.near_far[1] * scale)
    return dataclasses.replace(view, world_to_cam=world_to_cam, near_far=near_far, depth=depth)
