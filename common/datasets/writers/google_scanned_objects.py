"""Writes Google Scanned Objects as rendered for IBRNet; see `common/datasets/google_scanned_objects.py`."""

from pathlib import Path

import numpy as np

from common.datasets.google_scanned_objects import DEPTH_UNIT
from common.datasets.rendered_scene import RenderedScene
from common.datasets.writers.units import moved_scene, object_points, similarity
from common.io.atomic import atomic_path
from common.io.depth_maps import write_depth_png
from common.io.images import write_image
from common.io.masks import write_mask


def write_google_scanned_objects(folder: Path, scene: RenderedScene) -> None:
    """Write the objects of a scene before white, moved and scaled into the unit cube around the origin."""
    points = object_points(scene)
    low, high = points.min(axis=0), points.max(axis=0)
    moved = moved_scene(scene, similarity(float((high - low).max()), (low + high) / 2))
    case = Path(folder) / scene.name
    for index, view in enumerate(moved.views):
        name = f"{index:06d}"
        write_image(case / "rgb" / f"{name}.png", np.where(view.mask[..., None], view.image, np.uint8(255)))
        write_mask(case / "mask" / f"{name}.png", view.mask)
        depth = np.where(view.mask, view.depth, np.float32(0))
        write_depth_png(case / "depth" / f"{name}.png", depth / np.float32(DEPTH_UNIT))
        intrinsics = np.eye(4)
        intrinsics[:3, :3] = view.intrinsics
        intrinsics[:2, 2] += 0.5
        _write_matrix(case / "pose" / f"{name}.txt", np.linalg.inv(view.world_to_cam))
        _write_matrix(case / "intrinsics" / f"{name}.txt", intrinsics)


def _write_matrix(path: Path, matrix: np.ndarray) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(" ".join(repr(float(value)) for value in matrix.ravel()) + "\n", encoding="utf8")
