"""Checks that every reader makes before it returns a scene.

In this order: the files exist, they are what they claim to be, counts agree, numbers are finite, the geometry is
plausible. A check that fails raises a ValueError that names file and line. What is unusual but legal becomes one of
`Scene.notes`.
"""

import dataclasses
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.datasets.scene import Scene, View

ROTATION_TOLERANCE = 1e-3
LARGEST_OFFSET = 2.0  # of the principal point from the image centre, in image sizes
UNUSUAL_OFFSET = 0.25
LARGEST_DEPTH_RATIO = 1e7

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """Where the numbers of one view were read, as `file:line`, for error messages."""

    world_to_cam: str
    intrinsics: str
    near_far: str


def inside(folder: str | Path, name: str, where: str | Path) -> Path:
    """The path of a file that another file names, refused where the name leads out of the data folder.

    The test is on the name alone: a link that the user has put into the data folder is followed.

    Args:
        folder: The data folder.
        name: What the file says, relative to the folder.
        where: The file (and line) that says it.

    Raises:
        ValueError: The name is empty, absolute, contains a zero byte or climbs out of the folder.
    """
    parts = re.split(r"[/\\]", name)
    level = lowest = 0
    for part in parts:
        level += -1 if part == ".." else 0 if part in ("", ".") else 1
        lowest = min(lowest, level)
    absolute = parts[0] == "" or re.fullmatch(r"[A-Za-z]:", parts[0])
    if absolute or lowest < 0 or level == 0 or "\0" in name or max(map(len, parts)) > 255:
        raise ValueError(f"{where} names the file '{name[:100]}', which is not inside {folder}; correct the name")
    return Path(folder) / name


def check_view(view: View, origin: Origin | str) -> None:
    """Refuse a view whose camera cannot be that of a photograph.

    Args:
        view: The view, as read.
        origin: Where its numbers come from.

    Raises:
        ValueError: See the sentences in this file.
    """
    if isinstance(origin, str):
        origin = Origin(origin, origin, origin)
    check_world_to_cam(view.world_to_cam, origin.world_to_cam)
    check_intrinsics(view.intrinsics, view.image.size if view.image else None, origin.intrinsics)
    if view.near_far is not None:
        check_near_far(view.near_far, origin.near_far)


def check_world_to_cam(world_to_cam: Float[np.ndarray, "4 4"], where: str) -> None:
    """Refuse what is not a rotation and a translation."""
    if not np.isfinite(world_to_cam).all():
        raise ValueError(f"{where} has a pose with numbers that are not finite")
    if not np.allclose(world_to_cam[3], [0, 0, 0, 1], atol=1e-6):
        raise ValueError(f"{where} has a pose whose last row is {world_to_cam[3].tolist()}; expected 0 0 0 1")
    rotation = world_to_cam[:3, :3]
    with np.errstate(over="ignore", invalid="ignore"):  # hostile numbers may be finite and still overflow
        error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if not error <= ROTATION_TOLERANCE:
        raise ValueError(f"{where} has a pose whose rotation is not orthonormal: its rows are off by {error:.3g}")
    if np.linalg.det(rotation) < 0:
        raise ValueError(f"{where} has a pose with determinant -1; two axes are exchanged or one is mirrored")


def check_intrinsics(intrinsics: Float[np.ndarray, "3 3"], size: tuple[int, int] | None, where: str) -> None:
    """Refuse what is not a pinhole camera of a picture of this (width, height)."""
    if not np.isfinite(intrinsics).all():
        raise ValueError(f"{where} has intrinsics with numbers that are not finite")
    focal = (intrinsics[0, 0], intrinsics[1, 1])
    if min(focal) <= 0:
        raise ValueError(f"{where} has focal lengths {focal[0]:g} and {focal[1]:g}; they must be positive")
    if np.abs(intrinsics[[1, 2, 2], [0, 0, 1]]).max() > 1e-6 or abs(intrinsics[2, 2] - 1) > 1e-6:
        raise ValueError(f"{where} has intrinsics that are not upper triangular with a 1 at the end")
    if size is not None and max(_offset(intrinsics, size)) > LARGEST_OFFSET:
        raise ValueError(
            f"{where} has its principal point at {intrinsics[0, 2]:g}, {intrinsics[1, 2]:g}, far outside the picture of"
            f" {size[0]} x {size[1]}; the intrinsics belong to pictures of another size"
        )


def check_near_far(near_far: tuple[float, float], where: str) -> None:
    """Refuse depth bounds that are not positive, not ordered or absurdly far apart."""
    near, far = near_far
    if not (np.isfinite(near) and np.isfinite(far) and 0 < near < far):
        raise ValueError(f"{where} has depth bounds {near:g} and {far:g}; expected 0 < near < far")
    if far > LARGEST_DEPTH_RATIO * near:
        raise ValueError(f"{where} has depth bounds {near:g} and {far:g}, too far apart to be those of a scene")


def check_points_in_front(points: Float[np.ndarray, "P 3"], view: View, where: str) -> None:
    """Refuse a camera that has every one of these world points behind it (the sign of an axis is wrong)."""
    depth = points @ view.world_to_cam[2, :3] + view.world_to_cam[2, 3]
    if len(points) and not (depth > 0).any():
        raise ValueError(f"{where} has a pose with every point of the scene behind the camera")


def checked_scene(scene: Scene, where: str | Path) -> Scene:
    """The scene with notes on what is unusual, after checks that concern all of its views; the notes are logged.

    Args:
        scene: Its views have passed `check_view`.
        where: The folder or file that it comes from.

    Raises:
        ValueError: No views, two views of one name, or an index into the views that is out of range.
    """
    if not scene.views:
        raise ValueError(f"{where} has no posed view")
    names = [view.name for view in scene.views]
    if len(set(names)) < len(names):
        raise ValueError(f"{where} has two views called '{max(names, key=names.count)}'")
    listed = [*scene.pairs, *(i for ids in (*scene.pairs.values(), *scene.splits.values()) for i in ids)]
    if listed and not 0 <= min(listed) <= max(listed) < len(names):
        raise ValueError(f"{where} lists view {max(listed)}, but the scene has {len(names)} views, counted from 0")
    off = [v.name for v in scene.views if v.image and max(_offset(v.intrinsics, v.image.size)) > UNUSUAL_OFFSET]
    if off:
        note = (
            f"{len(off)} of {len(names)} views ({off[0]}, ...) have a principal point more than 25 % off the centre;"
            " check that the intrinsics belong to pictures of this size"
        )
        scene = dataclasses.replace(scene, notes=(*scene.notes, note))
    for note in scene.notes:
        logger.warning("%s: %s", where, note)
    return scene


def _offset(intrinsics: Float[np.ndarray, "3 3"], size: tuple[int, int]) -> tuple[float, float]:
    """Distance of the principal point from the image centre, in image sizes."""
    return abs(intrinsics[0, 2] / size[0] - 0.5), abs(intrinsics[1, 2] / size[1] - 0.5)
