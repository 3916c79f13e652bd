"""Writes DTU as NeuRay packs it; the layout is described in `common/datasets/dtu_neuray.py`."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from common.datasets.dtu_neuray import TRAINING_NEAR_FAR
from common.datasets.rendered_scene import RenderedScene
from common.datasets.writers.units import object_points, similarity
from common.io.atomic import atomic_path
from common.io.depth_maps import write_colmap_array
from common.io.idr_cameras import IdrCameras, write_idr_cameras
from common.io.images import write_image
from common.io.masks import write_mask

SPHERE_MARGIN = 1.1
BOUND_MARGIN = 0.05
FAR_MARGIN = 1.02


def write_dtu_neuray_train(folder: Path, scene: RenderedScene) -> None:
    """Write `dtu_train/<scene>` and its depth cache."""
    place = Path(folder) / "dtu_train" / scene.name
    scale = _write_views(place, scene, scene.near_far[1] * FAR_MARGIN / TRAINING_NEAR_FAR[1])
    maps = Path(folder, "colmap_dtu_cache", "dtu_train", scene.name, "dense", "stereo", "depth_maps")
    for index, view in enumerate(scene.views):
        write_colmap_array(maps / f"{index}.jpg.geometric.bin", view.depth / np.float32(scale))


def write_dtu_neuray_test(folder: Path, scene: RenderedScene) -> None:
    """Write `dtu_test/<scene>` with masks, bounds, and depth maps of half size."""
    place = Path(folder) / "dtu_test" / scene.name
    scale = _write_views(place, scene)
    for index, view in enumerate(scene.views):
        write_mask(place / "mask" / f"{index:03d}.png", view.mask)
        half = _halved(view.depth) / np.float32(scale)
        write_colmap_array(place / "colmap_depth" / f"{index}.jpg.geometric.bin", half)
    near, far = scene.near_far
    with atomic_path(place / "depth_range.npy") as temporary:
        np.save(temporary, np.array([near * (1 - BOUND_MARGIN), far * (1 + BOUND_MARGIN)]) / scale)


def _write_views(place: Path, scene: RenderedScene, smallest: float = 0.0) -> float:
    """Write pictures and cameras; the result is the radius of the sphere around the objects, the unit of depth.

    It is at least `smallest`: training scans have no depth bounds of their own.
    """
    points = object_points(scene)
    center = (points.min(axis=0) + points.max(axis=0)) / 2
    radius = max(smallest, SPHERE_MARGIN * float(np.linalg.norm(points - center, axis=1).max()))
    world_mats = np.stack([np.eye(4)] * len(scene.views))
    for index, view in enumerate(scene.views):
        world_mats[index, :3] = view.intrinsics @ view.world_to_cam[:3]
        write_image(place / "image" / f"{index:06d}.png", view.image)
    scale_mats = np.stack([similarity(radius, center)] * len(scene.views))
    write_idr_cameras(place / "cameras.npz", IdrCameras(world_mats, scale_mats))
    return radius


def _halved(depth: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "h w"]:
    return cv2.resize(depth, (depth.shape[1] // 2, depth.shape[0] // 2), interpolation=cv2.INTER_NEAREST)
