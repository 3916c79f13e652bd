"""Google Scanned Objects as rendered for IBRNet.

    <object>/rgb/%06d.png            512 x 512
    <object>/depth/%06d.png          16 bits, thousandths of the scene unit; invalid outside the mask
    <object>/mask/%06d.png           nonzero is the object
    <object>/pose/%06d.txt           16 numbers, cam_to_world, OpenCV axes
    <object>/intrinsics/%06d.txt     16 numbers, 4x4

The object fits into a unit cube around the origin, which gives the depth bounds. Intrinsics are the numbers in the
files: corner-origin (the lens is centred at half the width).
"""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.datasets.photographs import image_file
from common.datasets.scene import DepthFile, MaskFile, Scene, View
from common.datasets.validation import check_view, check_world_to_cam, checked_scene
from common.io.data_files import read_tokens

DEPTH_UNIT = 1e-3
OBJECT_RADIUS = 0.55 * math.sqrt(2.0)  # of the unit cube, with a margin; NeuRay's constant
NEAREST_FRACTION = 0.1  # of the distance to the origin


def read_google_scanned_objects(folder: str | Path) -> Scene:
    """The views of one object, by number; poses without a picture are views without image.

    Args:
        folder: The object's, with `rgb`, `pose` and `intrinsics`.

    Raises:
        FileNotFoundError: No pictures, or a picture without its pose or intrinsics.
        ValueError: A file is damaged; the sentence names it and the line.
    """
    folder = Path(folder)
    photographs = {path.stem for path in (folder / "rgb").glob("*.png") if path.stem.isdecimal()}
    if not photographs:
        raise FileNotFoundError(f"no pictures rgb/000000.png ... in {folder}")
    names = photographs | {path.stem for path in (folder / "pose").glob("*.txt") if path.stem.isdecimal()}
    views = [_read_view(folder, name) for name in sorted(names, key=int)]
    notes = ()
    if len(views) > len(photographs):
        notes = (f"{len(views) - len(photographs)} of {len(views)} poses have no picture; their views are poses only",)
    return checked_scene(Scene(folder.resolve().name, tuple(views), pixel_origin="corner", notes=notes), folder)


def object_depth_bounds(world_to_cam: Float[np.ndarray, "4 4"]) -> tuple[float, float]:
    """Depths between which an object in the unit cube around the origin lies, as NeuRay defines them."""
    distance = float(world_to_cam[2, 3])
    return max(distance - OBJECT_RADIUS, NEAREST_FRACTION * distance), distance + OBJECT_RADIUS


def _read_view(folder: Path, name: str) -> View:
    pose_path, intrinsics_path = (folder / kind / f"{name}.txt" for kind in ("pose", "intrinsics"))
    cam_to_world, intrinsics = _read_matrix(pose_path), _read_matrix(intrinsics_path)
    check_world_to_cam(cam_to_world, str(pose_path))
    rotation = cam_to_world[:3, :3].T
    world_to_cam = np.eye(4)
    world_to_cam[:3, :3], world_to_cam[:3, 3] = rotation, -rotation @ cam_to_world[:3, 3]
    photograph, depth, mask = (folder / kind / f"{name}.png" for kind in ("rgb", "depth", "mask"))
    view = View(
        name=name,
        image=image_file(photograph) if photograph.is_file() else None,
        intrinsics=intrinsics[:3, :3],
        world_to_cam=world_to_cam,
        near_far=object_depth_bounds(world_to_cam),
        depth=DepthFile(depth, "png16", unit=DEPTH_UNIT) if depth.is_file() else None,
        mask=MaskFile(mask) if mask.is_file() else None,
    )
    check_view(view, f"{pose_path} with {intrinsics_path}")
    return view


def _read_matrix(path: Path) -> Float[np.ndarray, "4 4"]:
    tokens = read_tokens(path)
    try:
        numbers = [float(word) for word, _ in tokens]
    except ValueError as error:
        raise ValueError(f"{path}:{tokens[0][1]} {error}; expected 16 numbers") from None
    if len(numbers) != 16:
        raise ValueError(f"{path}:1 has {len(numbers)} numbers, expected the 16 of a 4x4 matrix")
    return np.array(numbers).reshape(4, 4)
