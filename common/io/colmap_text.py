"""COLMAP's text files: `cameras.txt`, `images.txt`, `points3D.txt`.

    cameras   ID MODEL WIDTH HEIGHT PARAMS...
    images    ID QW QX QY QZ TX TY TZ CAMERA_ID NAME      the name is the rest of the line and may contain blanks
              X Y POINT_ID, X Y POINT_ID, ...             the second line of every image, empty where it has no points
    points3D  ID X Y Z R G B ERROR (IMAGE_ID KEYPOINT)...

`#` starts a comment line. Floats are written with all their digits, so that text and binary files convert without loss.
"""

from pathlib import Path

import numpy as np

from common.io.atomic import atomic_path
from common.io.colmap_records import (
    CAMERA_MODELS,
    MODEL_IDS,
    ColmapCamera,
    ColmapImage,
    ColmapPoints,
    check_model,
)
from common.io.data_files import read_text


def read_cameras_txt(path: Path) -> dict[int, ColmapCamera]:
    """Cameras by id; raises ValueError with file and line for what is not one."""
    cameras = {}
    for number, line in _content(path):
        words = line.split()
        try:
            model = check_model(words[1])
            expected = len(CAMERA_MODELS[MODEL_IDS[model]][1].split())
            if len(words) != 4 + expected:
                raise ValueError(f"{model} takes {expected} parameters, got {len(words) - 4}")
            params = tuple(float(word) for word in words[4:])
            cameras[int(words[0])] = ColmapCamera(model, int(words[2]), int(words[3]), params)
        except (ValueError, IndexError) as error:
            raise ValueError(f"{path}:{number} is not a camera: {error}") from None
    return cameras


def read_images_txt(path: Path) -> dict[int, ColmapImage]:
    """Images by id, in the order of the file; raises ValueError with file and line for what is not one."""
    images = {}
    lines = read_text(path).split("\n")
    index = 0
    while index < len(lines):
        line = lines[index].strip()
        index += 1
        if not line or line.startswith("#"):
            continue
        try:
            image_id, image = _parse_image(line, lines[index] if index < len(lines) else "")
        except (ValueError, IndexError, OverflowError) as error:
            raise ValueError(f"{path}:{index} and the line after it are not an image: {error}") from None
        images[image_id] = image
        index += 1
    return images


def read_points_txt(path: Path) -> ColmapPoints:
    """Points in the order of the file; raises ValueError with file and line for what is not one."""
    ids, numbers, tracks = [], [], []
    for number, line in _content(path):
        words = line.split()
        try:
            ids.append(int(words[0]))
            numbers.append([float(word) for word in words[1:8]])
            tracks.append(np.array([int(word) for word in words[8:]], dtype=np.int64).reshape(-1, 2))
            if len(numbers[-1]) != 7 or not all(0 <= value <= 255 for value in numbers[-1][3:6]):
                raise ValueError("expected id, x y z, r g b, error and a track")
        except (ValueError, IndexError, OverflowError) as error:
            raise ValueError(f"{path}:{number} is not a point: {error}") from None
    values = np.array(numbers, dtype=np.float64).reshape(-1, 7)
    rgb = values[:, 3:6].astype(np.uint8)
    return ColmapPoints(np.array(ids, dtype=np.int64), values[:, :3], rgb, values[:, 6], tuple(tracks))


def write_cameras_txt(path: Path, cameras: dict[int, ColmapCamera]) -> None:
    """Write `cameras.txt`."""
    lines = ["# CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]"]
    for camera_id, camera in cameras.items():
        lines.append(f"{camera_id} {camera.model} {camera.width} {camera.height} {_join(camera.params)}")
    _write(path, lines)


def write_images_txt(path: Path, images: dict[int, ColmapImage]) -> None:
    """Write `images.txt`, two lines an image."""
    lines = ["# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then POINTS2D[] as X Y POINT3D_ID"]
    for image_id, image in images.items():
        pose = _join([*image.quaternion, *image.translation])
        lines.append(f"{image_id} {pose} {image.camera_id} {image.name}")
        rows = zip(image.keypoints.tolist(), image.point_ids.tolist(), strict=True)
        lines.append(" ".join(f"{_join(keypoint)} {point_id}" for keypoint, point_id in rows))
    _write(path, lines)


def write_points_txt(path: Path, points: ColmapPoints) -> None:
    """Write `points3D.txt`."""
    lines = ["# POINT3D_ID X Y Z R G B ERROR TRACK[] as IMAGE_ID POINT2D_IDX"]
    for index, track in enumerate(points.tracks):
        numbers = f"{points.ids[index]} {_join(points.xyz[index])} {_join_integers(points.rgb[index])}"
        lines.append(f"{numbers} {_join([points.errors[index]])} {_join_integers(np.ravel(track))}".rstrip())
    _write(path, lines)


def _parse_image(line: str, keypoint_line: str) -> tuple[int, ColmapImage]:
    words = line.split(maxsplit=9)
    if len(words) != 10:
        raise ValueError("expected id, quaternion, translation, camera id and name")
    pose = np.array([float(word) for word in words[1:8]])
    entries = keypoint_line.split()
    if len(entries) % 3:
        raise ValueError("keypoints come as x, y and point id; an image without points needs an empty second line")
    xy = np.array([float(word) for index, word in enumerate(entries) if index % 3 < 2]).reshape(-1, 2)
    point_ids = np.array([int(word) for word in entries[2::3]], dtype=np.int64)
    return int(words[0]), ColmapImage(words[9], int(words[8]), pose[:4], pose[4:], xy, point_ids)


def _content(path: Path) -> list[tuple[int, str]]:
    """Numbered lines that are neither blank nor comments."""
    lines = [(number, line.strip()) for number, line in enumerate(read_text(path).split("\n"), 1)]
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def _join(values) -> str:
    return " ".join(repr(float(value)) for value in values)


def _join_integers(values) -> str:
    return " ".join(str(int(value)) for value in values)


def _write(path: Path, lines: list[str]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf8")
