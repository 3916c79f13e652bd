"""Camera paths for videos, each a list of world_to_cam matrices (OpenCV axes).

interpolated_path   through given cameras, one after the other
spiral_path         in front of given cameras, for forward-facing scenes
orbit_path          around the point that given cameras look at
read_path           from a JSON file
"""

import json
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation, Slerp

from common.io.atomic import atomic_path


def interpolated_path(
    world_to_cam: Float[np.ndarray, "V 4 4"],
    frames_per_leg: int,
    closed: bool = True,
    rotations: Literal["slerp", "euler"] = "slerp",
) -> list[Float[np.ndarray, "4 4"]]:
    """From each camera to the next at constant speed; the camera that ends a leg belongs to the next leg.

    Args:
        world_to_cam: The cameras, in order.
        frames_per_leg: Frames from one camera to the next.
        closed: Return from the last camera to the first; otherwise stop at the last one (which is then the final
            frame).
        rotations: "slerp" takes the shortest way; "euler" mixes extrinsic x-y-z angles linearly, an angle more than 180
            degrees away from the *first* camera's being raised by 360, which is what GeFu and ID-NeRF do.

    Raises:
        ValueError: Fewer than two cameras, or no frame per leg.
    """
    if len(world_to_cam) < 2 or frames_per_leg < 1:
        raise ValueError(
            f"an interpolated path needs two cameras and a frame per leg, got {len(world_to_cam)} and {frames_per_leg}"
        )
    cam_to_world = np.linalg.inv(world_to_cam.astype(np.float64))
    orientations = Rotation.from_matrix(cam_to_world[:, :3, :3])
    centers, count = cam_to_world[:, :3, 3], len(cam_to_world)

    if rotations == "euler":
        with warnings.catch_warnings():  # in gimbal lock any of the possible angles will do
            warnings.filterwarnings("ignore", message="Gimbal lock")
            angles = orientations.as_euler("xyz", degrees=True)
        angles = np.where(np.abs(angles - angles[:1]) > 180, angles + 360, angles)

    path = []
    for start in range(count if closed else count - 1):
        end = (start + 1) % count
        weights = np.arange(frames_per_leg) / frames_per_leg
        if rotations == "euler":
            mixed = [(1 - weight) * angles[start] + weight * angles[end] for weight in weights]
            turned = Rotation.from_euler("xyz", mixed, degrees=True)
        else:
            turned = Slerp([0, 1], orientations[[start, end]])(weights)
        moved = [(1 - weight) * centers[start] + weight * centers[end] for weight in weights]
        path += [_world_to_cam(rotation, center) for rotation, center in zip(turned.as_matrix(), moved, strict=True)]
    return path if closed else [*path, world_to_cam[-1].astype(np.float64)]


def spiral_path(
    world_to_cam: Float[np.ndarray, "V 4 4"],
    near_far: tuple[float, float],
    num_frames: int = 60,
    num_turns: float = 2.0,
    radius_scale: float = 1.0,
    convention: Literal["converging", "released"] = "converging",
) -> list[Float[np.ndarray, "4 4"]]:
    """A closed spiral around the average camera, at theta = 0 ... 2 pi num_turns (end excluded).

    The radii are the 70th percentiles of the cameras' distances from their mean along each axis, times `radius_scale`;
    all frames look along the line through one point at the depth 1 / (0.25 / near + 0.75 / far).

    Args:
        world_to_cam: The given cameras.
        near_far: Depth bounds of the scene.
        num_frames: Length of the path.
        num_turns: Turns of the spiral.
        radius_scale: 1 keeps to where the cameras are.
        convention: "converging" looks at that point, in front of the cameras, with radii along the average camera's
            axes. "released" looks away from the same point *behind* the cameras, with radii along the world's axes: the
            frames of GeFu's and ID-NeRF's released code, whose sign fits OpenGL axes while its cameras have OpenCV
            axes.
    """
    cam_to_world = np.linalg.inv(world_to_cam.astype(np.float64))
    centers, down = cam_to_world[:, :3, 3], _unit(cam_to_world[:, :3, 1].sum(axis=0))
    average = np.eye(4)
    average[:3] = np.c_[_look_along(cam_to_world[:, :3, 2].mean(axis=0), down), centers.mean(axis=0)]
    focus = 1 / (0.25 / near_far[0] + 0.75 / near_far[1])
    offsets = centers - average[:3, 3]
    if convention == "converging":
        offsets = offsets @ average[:3, :3]
    radii = radius_scale * np.percentile(np.abs(offsets), 70, axis=0)

    path = []
    for theta in np.arange(num_frames) * (2 * np.pi * num_turns / num_frames):
        offset = radii * np.array([np.cos(theta), -np.sin(theta), -np.sin(theta / 2)])
        center = average[:3, :3] @ offset + average[:3, 3]
        if convention == "converging":
            forward = average[:3, :3] @ [0, 0, focus] + average[:3, 3] - center
        else:
            forward = center - (average[:3, :3] @ [0, 0, -focus] + average[:3, 3])
        path.append(_world_to_cam(_look_along(forward, down), center))
    return path


def orbit_path(
    world_to_cam: Float[np.ndarray, "V 4 4"],
    num_frames: int = 60,
    degrees: float = 360.0,
    look_at: Float[np.ndarray, "3"] | None = None,
) -> list[Float[np.ndarray, "4 4"]]:
    """A circle at the cameras' mean height and distance around the vertical axis through the point they look at.

    Args:
        world_to_cam: The given cameras.
        num_frames: Length of the path.
        degrees: Length of the arc. A whole circle is evenly spaced and closes; a shorter one is centred on the mean
            direction of the given cameras and includes both ends.
        look_at: World point in the middle; None for the point nearest to all optical axes.

    Raises:
        ValueError: The cameras have no common up direction, or stand above each other.
    """
    cam_to_world = np.linalg.inv(world_to_cam.astype(np.float64))
    centers, down = cam_to_world[:, :3, 3], cam_to_world[:, :3, 1].mean(axis=0)
    if np.linalg.norm(down) < 1e-3:
        raise ValueError("an orbit needs cameras with a common up direction, but their y axes cancel out")
    down = _unit(down)
    middle = nearest_point_to_axes(world_to_cam) if look_at is None else np.asarray(look_at, dtype=np.float64)

    offsets = centers - middle
    heights = offsets @ down
    flat = offsets - heights[:, None] * down
    radius, height, facing = np.linalg.norm(flat, axis=1).mean(), heights.mean(), flat.mean(axis=0)
    if radius < 1e-9:
        raise ValueError("an orbit needs cameras beside the point they look at, but all stand above or below it")
    # Cameras all around have no mean direction: start at the first one.
    side = _unit(facing if np.linalg.norm(facing) > 0.01 * radius else flat[0])
    across = np.cross(down, side)

    arc = np.deg2rad(degrees)
    closes = degrees >= 360
    angles = np.arange(num_frames) * arc / num_frames if closes else np.linspace(-arc / 2, arc / 2, num_frames)
    path = []
    for angle in angles:
        center = middle + height * down + radius * (np.cos(angle) * side + np.sin(angle) * across)
        path.append(_world_to_cam(_look_along(middle - center, down), center))
    return path


def nearest_point_to_axes(world_to_cam: Float[np.ndarray, "V 4 4"]) -> Float[np.ndarray, "3"]:
    """World point with the least squared distances to the optical axes; for parallel axes the mean camera centre."""
    cam_to_world = np.linalg.inv(world_to_cam.astype(np.float64))
    forward, centers = cam_to_world[:, :3, 2], cam_to_world[:, :3, 3]
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    mean = centers.mean(axis=0)
    right_side = np.einsum("vij,vj->i", across, centers - mean)
    return mean + np.linalg.lstsq(across.sum(axis=0), right_side, rcond=1e-6)[0]


def write_path(path: str | Path, world_to_cam: list[Float[np.ndarray, "4 4"]]) -> None:
    """Store a path as {"world_to_cam": [4x4, ...]}."""
    with atomic_path(path) as temporary:
        temporary.write_text(
            json.dumps({"world_to_cam": [np.asarray(pose).tolist() for pose in world_to_cam]}, indent=1)
        )


def read_path(path: str | Path) -> list[Float[np.ndarray, "4 4"]]:
    """The path stored in a JSON file under "world_to_cam" or "cam_to_world": a list of 4x4 matrices, OpenCV axes.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Not such a file, or a matrix that is no rotation and translation; the sentence says which.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no camera path {path}; expected a JSON file with a list of 4x4 matrices")
    expected = 'expected {"world_to_cam": [4x4 matrices]} or {"cam_to_world": ...}'
    try:
        content = json.loads(path.read_text(encoding="utf8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON file ({error}); {expected}") from error
    keys = [key for key in ("world_to_cam", "cam_to_world") if isinstance(content, dict) and key in content]
    if len(keys) != 1 or not isinstance(content[keys[0]], list) or not content[keys[0]]:
        raise ValueError(f"{path} holds no camera path; {expected}")
    poses = [_checked_pose(pose, f"{path}, matrix {index}") for index, pose in enumerate(content[keys[0]])]
    return poses if keys[0] == "world_to_cam" else [np.linalg.inv(pose) for pose in poses]


def _checked_pose(values: object, place: str) -> np.ndarray:
    try:
        pose = np.array(values, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{place} is no 4x4 matrix of numbers") from error
    if pose.shape != (4, 4) or not np.isfinite(pose).all() or not np.allclose(pose[3], [0, 0, 0, 1]):
        raise ValueError(f"{place} is no finite 4x4 matrix with last row 0 0 0 1")
    rotation = pose[:3, :3]
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
        raise ValueError(f"{place} has no proper rotation in its upper left 3x3 block")
    return pose


def _world_to_cam(rotation: np.ndarray, center: np.ndarray) -> np.ndarray:
    """From a camera's axes (columns, world frame) and its centre."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation.T, -rotation.T @ center
    return pose


def _look_along(forward: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Camera axes as columns: z along `forward`, y as close to `down` as possible."""
    z = _unit(forward)
    x = _unit(np.cross(down, z))
    return np.stack([x, np.cross(z, x), z], axis=1)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
