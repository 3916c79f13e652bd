"""Cameras that are none of a scene's photographs: the paper's two paths, and files of poses (spec 9.3).

All poses are 3x4 world-to-camera matrices with OpenCV axes.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, Slerp

from common.camera_paths import read_any_path
from common.cameras import Camera
from neuray_mrvm.databases.database import Database

NUM_POSES = 60
POSE_TYPES = ("eval", "circle", "inter", "file")
_RADIUS_SCALE, _HEIGHT_SHARE, _PERCENTILE = 0.8, 0.2, 90
_FARTHEST = 20.0  # of the scene's size: a pose beyond belongs to another scene


def circle_poses(
    poses: Float[np.ndarray, "V 3 4"], ranges: Float[np.ndarray, "V 2"], num_poses: int = NUM_POSES
) -> Float[np.ndarray, "N 3 4"]:
    """An ellipse in the plane of the cameras, all poses looking at one point in front of them.

    Args:
        poses: Of the given views.
        ranges: Their depth bounds; means decide how far away the point is.
        num_poses: On the whole ellipse.
    """
    cam_to_world = _inverted(poses)
    centers, down = cam_to_world[:, :, 3], cam_to_world[:, :, 1].mean(axis=0)
    middle = (centers.min(axis=0) + centers.max(axis=0)) / 2
    frame = _look_along(cam_to_world[:, :, 2].mean(axis=0), down, middle)
    radii = np.percentile(np.abs((centers - middle) @ frame[:, :3]), _PERCENTILE, axis=0) * _RADIUS_SCALE
    near, far = ranges.astype(np.float64).mean(axis=0)
    focus = frame[:, :3] @ [0, 0, 1 / (0.25 / near + 0.75 / far)] + middle
    path = []
    for theta in np.arange(num_poses) * (2 * np.pi / num_poses):
        center = frame[:, :3] @ [-np.sin(theta) * radii[0], np.cos(theta) * radii[1], 0] + middle
        path.append(_look_along(focus - center, down, center))
    return _inverted(np.stack(path)).astype(np.float32)


def interpolated_poses(poses: Float[np.ndarray, "V 3 4"], num_poses: int = NUM_POSES) -> Float[np.ndarray, "N 3 4"]:
    """Through the given poses in their order, evenly in the angle that the camera turns; both ends are included.

    Raises:
        ValueError: Fewer than two poses, or two neighbours that look the same way.
    """
    cam_to_world = _inverted(poses)
    if len(poses) < 2:
        raise ValueError(f"a path between views needs at least two of them, got {len(poses)}")
    rotations = Rotation.from_matrix(cam_to_world[:, :, :3])
    angles = (rotations[:-1].inv() * rotations[1:]).magnitude()
    if not (angles > 1e-6).all():
        raise ValueError(
            f"views {int(angles.argmin())} and {int(angles.argmin()) + 1} of the path look the same way, so no angle"
            " lies between them; take --pose_type circle"
        )
    knots = np.concatenate([[0.0], np.cumsum(angles)])
    times = np.linspace(0, knots[-1], num_poses)
    turned = Slerp(knots, rotations)(times).as_matrix()
    centers = CubicSpline(knots, cam_to_world[:, :, 3])(times)
    return _inverted(np.concatenate([turned, centers[..., None]], axis=-1)).astype(np.float32)


def free_poses(
    kind: str, database: Database, ids: Sequence[str], file: str | Path | None = None
) -> Float[np.ndarray, "N 3 4"]:
    """The path that `--pose_type` asks for.

    Args:
        kind: circle, inter or file.
        database: Of the scene.
        ids: Of the views that the path is made from.
        file: For kind file: poses in any format of `common/camera_paths.py`.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Unknown kind, no poses, or poses far away from the scene.
    """
    poses = np.stack([database.pose(view_id) for view_id in ids])
    ranges = np.stack([database.depth_range(view_id) for view_id in ids])
    if kind.startswith("circle"):
        return circle_poses(poses, ranges)
    if kind.startswith("inter"):
        return interpolated_poses(poses)
    if kind != "file":
        raise ValueError(f"unknown --pose_type {kind!r}; there are {', '.join(POSE_TYPES)}")
    if file is None:
        raise ValueError("--pose_type file needs the file of poses: --pose_fn PATH")
    width, height = database.size(ids[0])
    lens = Camera(torch.from_numpy(database.K(ids[0])), torch.eye(4), height, width, tuple(ranges[0].tolist()))
    path = np.stack([camera.world_to_cam.numpy()[:3] for camera in read_any_path(file, lens).cameras])
    _check_near(path, poses, ranges, f"{file} for {database.name}")
    return path.astype(np.float32)


def _check_near(
    path: Float[np.ndarray, "N 3 4"], poses: Float[np.ndarray, "V 3 4"], ranges: Float[np.ndarray, "V 2"], place: str
) -> None:
    """Refuse poses that stand where no photograph shows anything."""
    centers, given = _inverted(path)[:, :, 3], _inverted(poses)[:, :, 3]
    size = max(float(ranges[:, 1].max()), float(np.ptp(given, axis=0).max()))
    away = np.linalg.norm(centers[:, None] - given, axis=-1).min(axis=1) / size
    if away.max() > _FARTHEST:
        raise ValueError(
            f"pose {int(away.argmax())} of {place} stands {away.max():.0f} times the scene's size away from all views;"
            " the pose file probably belongs to another scene"
        )


def _look_along(
    forward: Float[np.ndarray, "3"], down: Float[np.ndarray, "3"], center: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "3 4"]:
    """Camera-to-world with z along `forward` and y as close to `down` as possible."""
    z = forward / np.linalg.norm(forward)
    x = np.cross(down, z)
    x = x / np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z, center], axis=1)


def _inverted(poses: Float[np.ndarray, "V 3 4"]) -> Float[np.ndarray, "V 3 4"]:
    """World-to-camera from camera-to-world, and back."""
    poses = poses.astype(np.float64)
    rotation = poses[:, :, :3].transpose(0, 2, 1)
    return np.concatenate([rotation, -rotation @ poses[:, :, 3:]], axis=-1)
