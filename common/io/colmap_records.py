"""What a COLMAP sparse model holds, and its camera models.

Image and camera ids are arbitrary numbers: not positions, not in the order of names, with gaps. Everything is a map
by id. Pixels are corner-origin (the centre of the top-left pixel is (0.5, 0.5)). Poses are `x_cam = R(q) x_world +
t`, OpenCV axes.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.spatial.transform import Rotation

from common.datasets.scene import Distortion

# Model id -> (name, parameter names); the order of the parameters is that of the files.
CAMERA_MODELS = {
    0: ("SIMPLE_PINHOLE", "f cx cy"),
    1: ("PINHOLE", "fx fy cx cy"),
    2: ("SIMPLE_RADIAL", "f cx cy k1"),
    3: ("RADIAL", "f cx cy k1 k2"),
    4: ("OPENCV", "fx fy cx cy k1 k2 p1 p2"),
    5: ("OPENCV_FISHEYE", "fx fy cx cy k1 k2 k3 k4"),
    6: ("FULL_OPENCV", "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6"),
    7: ("FOV", "fx fy cx cy omega"),
    8: ("SIMPLE_RADIAL_FISHEYE", "f cx cy k1"),
    9: ("RADIAL_FISHEYE", "f cx cy k1 k2"),
    10: ("THIN_PRISM_FISHEYE", "fx fy cx cy k1 k2 p1 p2 k3 k4 sx1 sy1"),
}
# Known by name only: their lens formulas are not implemented here.
REFUSED_MODELS = {
    11: "RAD_TAN_THIN_PRISM_FISHEYE",
    12: "SIMPLE_DIVISION",
    13: "DIVISION",
    14: "SIMPLE_FISHEYE",
    15: "FISHEYE",
    16: "EUCM",
    17: "EQUIRECTANGULAR",
}
MODEL_IDS = {name: number for number, (name, _) in CAMERA_MODELS.items()}


@dataclass(frozen=True)
class ColmapCamera:
    """One lens: the name of its model, the image size and the parameters in the order of `CAMERA_MODELS`."""

    model: str
    width: int
    height: int
    params: tuple[float, ...]


@dataclass(frozen=True)
class ColmapImage:
    """One registered photograph.

    Attributes:
        name: File name below the image folder; may contain folders and blanks.
        camera_id: Key into `ColmapModel.cameras`.
        quaternion: (w, x, y, z), world to camera.
        translation: World to camera.
        keypoints: Pixels, corner-origin.
        point_ids: The 3D point of each keypoint, -1 for none.
    """

    name: str
    camera_id: int
    quaternion: Float[np.ndarray, "4"]
    translation: Float[np.ndarray, "3"]
    keypoints: Float[np.ndarray, "N 2"]
    point_ids: Int[np.ndarray, " N"]


@dataclass(frozen=True)
class ColmapPoints:
    """The sparse points.

    Attributes:
        ids: Unique, arbitrary.
        xyz: World.
        rgb: 0 to 255.
        errors: Mean reprojection error in pixels.
        tracks: For every point the (image id, index of the keypoint in that image) pairs that see it.
    """

    ids: Int[np.ndarray, " P"]
    xyz: Float[np.ndarray, "P 3"]
    rgb: UInt8[np.ndarray, "P 3"]
    errors: Float[np.ndarray, " P"]
    tracks: tuple[Int[np.ndarray, "_ 2"], ...]


@dataclass(frozen=True)
class ColmapModel:
    """One sparse model: cameras and images by id, and points."""

    cameras: dict[int, ColmapCamera]
    images: dict[int, ColmapImage]
    points: ColmapPoints


def check_model(model: int | str) -> str:
    """Name of a camera model that we know, from its id or name.

    Raises:
        ValueError: A model that this project does not compute with.
    """
    number = model if isinstance(model, int) else MODEL_IDS.get(model)
    if number in CAMERA_MODELS:
        return CAMERA_MODELS[number][0]
    name = REFUSED_MODELS.get(model, str(model)) if isinstance(model, int) else model
    raise ValueError(
        f"camera model {name} is not supported; undistort the images with `colmap image_undistorter` first"
    )


def intrinsics_and_lens(camera: ColmapCamera) -> tuple[Float[np.ndarray, "3 3"], Distortion | None]:
    """Corner-origin intrinsics and the lens; None for the two pinhole models."""
    names = CAMERA_MODELS[MODEL_IDS[camera.model]][1].split()
    values = dict(zip(names, camera.params, strict=True))
    fx, fy = values.get("fx", values.get("f")), values.get("fy", values.get("f"))
    intrinsics = np.array([[fx, 0.0, values["cx"]], [0.0, fy, values["cy"]], [0.0, 0.0, 1.0]])
    if camera.model in ("SIMPLE_PINHOLE", "PINHOLE"):
        return intrinsics, None
    if camera.model == "FOV":
        return intrinsics, Distortion("fov", (values["omega"],))
    if camera.model == "THIN_PRISM_FISHEYE":
        return intrinsics, Distortion("thin_prism_fisheye", camera.params[4:])
    fisheye = "FISHEYE" in camera.model
    order = ("k1", "k2", "k3", "k4") if fisheye else ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
    return intrinsics, Distortion("fisheye" if fisheye else "opencv", tuple(values.get(name, 0.0) for name in order))


def world_to_cam_of(image: ColmapImage) -> Float[np.ndarray, "4 4"]:
    """The pose of an image; its quaternion is brought to unit length."""
    w, x, y, z = image.quaternion
    world_to_cam = np.eye(4)
    world_to_cam[:3, :3] = Rotation.from_quat([x, y, z, w]).as_matrix()
    world_to_cam[:3, 3] = image.translation
    return world_to_cam


def quaternion_of(rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "4"]:
    """(w, x, y, z) of a rotation matrix, w >= 0."""
    x, y, z, w = Rotation.from_matrix(rotation).as_quat()
    return np.array([w, x, y, z]) * (-1.0 if w < 0 else 1.0)


def no_points() -> ColmapPoints:
    """The points of a model that has none."""
    return ColmapPoints(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0), ())
