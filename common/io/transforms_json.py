"""`transforms*.json`: poses and lenses of NeRF Synthetic, instant-ngp and nerfstudio, one family in three dialects.

Poses are `cam_to_world` with OpenGL axes (x right, y up, z backward). Numbers of the lens stand at the top or in a
frame, where they override. They are corner-origin pixels of the size that the file states, or of the picture where it
states none. Focal lengths, in order of precedence:

    x_fov, y_fov                       degrees      f = W / (2 tan(fov / 2))
    fl_x, fl_y                         pixels
    camera_angle_x, camera_angle_y     radians      f = W / (2 tan(angle / 2))

One axis alone stands for both.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.datasets.scene import Distortion
from common.io.data_files import read_json

PERSPECTIVE = {"", "PERSPECTIVE", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV"}
FISHEYE = {"FISHEYE", "OPENCV_FISHEYE"}
# Lenses of instant-ngp and nerfstudio that no pinhole picture can be made of, or whose formulas are not implemented.
REFUSED_SWITCHES = ("is_latlong", "latlong", "equirectangular", "ftheta_p0", "orthographic")
FOCAL_KEYS = ("x_fov", "y_fov", "fl_x", "fl_y", "camera_angle_x", "camera_angle_y")
LENS_KEYS = ("k1", "k2", "k3", "k4", "p1", "p2")


@dataclass(frozen=True)
class TransformsFrame:
    """One entry of `frames`.

    Attributes:
        file_path: As written: relative to the json, with or without extension.
        cam_to_world: OpenGL axes.
        lens: Every number and switch that describes the lens, the frame's own before the file's.
        depth_path, mask_path: As written, or None.
    """

    file_path: str
    cam_to_world: Float[np.ndarray, "4 4"]
    lens: dict[str, object]
    depth_path: str | None = None
    mask_path: str | None = None


@dataclass(frozen=True)
class TransformsFile:
    """Content of one file.

    Attributes:
        frames: In the order of the file.
        splits: File paths by "train", "val", "test", where the file lists them.
        original_to_world: What nerfstudio did to the world of the reconstruction: `applied_transform`, then
            `applied_scale`; the identity where the file has neither.
        depth_unit: `integer_depth_scale` of instant-ngp, or None.
    """

    frames: tuple[TransformsFrame, ...]
    splits: dict[str, tuple[str, ...]] = field(default_factory=dict)
    original_to_world: Float[np.ndarray, "4 4"] = field(default_factory=lambda: np.eye(4))
    depth_unit: float | None = None


def read_transforms_json(path: str | Path) -> TransformsFile:
    """The frames of a file, in its order.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not JSON, or not of this family; the sentence names the frame.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("frames"), list) or not content["frames"]:
        raise ValueError(f"{path} has no list 'frames'; expected a transforms.json of NeRF, instant-ngp or nerfstudio")
    shared = {key: value for key, value in content.items() if key != "frames"}
    frames = tuple(_frame(entry, shared, f"{path}: frame {index}") for index, entry in enumerate(content["frames"]))
    splits = {}
    for name in ("train", "val", "test"):
        names = content.get(f"{name}_filenames")
        if names is not None:
            if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
                raise ValueError(f"{path}: {name}_filenames must be a list of file names")
            splits[name] = tuple(names)
    depth_unit = _number(content, "integer_depth_scale", str(path))
    return TransformsFile(frames, splits, _original_to_world(content, str(path)), depth_unit)


def resolve_lens(
    frame: TransformsFrame, image_size: tuple[int, int], where: str
) -> tuple[tuple[int, int], Float[np.ndarray, "3 3"], Distortion | None]:
    """The (width, height) that a frame's numbers are made for, corner-origin intrinsics, and the lens (None: pinhole).

    Args:
        frame: The frame.
        image_size: (width, height) of its picture, used where the file states no size.
        where: For error messages.

    Raises:
        ValueError: No focal length, a size that is none, or a lens that is not supported.
    """
    entry = frame.lens
    size = tuple(_pixels(entry, key, default, where) for key, default in zip("wh", image_size, strict=True))
    focal = _focal(entry, "x", size[0], where), _focal(entry, "y", size[1], where)
    if focal == (None, None):
        raise ValueError(f"{where} has no focal length; expected fl_x, camera_angle_x or x_fov")
    center = [_number(entry, f"c{axis}", where) for axis in "xy"]
    center = [side / 2 if value is None else value for value, side in zip(center, size, strict=True)]
    intrinsics = np.array([[focal[0] or focal[1], 0, center[0]], [0, focal[1] or focal[0], center[1]], [0, 0, 1]])
    return size, intrinsics.astype(np.float64), _distortion(entry, where)


def _frame(entry: object, shared: dict, where: str) -> TransformsFrame:
    if not isinstance(entry, dict) or not isinstance(entry.get("file_path"), str):
        raise ValueError(f"{where} has no file_path; expected an object with file_path and transform_matrix")
    where = f"{where} ('{entry['file_path'][:100]}')"
    pose = _matrix(entry.get("transform_matrix"), f"{where} transform_matrix")
    # A frame that says anything about its focal length says all of it.
    inherited = {k: v for k, v in shared.items() if k not in FOCAL_KEYS or not any(key in entry for key in FOCAL_KEYS)}
    paths = [entry.get("depth_file_path", entry.get("depth_path")), entry.get("mask_path")]
    if not all(item is None or isinstance(item, str) for item in paths):
        raise ValueError(f"{where} names a depth map or mask that is not a file name")
    return TransformsFrame(entry["file_path"], pose, inherited | entry, *paths)


def _matrix(value: object, where: str) -> Float[np.ndarray, "4 4"]:
    """A nested list of 4x4 or 3x4 numbers."""
    rows = value if isinstance(value, list) else []
    good = len(rows) in (3, 4) and all(isinstance(row, list) and len(row) == 4 for row in rows)
    if not good or not all(_is_number(item) for row in rows for item in row):
        raise ValueError(f"{where} must be 4 (or 3) lists of 4 finite numbers")
    matrix = np.eye(4)
    matrix[: len(rows)] = rows
    return matrix


def _original_to_world(content: dict, where: str) -> Float[np.ndarray, "4 4"]:
    scale = _number(content, "applied_scale", where)
    transform = np.eye(4)
    if content.get("applied_transform") is not None:
        transform = _matrix(content["applied_transform"], f"{where}: applied_transform")
    return np.diag([*[1.0 if scale is None else scale] * 3, 1.0]) @ transform


def _focal(entry: dict, axis: str, side: int, where: str) -> float | None:
    fov = _number(entry, f"{axis}_fov", where)
    angle = math.radians(fov) if fov is not None else None
    if angle is None:
        focal = _number(entry, f"fl_{axis}", where)
        if focal is not None:
            return focal
        angle = _number(entry, f"camera_angle_{axis}", where)
    if angle is None:
        return None
    if not 0 < angle < math.pi:
        raise ValueError(f"{where} has a field of view of {math.degrees(angle):g} degrees; a pinhole has less than 180")
    return side / (2 * math.tan(angle / 2))


def _distortion(entry: dict, where: str) -> Distortion | None:
    model = str(entry.get("camera_model", "")).upper()
    refused = [key for key in REFUSED_SWITCHES if entry.get(key)]
    if refused or model not in PERSPECTIVE | FISHEYE:
        raise ValueError(
            f"{where} has a lens of kind {(refused or [model])[0]}; only perspective and fisheye are supported"
        )
    params = entry.get("distortion_params")
    if params is not None:
        if not isinstance(params, list) or len(params) != 6 or not all(_is_number(item) for item in params):
            raise ValueError(f"{where}: distortion_params must be the six numbers k1 k2 k3 k4 p1 p2")
        k1, k2, k3, k4, p1, p2 = map(float, params)
    else:
        k1, k2, k3, k4, p1, p2 = (_number(entry, key, where) or 0.0 for key in LENS_KEYS)
    if model in FISHEYE or entry.get("is_fisheye"):
        if p1 or p2:
            raise ValueError(f"{where} is a fisheye lens with tangential terms p1 p2, which no program defines")
        return Distortion("fisheye", (k1, k2, k3, k4))
    if k4:
        raise ValueError(
            f"{where} has k4 = {k4:g} for a perspective lens, which programs read differently; undistort first"
        )
    lens = Distortion("opencv", (k1, k2, p1, p2, k3))
    return None if lens.is_zero else lens


def _number(entry: dict, key: str, where: str) -> float | None:
    value = entry.get(key)
    if value is None:
        return None
    if not _is_number(value):
        raise ValueError(f"{where}: {key} must be a finite number, got {str(value)[:50]!r}")
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e100  # NaN fails as well


def _pixels(entry: dict, key: str, default: int, where: str) -> int:
    """A width or height, which some files write as 1080.0."""
    value = _number(entry, key, where)
    if value is None:
        return default
    if value < 1 or value != round(value):
        raise ValueError(f"{where}: {key} must be a whole number of pixels, got {value:g}")
    return round(value)
