"""Where cameras stand: one function per rig returns world_to_cam matrices (OpenCV axes; z is up; millimetres)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Float

from common.synthetic.surroundings import Kind

# Rows of the DTU robot's path on its sphere: elevation, first azimuth and step in degrees, number of views.
DTU_ROWS = (
    (65.2, -52.4, 29.65, 5),
    (54.2, 63.1, -20.4, 6),
    (43.1, -59.9, 16.03, 8),
    (31.8, 59.0, -13.64, 9),
    (20.4, -62.0, 12.31, 10),
    (9.0, 57.6, -11.62, 11),
)
DTU_DISTANCE = 608.5
DTU_NEAR_FAR = (425.0, 905.0)
FOCUS_HEIGHT = 45.0


@dataclass(frozen=True)
class Rig:
    """A way to photograph a scene.

    Attributes:
        poses: From (generator, number of views or None) to matrices; a rig that is the same for every scene ignores the
            generator.
        lens: Intrinsics from the (width, height) of the pictures, centre-origin.
        near_far: Depth bounds in scene units; None where they follow from the depth that is seen.
        surroundings: What stands around the things; see `surroundings.py`.
        reach: Radius of the disk on which things stand, millimetres.
        height: Of the ground, millimetres.
        scale: Scene units per millimetre.
        shows: "things" on a ground, or a "town" of large triangles; see `town.py`.
        same_scenes_as: Another rig by name, for which scenes are built, lit and exposed; None for this one.
    """

    poses: Callable[[np.random.Generator, int | None], Float[np.ndarray, "V 4 4"]]
    lens: Callable[[tuple[int, int]], Float[np.ndarray, "3 3"]]
    near_far: tuple[float, float] | None
    surroundings: Kind = "backdrop"
    reach: float = 118.0
    height: float = 0.0
    scale: float = 1.0
    shows: Literal["things", "town"] = "things"
    same_scenes_as: str | None = None

    @property
    def lift(self) -> Float[np.ndarray, "3"]:
        """Shift of everything that puts the ground at its height."""
        return np.array([0.0, 0.0, self.height])


def look_at(
    center: Float[np.ndarray, "3"], point: Float[np.ndarray, "3"], up: tuple[float, float, float] = (0.0, 0.0, 1.0)
) -> Float[np.ndarray, "4 4"]:
    """world_to_cam of a camera at `center` that looks at `point` with `up` upwards in the picture."""
    forward = (point - center) / np.linalg.norm(point - center)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    world_to_cam = np.eye(4)
    world_to_cam[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    world_to_cam[:3, 3] = -world_to_cam[:3, :3] @ center
    return world_to_cam


def on_sphere(
    azimuth: float, elevation: float, distance: float, focus: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "3"]:
    """A point around `focus`; azimuth 0 lies towards -y, positive to the right (+x); radians."""
    flat = np.cos(elevation) * distance
    return focus + np.array([np.sin(azimuth) * flat, -np.cos(azimuth) * flat, np.sin(elevation) * distance])


def dtu_poses(rng: np.random.Generator, num_views: int | None) -> Float[np.ndarray, "V 4 4"]:
    """The 49 positions of the DTU robot, the same for every scene; `num_views` keeps the first ones."""
    del rng
    focus = np.array([0.0, 0.0, FOCUS_HEIGHT])
    angles = [(first + step * k, elevation) for elevation, first, step, count in DTU_ROWS for k in range(count)]
    if num_views is not None and not 1 <= num_views <= len(angles):
        raise ValueError(f"the dtu rig has 1 to {len(angles)} views, not {num_views}")
    radians = np.deg2rad(angles[:num_views])
    return np.stack(
        [look_at(on_sphere(azimuth, elevation, DTU_DISTANCE, focus), focus) for azimuth, elevation in radians]
    )


def forward_poses(rng: np.random.Generator, num_views: int | None) -> Float[np.ndarray, "V 4 4"]:
    """A hand-held camera moved over a rough grid in front of the scene, looking ahead (LLFF)."""
    count = _count(24, num_views)
    columns = int(np.ceil(np.sqrt(count * 1.5)))
    rows = int(np.ceil(count / columns))
    base = on_sphere(
        rng.uniform(-0.25, 0.25), np.deg2rad(rng.uniform(22, 34)), 500.0, np.array([0.0, 0.0, FOCUS_HEIGHT])
    )
    middle = look_at(base, np.array([0.0, 0.0, FOCUS_HEIGHT]))
    right, down = middle[0, :3], middle[1, :3]
    poses = []
    for index in range(count):
        row, column = divmod(index, columns)
        column = column if row % 2 == 0 else columns - 1 - column
        x, y = (column / max(columns - 1, 1) - 0.5) * 260, (row / max(rows - 1, 1) - 0.5) * 160
        center = (
            base + (x + rng.normal() * 6) * right + (y + rng.normal() * 6) * down + rng.normal() * 6 * middle[2, :3]
        )
        aim = np.array([0.0, 0.0, FOCUS_HEIGHT]) + rng.normal(size=3) * 9 + 0.12 * x * right
        tilt = rng.normal() * 0.012
        poses.append(look_at(center, aim, (np.sin(tilt), 0.0, np.cos(tilt))))
    return np.stack(poses)


def hemisphere_poses(rng: np.random.Generator, num_views: int | None) -> Float[np.ndarray, "V 4 4"]:
    """Random directions over the upper half of a sphere, all looking at its centre (NeRF Synthetic)."""
    poses = []
    for _ in range(_count(100, num_views)):
        elevation = np.arcsin(rng.uniform(0.05, 0.97))
        poses.append(look_at(on_sphere(rng.uniform(-np.pi, np.pi), elevation, 403.1, np.zeros(3)), np.zeros(3)))
    return np.stack(poses)


def orbit_poses(rng: np.random.Generator, num_views: int | None) -> Float[np.ndarray, "V 4 4"]:
    """Two uneven circles around an object, at two heights (BlendedMVS, photogrammetry)."""
    count = _count(40, num_views)
    poses = []
    for index in range(count):
        upper = index >= (count + 1) // 2
        azimuth = 2 * np.pi * index / max((count + 1) // 2, 1) + rng.normal() * 0.04
        elevation = np.deg2rad((48 if upper else 24) + rng.normal() * 3)
        focus = np.array([0.0, 0.0, FOCUS_HEIGHT]) + rng.normal(size=3) * 6
        poses.append(look_at(on_sphere(azimuth, elevation, 520 + rng.normal() * 18, focus), focus))
    return np.stack(poses)


def flight_poses(rng: np.random.Generator, num_views: int | None) -> Float[np.ndarray, "V 4 4"]:
    """Three circles around a model town, as a drone flies them: low and near, middle, high and far."""
    count = _count(60, num_views)
    poses = []
    for index in range(count):
        circle, step = index * 3 // count, 3 / count
        azimuth = 2 * np.pi * (index * step + circle / 3) + rng.normal() * 0.03
        elevation, distance = ((17, 490), (33, 520), (54, 550))[circle]
        focus = np.array([0.0, 0.0, 38.0]) + rng.normal(size=3) * [14.0, 14.0, 6.0]
        center = on_sphere(azimuth, np.deg2rad(elevation + rng.normal() * 2), distance + rng.normal() * 20, focus)
        poses.append(look_at(center, focus))
    return np.stack(poses)


def _count(usual: int, wanted: int | None) -> int:
    if wanted is not None and wanted < 1:
        raise ValueError(f"a scene needs at least one view, not {wanted}")
    return usual if wanted is None else wanted


_DTU_TRAINING_INTRINSICS = np.array([[1446.165, 0.0, 331.603], [0.0, 1441.588, 265.535], [0.0, 0.0, 1.0]])


def centered_lens(size: tuple[int, int], focal: float) -> Float[np.ndarray, "3 3"]:
    """A focal length of `focal` image widths and the principal point in the middle of the picture."""
    width, height = size
    return np.array([[focal * width, 0.0, (width - 1) / 2], [0.0, focal * width, (height - 1) / 2], [0.0, 0.0, 1.0]])


def dtu_lens(size: tuple[int, int]) -> Float[np.ndarray, "3 3"]:
    """DTU's intrinsics of the 640 x 512 training pictures, scaled to the width as the papers scale them."""
    return np.diag([size[0] / 640, size[0] / 640, 1.0]) @ _DTU_TRAINING_INTRINSICS


def dtu_full_lens(size: tuple[int, int]) -> Float[np.ndarray, "3 3"]:
    """DTU's intrinsics of the full-size pictures (1600 x 1200), scaled to the width."""
    full_from_training = np.array([[2.0, 0.0, 160.0], [0.0, 2.0, 88.0], [0.0, 0.0, 1.0]])
    return np.diag([size[0] / 1600, size[0] / 1600, 1.0]) @ full_from_training @ _DTU_TRAINING_INTRINSICS


RIGS: dict[str, Rig] = {
    "dtu": Rig(dtu_poses, dtu_lens, DTU_NEAR_FAR),
    "dtu_full": Rig(dtu_poses, dtu_full_lens, DTU_NEAR_FAR, same_scenes_as="dtu"),
    "forward": Rig(forward_poses, partial(centered_lens, focal=0.95), None, "room", reach=200.0, scale=0.01),
    "hemisphere": Rig(
        hemisphere_poses, partial(centered_lens, focal=1111.111 / 800), (2.5, 5.5), "plate", 92.0, -40.0, 0.01
    ),
    "orbit": Rig(orbit_poses, partial(centered_lens, focal=1.15), None, "table", reach=125.0, scale=0.01),
    "town": Rig(flight_poses, partial(centered_lens, focal=1.15), None, "plate", scale=0.01, shows="town"),
}
