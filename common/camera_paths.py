"""Camera paths with a whole camera per frame, from their names or from the files of several programs.

interpolated, orbit, spiral     made from given cameras (`common/trajectories.py`)
*.json with "frames"            ours: `common/io/camera_path.py`; tools/blender_camera_path.py writes it
*.json with "camera_path"       nerfstudio's viewer: `common/io/nerfstudio_path.py`
*.json with "world_to_cam"      poses alone (`common/trajectories.py`); every frame has a given camera's lens
*.npy                           XScale-NVS's `navigation_path`: poses alone, [N,4,4] cam_to_world, OpenCV axes

Cameras are float64, so that nothing is lost before a renderer chooses its own precision.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from common.cameras import Camera
from common.datasets.nerfstudio_worlds import moved_pose
from common.datasets.validation import check_world_to_cam
from common.io.camera_path import PathFrame, is_camera_path, read_camera_path
from common.io.data_files import read_json, read_npy
from common.io.nerfstudio_path import is_nerfstudio_path, read_nerfstudio_path
from common.trajectories import interpolated_path, orbit_path, read_path, spiral_path

PATH_NAMES = ("interpolated", "orbit", "spiral")


@dataclass(frozen=True)
class CameraPath:
    """Cameras to render one after the other.

    Attributes:
        cameras: In order.
        fps: Frames per second of the film, or None where the file says nothing.
    """

    cameras: tuple[Camera, ...]
    fps: float | None = None


def named_path(name: str, cameras: Sequence[Camera], num_frames: int) -> CameraPath:
    """A path made from given cameras, with the lens and size of the first one.

    Args:
        name: "interpolated" passes through the cameras in order, "orbit" circles the point that they look at, "spiral"
            turns in front of their average (its focus comes from the first camera's depth bounds).
        cameras: At least two for "interpolated".
        num_frames: An interpolated path has the nearest number that gives all legs the same.

    Raises:
        ValueError: Unknown name, no frame, or cameras that do not define such a path.
    """
    if num_frames < 1:
        raise ValueError(f"a camera path needs at least one frame, got {num_frames}")
    if not cameras:
        raise ValueError(f"the path '{name}' is made from the scene's cameras, but there are none")
    poses = np.stack([camera.world_to_cam.double().numpy() for camera in cameras])
    if name == "interpolated":
        per_leg = max(1, round((num_frames - 1) / max(len(cameras) - 1, 1)))
        path = interpolated_path(poses, per_leg, closed=False)
    elif name == "orbit":
        path = orbit_path(poses, num_frames)
    elif name == "spiral":
        path = spiral_path(poses, cameras[0].near_far, num_frames)
    else:
        raise ValueError(f"unknown camera path '{name}'; expected {', '.join(PATH_NAMES)}, a .json or a .npy file")
    return CameraPath(tuple(with_pose(cameras[0], pose) for pose in path))


def read_any_path(path: str | Path, lens: Camera) -> CameraPath:
    """The path in a file; what kind of file it is shows in its name and its content.

    Args:
        path: See the head of this module.
        lens: Gives the depth bounds, and intrinsics and size where the file has poses alone.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No camera path, or an empty or broken one; the sentence names the frame.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        return CameraPath(tuple(with_pose(lens, pose) for pose in read_navigation_path(path)))
    if path.suffix.lower() != ".json":
        raise ValueError(f"{path} is no camera path; expected {', '.join(PATH_NAMES)}, a .json or a .npy file")
    content = read_json(path)
    if is_nerfstudio_path(content):
        frames, fps = read_nerfstudio_path(path)
    elif is_camera_path(content):
        frames, fps = read_camera_path(path)
    else:
        return CameraPath(tuple(with_pose(lens, pose) for pose in read_path(path)))
    return CameraPath(tuple(_camera(frame, lens.near_far) for frame in frames), fps)


def read_navigation_path(path: str | Path) -> list[Float[np.ndarray, "4 4"]]:
    """world_to_cam of each frame of a NumPy file that holds cam_to_world (OpenCV axes) as [N,4,4].

    Raises:
        FileNotFoundError: No such file.
        ValueError: Another shape, no frame, or a matrix that is no pose.
    """
    poses = read_npy(path)
    if poses.ndim != 3 or poses.shape[1:] != (4, 4) or not len(poses):
        raise ValueError(f"{path} has shape {list(poses.shape)}; a camera path is [N,4,4] cam_to_world, N at least 1")
    poses = poses.astype(np.float64)
    for index, pose in enumerate(poses):
        check_world_to_cam(pose, f"{path}: frame {index}")  # what makes a pose is the same for its inverse
    return [np.linalg.inv(pose) for pose in poses]


def pinhole(
    focal: float, size: tuple[int, int], near_far: tuple[float, float], world_to_cam: Tensor | None = None
) -> Camera:
    """Square pixels and a centred principal point, at (width, height)."""
    width, height = size
    intrinsics = [[focal, 0, width / 2 - 0.5], [0, focal, height / 2 - 0.5], [0, 0, 1]]
    pose = torch.eye(4, dtype=torch.float64) if world_to_cam is None else world_to_cam
    return Camera(torch.tensor(intrinsics, dtype=torch.float64), pose, height, width, near_far)


def with_pose(camera: Camera, world_to_cam: Float[np.ndarray, "4 4"]) -> Camera:
    """The camera elsewhere."""
    return replace(camera, world_to_cam=torch.from_numpy(np.asarray(world_to_cam, dtype=np.float64)))


def with_size(camera: Camera, width: int, height: int) -> Camera:
    """The camera with another picture size: the vertical field of view stays, the width shows more or less.

    The offset of the principal point from the middle of the picture scales with the height.
    """
    scale = height / camera.height
    intrinsics = camera.intrinsics.double().clone()
    intrinsics[:2, :2] *= scale
    intrinsics[0, 2] = (intrinsics[0, 2] + 0.5 - camera.width / 2) * scale + width / 2 - 0.5
    intrinsics[1, 2] = (intrinsics[1, 2] + 0.5 - camera.height / 2) * scale + height / 2 - 0.5
    return replace(camera, intrinsics=intrinsics, height=height, width=width)


def in_another_world(camera: Camera, similarity: Float[np.ndarray, "4 4"]) -> Camera:
    """The camera after every world point moved by a similarity: the same picture; depth bounds scale with the world."""
    scale = float(np.cbrt(np.linalg.det(similarity[:3, :3])))
    near, far = camera.near_far
    moved = with_pose(camera, moved_pose(camera.world_to_cam.double().numpy(), similarity))
    return replace(moved, near_far=(near * scale, far * scale))


def _camera(frame: PathFrame, near_far: tuple[float, float]) -> Camera:
    intrinsics, pose = torch.from_numpy(frame.intrinsics), torch.from_numpy(frame.world_to_cam)
    return Camera(intrinsics, pose, frame.height, frame.width, near_far)
