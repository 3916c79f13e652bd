"""Camera paths with a pose, a lens and a size per frame, in a JSON file of our own.

    {"axes": "opencv", "pixel_origin": "center", "fps": 24,
     "frames": [{"width": 1920, "height": 1080, "intrinsics": [3x3], "cam_to_world": [4x4]}, ...]}

Axes are x right, y down, z forward; the centre of the top-left pixel is (0, 0). `fps` may be left out.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.datasets.validation import check_intrinsics, check_world_to_cam
from common.io.atomic import atomic_path
from common.io.data_files import read_json

LARGEST_SIDE = 1 << 17


@dataclass(frozen=True)
class PathFrame:
    """One frame of a path.

    Attributes:
        intrinsics: Pixels; the centre of the top-left pixel is (0, 0).
        world_to_cam: OpenCV axes.
        width, height: Pixels.
    """

    intrinsics: Float[np.ndarray, "3 3"]
    world_to_cam: Float[np.ndarray, "4 4"]
    width: int
    height: int


def is_camera_path(content: object) -> bool:
    """Whether a JSON file's content is meant to be a path of this kind."""
    return isinstance(content, dict) and "frames" in content and "axes" in content


def read_camera_path(path: str | Path) -> tuple[list[PathFrame], float | None]:
    """The frames of a file and its frames per second (None where it says nothing).

    Raises:
        FileNotFoundError: No such file.
        ValueError: It is not of this kind, has no frame, or a frame is broken; the sentence names it.
    """
    content = read_json(path)
    if not is_camera_path(content):
        raise ValueError(f'{path} is no camera path; expected {{"axes": "opencv", "frames": [...]}}')
    found = content["axes"], content.get("pixel_origin", "center")
    if found != ("opencv", "center"):
        raise ValueError(f"{path} has axes '{found[0]}' and pixel_origin '{found[1]}'; expected 'opencv' and 'center'")
    entries = content["frames"]
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path} has no frames; a camera path needs at least one")
    frames = [_frame(entry, f"{path}: frame {index}") for index, entry in enumerate(entries)]
    return frames, positive_number(content, "fps", str(path))


def write_camera_path(path: str | Path, frames: Sequence[PathFrame], fps: float | None = None) -> None:
    """Store a path; the numbers come back exactly."""
    entries = [
        {
            "width": frame.width,
            "height": frame.height,
            "intrinsics": frame.intrinsics.tolist(),
            "cam_to_world": np.linalg.inv(frame.world_to_cam).tolist(),
        }
        for frame in frames
    ]
    head = {"axes": "opencv", "pixel_origin": "center"} | ({} if fps is None else {"fps": fps})
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(head | {"frames": entries}, indent=1), encoding="utf8")


def positive_number(entry: dict, key: str, where: str) -> float | None:
    """A positive finite number of a JSON object, or None where it is absent.

    Raises:
        ValueError: It is something else.
    """
    value = entry.get(key)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e100:  # NaN fails as well
        raise ValueError(f"{where}: {key} must be a positive number, got {str(value)[:50]!r}")
    return float(value)


def pixel_count(entry: dict, key: str, where: str) -> int:
    """A side of a picture in a JSON object.

    Raises:
        ValueError: It is absent, no whole number, or absurd.
    """
    value = positive_number(entry, key, where)
    if value is None or value != round(value) or value > LARGEST_SIDE:
        got = "nothing" if value is None else f"{value:g}"
        raise ValueError(f"{where}: {key} must be a whole number of pixels up to {LARGEST_SIDE}, got {got}")
    return round(value)


def matrix(value: object, shape: tuple[int, ...], where: str) -> np.ndarray:
    """A nested list of numbers as float64.

    Raises:
        ValueError: Another shape, or a number that is not finite.
    """
    try:
        array = np.array(value, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        array = np.empty(0)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"{where} must be {' x '.join(map(str, shape))} finite numbers")
    return array


def _frame(entry: object, where: str) -> PathFrame:
    if not isinstance(entry, dict):
        raise ValueError(f"{where} must be an object with width, height, intrinsics and cam_to_world")
    width, height = pixel_count(entry, "width", where), pixel_count(entry, "height", where)
    intrinsics = matrix(entry.get("intrinsics"), (3, 3), f"{where}: intrinsics")
    cam_to_world = matrix(entry.get("cam_to_world"), (4, 4), f"{where}: cam_to_world")
    check_world_to_cam(cam_to_world, where)  # what makes a pose is the same for its inverse
    check_intrinsics(intrinsics, None, where)
    return PathFrame(intrinsics, np.linalg.inv(cam_to_world), width, height)
