"""Writes IDR and NeuS cases; the layout is described in `common/datasets/neus.py`."""

from pathlib import Path

import numpy as np

from common.datasets.rendered_scene import RenderedScene
from common.datasets.writers.units import object_points, similarity
from common.io.idr_cameras import IdrCameras, write_idr_cameras
from common.io.images import write_image
from common.io.masks import write_mask

SPHERE_MARGIN = 1.1
LARGE_FACTOR = 2.9  # cameras_large.npz of DTU has a radius of 670, its cameras_sphere.npz one of 231


def write_neus(folder: Path, scene: RenderedScene) -> None:
    """Write pictures, masks, `cameras_sphere.npz` around the objects and `cameras_large.npz` around more."""
    case = Path(folder) / scene.name
    points = object_points(scene)
    center = (points.min(axis=0) + points.max(axis=0)) / 2
    radius = SPHERE_MARGIN * float(np.linalg.norm(points - center, axis=1).max())
    world_mats = np.stack([np.eye(4)] * len(scene.views))
    for index, view in enumerate(scene.views):
        world_mats[index, :3] = view.intrinsics @ view.world_to_cam[:3]
        write_image(case / "image" / f"{index:06d}.png", view.image)
        write_mask(case / "mask" / f"{index:03d}.png", view.mask)
    for name, size in (("cameras_sphere.npz", radius), ("cameras_large.npz", LARGE_FACTOR * radius)):
        scale_mats = np.stack([similarity(size, center)] * len(scene.views))
        write_idr_cameras(case / name, IdrCameras(world_mats, scale_mats))
