"""NeRF Synthetic (Blender).

    <scene>/transforms_{train,val,test}.json
    <scene>/train/r_<i>.png ...                 RGBA, colour not premultiplied

A json holds `camera_angle_x` (radians, f = W / (2 tan(angle / 2))) and `frames` with `file_path` (no extension) and
`transform_matrix`: cam_to_world with OpenGL axes, x right, y up, z backward. The principal point is W/2, H/2:
corner-origin numbers. View indices of the field's splits count the frames of one json in the file's order; depth and
normal pictures beside the frames are never looked at.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.datasets.scene import ImageFile, Scene, View
from common.datasets.validation import check_view, checked_scene, inside
from common.io.data_files import read_json
from common.io.images import read_image_header

SPLITS = ("train", "val", "test")
OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])


def read_nerf_synthetic(
    folder: str | Path,
    splits: Sequence[str] = SPLITS,
    *,
    background: float = 1.0,
    near_far: tuple[float, float] = (2.0, 6.0),
) -> Scene:
    """One scene; views are the frames of the chosen splits one after the other, each in its file's order.

    A frame without picture keeps its place as a view without image, so that indices keep their meaning. Views are
    called `train-r_0`, the path in the file with dashes.

    Args:
        folder: The one that holds `transforms_train.json`.
        splits: Which json files to read, of train, val and test.
        background: Colour in [0, 1] behind the object.
        near_far: Depth bounds; the files hold none.

    Raises:
        FileNotFoundError: A json file is missing, or none of its pictures is there.
        ValueError: A json file or a pose is broken, or names a file outside the folder.
    """
    folder = Path(folder)
    views, split_ids, notes = [], {}, []
    for split in splits:
        if split not in SPLITS:
            raise ValueError(f"NeRF Synthetic has the splits train, val and test, not '{split}'")
        found = _read_split(folder, folder / f"transforms_{split}.json", background, near_far, notes)
        split_ids[split] = tuple(range(len(views), len(views) + len(found)))
        views += found
    return checked_scene(Scene(folder.name, tuple(views), split_ids, pixel_origin="corner", notes=tuple(notes)), folder)


def opengl_to_world_to_cam(cam_to_world: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "4 4"]:
    """OpenCV world_to_cam from an OpenGL cam_to_world: its columns 1 and 2 change sign, then it is inverted."""
    opencv = cam_to_world @ OPENGL_TO_OPENCV
    world_to_cam = np.eye(4)
    world_to_cam[:3, :3] = opencv[:3, :3].T
    world_to_cam[:3, 3] = -opencv[:3, :3].T @ opencv[:3, 3]
    return world_to_cam


def _read_split(
    folder: Path, path: Path, background: float, near_far: tuple[float, float], notes: list[str]
) -> list[View]:
    content = read_json(path)
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not frames:
        raise ValueError(f"{path} has no list 'frames'; expected a transforms file of NeRF Synthetic")
    angle = content.get("camera_angle_x")
    if not isinstance(angle, int | float) or not 0 < angle < math.pi:
        raise ValueError(f"{path} has camera_angle_x {angle}; expected an angle in radians between 0 and pi")
    wheres = [f"{path} frame {number}" for number in range(len(frames))]
    paths = [_image_path(folder, frame, where) for frame, where in zip(frames, wheres, strict=True)]
    headers = [read_image_header(image) if image.is_file() else None for image in paths]
    first = next((header for header in headers if header), None)
    if first is None:
        raise FileNotFoundError(f"{path} lists {len(frames)} pictures and none exists; the first is {paths[0]}")
    notes += _split_notes(path, headers)

    views = []
    for frame, where, image_path, header in zip(frames, wheres, paths, headers, strict=True):
        size = (header or first).width, (header or first).height
        image = ImageFile(image_path, size, background if header.has_alpha else None) if header else None
        focal = 0.5 * size[0] / math.tan(0.5 * angle)
        intrinsics = np.array([[focal, 0.0, size[0] / 2], [0.0, focal, size[1] / 2], [0.0, 0.0, 1.0]])
        name = "-".join(image_path.relative_to(folder).with_suffix("").parts)
        view = View(name, image, intrinsics, opengl_to_world_to_cam(_pose(frame, where)), near_far)
        check_view(view, where)
        views.append(view)
    return views


def _split_notes(path: Path, headers: list) -> list[str]:
    notes = []
    missing = sum(header is None for header in headers)
    if missing:
        notes.append(
            f"{missing} of the {len(headers)} pictures in {path.name} do not exist; their views are poses only"
        )
    opaque = sum(header is not None and not header.has_alpha for header in headers)
    if opaque:
        notes.append(f"{opaque} pictures in {path.name} have no alpha channel; they are taken as opaque")
    return notes


def _image_path(folder: Path, frame: object, where: str) -> Path:
    name = frame.get("file_path") if isinstance(frame, dict) else None
    if not isinstance(name, str):
        raise ValueError(f"{where} has no file_path")
    path = inside(folder, name, where)
    # Names come without extension; some copies write it out. `r_0.1` is a name, not one with the extension `.1`.
    return path if path.suffix.lower() in (".png", ".jpg", ".jpeg") else path.with_name(f"{path.name}.png")


def _pose(frame: dict, where: str) -> Float[np.ndarray, "4 4"]:
    try:
        pose = np.array(frame.get("transform_matrix"), dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        pose = np.zeros(0)
    if pose.shape not in ((4, 4), (3, 4)):
        raise ValueError(f"{where} has no transform_matrix of 4 x 4 numbers")
    return pose if len(pose) == 4 else np.vstack([pose, [0.0, 0.0, 0.0, 1.0]])
