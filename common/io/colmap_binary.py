"""COLMAP's binary files: `cameras.bin`, `images.bin`, `points3D.bin`. Little-endian, no padding.

    cameras   u64 count; per camera: i32 id, i32 model, u64 width, u64 height, f64 parameters
    images    u64 count; per image: i32 id, 4 f64 quaternion, 3 f64 translation, i32 camera id, name, 0 byte,
              u64 n, n times (f64 x, f64 y, i64 point id or -1)
    points3D  u64 count; per point: u64 id, 3 f64 xyz, 3 u8 rgb, f64 error, u64 n, n times (i32 image id, i32 keypoint)

Counts are compared with the bytes that are left before anything is allocated.
"""

import struct
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
from common.io.data_files import check_data_file

KEYPOINT = np.dtype([("xy", "<f8", 2), ("point_id", "<i8")])
LARGEST_SIDE = 1 << 20


class _Cursor:
    """A position in the bytes of a file that never runs past their end."""

    def __init__(self, path: Path) -> None:
        check_data_file(path)
        self.path = path
        self.data = path.read_bytes()
        self.position = 0

    def take(self, layout: str) -> tuple:
        size = struct.calcsize(layout)
        self.check(size, "a record")
        values = struct.unpack_from(layout, self.data, self.position)
        self.position += size
        return values

    def array(self, dtype: np.dtype, count: int, what: str) -> np.ndarray:
        size = count * dtype.itemsize
        self.check(size, f"{count} {what}")
        values = np.frombuffer(self.data, dtype, count, self.position)
        self.position += size
        return values

    def name(self) -> str:
        end = self.data.find(b"\0", self.position)
        if end < 0:
            raise ValueError(
                f"{self.path} is truncated: an image name at byte {self.position} has no end; copy it again"
            )
        raw = self.data[self.position : end]
        self.position = end + 1
        try:
            return raw.decode("utf8")
        except UnicodeDecodeError:
            raise ValueError(f"{self.path}: the image name at byte {end - len(raw)} is not UTF-8") from None

    def count(self, smallest_record: int, what: str) -> int:
        (count,) = self.take("<Q")
        self.check(count * smallest_record, f"{count} {what}")
        return count

    def check(self, size: int, what: str) -> None:
        left = len(self.data) - self.position
        if size > left:
            raise ValueError(
                f"{self.path} is truncated or not a COLMAP file: {what} at byte {self.position} need {size} bytes,"
                f" {left} are left; copy it again"
            )


def read_cameras_bin(path: Path) -> dict[int, ColmapCamera]:
    """Cameras by id; raises ValueError for a damaged file or a camera model we do not know."""
    cursor = _Cursor(path)
    cameras = {}
    for _ in range(cursor.count(24, "cameras")):
        camera_id, number, width, height = cursor.take("<iiQQ")
        try:
            model = check_model(number)
        except ValueError as error:
            raise ValueError(f"{path}: camera {camera_id}: {error}") from None
        if max(width, height) > LARGEST_SIDE:
            raise ValueError(f"{path}: camera {camera_id} claims images of {width} x {height} pixels")
        params = cursor.take(f"<{len(CAMERA_MODELS[number][1].split())}d")
        cameras[camera_id] = ColmapCamera(model, width, height, params)
    return cameras


def read_images_bin(path: Path) -> dict[int, ColmapImage]:
    """Images by id, in the order of the file."""
    cursor = _Cursor(path)
    images = {}
    for _ in range(cursor.count(73, "images")):
        image_id, *pose, camera_id = cursor.take("<i7di")
        name = cursor.name()
        keypoints = cursor.array(KEYPOINT, cursor.count(KEYPOINT.itemsize, "keypoints"), "keypoints")
        images[image_id] = ColmapImage(
            name=name,
            camera_id=camera_id,
            quaternion=np.array(pose[:4]),
            translation=np.array(pose[4:]),
            keypoints=keypoints["xy"].astype(np.float64),
            point_ids=keypoints["point_id"].astype(np.int64),
        )
    return images


def read_points_bin(path: Path) -> ColmapPoints:
    """Points in the order of the file."""
    cursor = _Cursor(path)
    count = cursor.count(51, "points")
    ids, errors = np.zeros(count, np.int64), np.zeros(count)
    xyz, rgb = np.zeros((count, 3)), np.zeros((count, 3), np.uint8)
    tracks = []
    pair = np.dtype(("<i4", 2))
    for index in range(count):
        ids[index], *xyz[index], rgb[index, 0], rgb[index, 1], rgb[index, 2], errors[index] = cursor.take("<q3d3Bd")
        tracks.append(cursor.array(pair, cursor.count(8, "track elements"), "track elements").astype(np.int64))
    return ColmapPoints(ids, xyz, rgb, errors, tuple(tracks))


def write_cameras_bin(path: Path, cameras: dict[int, ColmapCamera]) -> None:
    """Write `cameras.bin`."""
    parts = [struct.pack("<Q", len(cameras))]
    for camera_id, camera in cameras.items():
        parts.append(struct.pack("<iiQQ", camera_id, MODEL_IDS[camera.model], camera.width, camera.height))
        parts.append(struct.pack(f"<{len(camera.params)}d", *camera.params))
    _write(path, parts)


def write_images_bin(path: Path, images: dict[int, ColmapImage]) -> None:
    """Write `images.bin`."""
    parts = [struct.pack("<Q", len(images))]
    for image_id, image in images.items():
        keypoints = np.zeros(len(image.point_ids), KEYPOINT)
        keypoints["xy"], keypoints["point_id"] = image.keypoints, image.point_ids
        parts.append(struct.pack("<i7di", image_id, *image.quaternion, *image.translation, image.camera_id))
        parts += [image.name.encode("utf8"), b"\0", struct.pack("<Q", len(keypoints)), keypoints.tobytes()]
    _write(path, parts)


def write_points_bin(path: Path, points: ColmapPoints) -> None:
    """Write `points3D.bin`."""
    parts = [struct.pack("<Q", len(points.ids))]
    for index, track in enumerate(points.tracks):
        parts.append(struct.pack("<q3d", points.ids[index], *points.xyz[index]))
        parts.append(struct.pack("<3BdQ", *points.rgb[index], points.errors[index], len(track)))
        parts.append(np.asarray(track, "<i4").tobytes())
    _write(path, parts)


def _write(path: Path, parts: list[bytes]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"".join(parts))
