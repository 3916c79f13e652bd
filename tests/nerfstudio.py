"""What nerfstudio does to a world, step by step as its converter, data parser and viewer do it."""

import json

import numpy as np
from scipy.spatial.transform import Rotation

from common.datasets.writers.transforms import write_transforms

FLIP = np.diag([1.0, -1, -1, 1])
COLMAP_TODAY = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]])
COLMAP_BEFORE = np.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0]])


def square(matrix):
    return np.vstack([matrix, [0, 0, 0, 1]])


def write_capture(folder, scene, applied=COLMAP_TODAY, applied_scale=None, stated=True, lens=None):
    """A capture whose poses went through `applied` and `applied_scale`; its file may leave out the first."""
    write_transforms(folder, scene, lens=lens)
    path = folder / scene.name / "transforms.json"
    content = json.loads(path.read_text())
    for frame in content["frames"]:
        pose = square(applied) @ np.array(frame["transform_matrix"])
        pose[:3, 3] *= applied_scale or 1.0
        frame["transform_matrix"] = pose.tolist()
    if stated:
        content["applied_transform"] = applied.tolist()
    if applied_scale is not None:
        content["applied_scale"] = applied_scale
    path.write_text(json.dumps(content))
    return path


def train(transforms, folder, applied=COLMAP_TODAY):
    """The data parser: turns, centres and scales the poses of the file, and writes dataparser_transforms.json.

    Returns the similarity from the file's world to the trained one as a function of points, to test against.
    """
    content = json.loads(transforms.read_text())
    poses = np.array([frame["transform_matrix"] for frame in content["frames"]])
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", [0.2, -0.4, 0.9]).as_matrix()
    turn[:3, 3] = -turn[:3, :3] @ poses[:, :3, 3].mean(axis=0)
    trained = turn @ poses
    scale = 1 / np.abs(trained[:, :3, 3]).max()
    stored = {
        "transform": (turn @ square(applied))[:3].tolist(),
        "scale": scale * content.get("applied_scale", 1.0),
    }
    path = folder / "dataparser_transforms.json"
    path.write_text(json.dumps(stored))
    return path, lambda points: scale * (points @ turn[:3, :3].T + turn[:3, 3])


def to_trained_pose(cam_to_world_file, to_trained):
    """A pose of the file's world (OpenGL axes) as the trained world has it: a rigid pose at the moved centre."""
    center = to_trained(cam_to_world_file[:3, 3])
    pose = np.eye(4)
    for axis in range(3):
        tip = to_trained(cam_to_world_file[:3, 3] + cam_to_world_file[:3, axis]) - center
        pose[:3, axis] = tip / np.linalg.norm(tip)
    pose[:3, 3] = center
    return pose


def export_path(folder, poses, fov, size):
    """The viewer's JSON of poses in the trained world."""
    content = {"camera_type": "perspective", "render_width": size[0], "render_height": size[1], "fps": 24}
    frames = [{"camera_to_world": p.ravel().tolist(), "fov": fov, "aspect": size[0] / size[1]} for p in poses]
    path = folder / "camera_path.json"
    path.write_text(json.dumps(content | {"seconds": len(poses) / 24, "camera_path": frames}))
    return path
