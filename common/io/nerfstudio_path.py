"""Camera paths that nerfstudio's viewer exports, which `ns-render camera-path` renders.

    camera_type                     only "perspective" (or absent)
    render_width, render_height     pixels of every frame
    seconds, fps                    length and rate of the film
    camera_path                     per frame: camera_to_world, 16 numbers row by row, OpenGL axes (x right, y up, z
                                    backward); fov, vertical, degrees; aspect (ignored: the size says it)

keyframes, crop and everything else only matter to the viewer. The principal point is the middle of the picture:
W/2 counted from the corner, W/2 - 0.5 counted from the centre of the first pixel. Poses live in the world that
nerfstudio trained in; see `common/datasets/nerfstudio_worlds.py`.
"""

import math
from pathlib import Path

import numpy as np

from common.datasets.nerf_synthetic import opengl_to_world_to_cam
from common.datasets.validation import check_world_to_cam
from common.io.camera_path import PathFrame, matrix, pixel_count, positive_number
from common.io.data_files import read_json


def is_nerfstudio_path(content: object) -> bool:
    """Whether a JSON file's content is meant to be a path of this kind."""
    return isinstance(content, dict) and "camera_path" in content


def read_nerfstudio_path(path: str | Path) -> tuple[list[PathFrame], float | None]:
    """The frames of a file, and its frames per second: frames / seconds as nerfstudio's renderer has it, else `fps`.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It is not of this kind, has no frame, another camera type, or a broken frame.
    """
    content = read_json(path)
    if not is_nerfstudio_path(content):
        raise ValueError(f"{path} has no 'camera_path'; expected the JSON file that nerfstudio's viewer exports")
    camera_type = content.get("camera_type", "perspective")
    if str(camera_type).lower() != "perspective":
        raise ValueError(f"{path} is a path of camera type '{str(camera_type)[:50]}'; only perspective can be rendered")
    entries = content["camera_path"]
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path} has an empty camera_path; add key frames in the viewer and export it again")
    size = pixel_count(content, "render_width", str(path)), pixel_count(content, "render_height", str(path))
    frames = [_frame(entry, size, f"{path}: frame {index}") for index, entry in enumerate(entries)]
    seconds, fps = positive_number(content, "seconds", str(path)), positive_number(content, "fps", str(path))
    return frames, fps if seconds is None else len(frames) / seconds


def _frame(entry: object, size: tuple[int, int], where: str) -> PathFrame:
    if not isinstance(entry, dict):
        raise ValueError(f"{where} must be an object with camera_to_world and fov")
    cam_to_world = entry.get("camera_to_world")
    flat = isinstance(cam_to_world, list) and len(cam_to_world) == 16
    pose = matrix(cam_to_world, (16,) if flat else (4, 4), f"{where}: camera_to_world").reshape(4, 4)
    check_world_to_cam(pose, where)  # what makes a pose is the same for its inverse
    fov = positive_number(entry, "fov", where)
    if fov is None or fov >= 180:
        raise ValueError(f"{where}: fov must be degrees between 0 and 180, got {'nothing' if fov is None else fov}")
    width, height = size
    focal = height / (2 * math.tan(math.radians(fov) / 2))
    intrinsics = np.array([[focal, 0, width / 2 - 0.5], [0, focal, height / 2 - 0.5], [0, 0, 1]])
    return PathFrame(intrinsics, opengl_to_world_to_cam(pose), width, height)
