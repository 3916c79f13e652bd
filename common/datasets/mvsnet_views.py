"""What all layouts with MVSNet's camera files share: a view from a camera file, and pairs by view id."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.datasets.scene import DepthFile, ImageFile, MaskFile, View
from common.datasets.validation import Origin, check_view
from common.io.images import read_image_size
from common.io.mvsnet_camera import read_mvsnet_camera
from common.io.pair_file import read_pair_file


def read_view(
    camera: Path,
    image: Path,
    *,
    name: str | None = None,
    intrinsics_factor: float = 1.0,
    num_intervals: float | None = None,
    depth: DepthFile | None = None,
    mask: MaskFile | None = None,
) -> View:
    """A checked view from its camera file; it has no picture where the image file does not exist.

    Args:
        camera: The camera file.
        image: The picture.
        name: Of the view; None takes the picture's name without extension.
        intrinsics_factor: Size of the picture divided by the size that the camera file is made for.
        num_intervals: Rule for the far depth, see `MvsnetCamera.near_far`.
        depth: Goes with the picture; left out where the file does not exist.
        mask: Likewise.

    Raises:
        FileNotFoundError: There is no camera file.
        ValueError: The camera or the picture is broken.
    """
    stored = read_mvsnet_camera(camera)
    view = View(
        name=name or image.stem,
        image=ImageFile(image, read_image_size(image)) if image.is_file() else None,
        intrinsics=np.diag([intrinsics_factor, intrinsics_factor, 1.0]) @ stored.intrinsics,
        world_to_cam=stored.world_to_cam,
        near_far=stored.near_far(num_intervals),
        depth=depth if depth and depth.path.is_file() else None,
        mask=mask if mask and mask.path.is_file() else None,
    )
    check_view(view, Origin(*(f"{camera}:{line}" for line in stored.lines)))
    return view


def read_pairs(path: Path, numbers: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """Source view ids of every view, best first, or nothing where there is no pair file.

    Args:
        path: The pair file.
        numbers: What the pair file calls each view, in view-id order. It may speak of more views; they are left out.

    Raises:
        ValueError: The file is broken or does not speak of every view.
    """
    if not path.is_file():
        return {}
    stored = read_pair_file(path)
    missing = [number for number in numbers if number not in stored]
    if missing:
        raise ValueError(
            f"{path} has no entry for {len(missing)} of {len(numbers)} views, first {missing[0]}; take a complete copy,"
            " or remove the file to choose sources by distance"
        )
    ids = {number: view_id for view_id, number in enumerate(numbers)}
    return {ids[n]: tuple(ids[source] for source, _ in stored[n] if source in ids) for n in numbers}


def camera_numbers(folder: Path) -> list[int]:
    """The numbers N of the files `%08d_cam.txt` in a folder, ascending.

    Raises:
        FileNotFoundError: There is no such folder, or no such file in it.
    """
    stems = [path.name.removesuffix("_cam.txt") for path in folder.glob("*_cam.txt")]
    numbers = sorted(int(stem) for stem in stems if len(stem) == 8 and stem.isascii() and stem.isdigit())
    if not numbers:
        raise FileNotFoundError(f"no camera files like {folder / '00000000_cam.txt'}")
    return numbers
