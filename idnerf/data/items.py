"""What the loaders give: V source views followed by the target, and what all data sets need to make it.

Cameras: `extrinsics` are world-to-camera (OpenCV axes), `intrinsics` in pixels of the resized picture.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from common.io.images import open_rgb

Size = tuple[int, int]


class Item(TypedDict, total=False):
    """One target with its sources; V1 views, the target last. A batch is the same with a leading axis.

    Attributes:
        images: RGB in [0, 1].
        extrinsics: World to camera.
        intrinsics: In pixels of `images`.
        near_fars: Depth bounds of each view, scene units.
        view_ids: As the data set numbers its views.
        scene: Name.
        img_wh: Width and height of `images`.
        img_paths: Where the pictures are (DTU).
        depth: Of the target, scene units, 0 where unknown; DTU outside training, where the file is there. It has the
            size of the pictures on disk (640 x 512 in the real data set), whatever `img_wh` is.
        c2ws_all: Camera to world of all training views of the scene (LLFF, COLMAP).
    """

    images: Float[np.ndarray, "V1 3 H W"]
    extrinsics: Float[np.ndarray, "V1 4 4"]
    intrinsics: Float[np.ndarray, "V1 3 3"]
    near_fars: Float[np.ndarray, "V1 2"]
    view_ids: Int[np.ndarray, " V1"]
    scene: str
    img_wh: Int[np.ndarray, "2"]
    img_paths: list[str]
    depth: Float[np.ndarray, "h w"]
    c2ws_all: Float[np.ndarray, "N 4 4"]


def load_images(paths: Sequence[Path], size: Size, resampling: Image.Resampling) -> Float[np.ndarray, "V1 3 H W"]:
    """Pictures in [0, 1], resized by Pillow to (width, height).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a complete picture.
    """
    resized = [np.asarray(open_rgb(path).resize(size, resampling)) for path in paths]
    return np.stack(resized).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)


def nearest_first(
    centers: Mapping[int, Float[np.ndarray, "3"]], target: int, candidates: Sequence[int]
) -> tuple[int, ...]:
    """Candidates by the L1 distance of their camera centres from the target's; ties keep their order (spec 3.1)."""
    return tuple(sorted(candidates, key=lambda view: float(np.abs(centers[view] - centers[target]).sum())))


def check_enough(candidates: Sequence[int], count: int, what: str) -> None:
    """Raise a ValueError where a target has fewer candidates than sources are asked for."""
    if len(candidates) < count:
        raise ValueError(
            f"{what} has {len(candidates)} views to choose sources from, {count} are needed; lower n_src_views"
        )
