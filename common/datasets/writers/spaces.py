"""Writes Spaces scenes; the layout is described in `common/datasets/spaces.py`."""

import json
from pathlib import Path

from scipy.spatial.transform import Rotation

from common.datasets.rendered_scene import RenderedScene, RenderedView
from common.datasets.spaces import NEAR_FAR
from common.datasets.writers.units import within_depths
from common.io.atomic import atomic_path
from common.io.images import write_image

CAMERAS_PER_RIG = 16


def write_spaces(folder: Path, scene: RenderedScene) -> None:
    """Write the views as rig positions of 16 cameras, scaled where its depths leave the layout's fixed bounds."""
    scene = within_depths(scene, NEAR_FAR)
    case = Path(folder) / scene.name
    rigs: list[list[dict]] = []
    for index, view in enumerate(scene.views):
        rig, camera = divmod(index, CAMERAS_PER_RIG)
        if camera == 0:
            rigs.append([])
        path = f"cam_{camera:02d}/image_{rig:03d}.JPG"
        rigs[-1].append(_entry(view, path))
        write_image(case / path, view.image)
    with atomic_path(case / "models.json") as temporary:
        temporary.write_text(json.dumps(rigs, indent=1), encoding="utf8")


def _entry(view: RenderedView, path: str) -> dict:
    height, width = view.depth.shape
    (fx, _, cx), (_, fy, cy) = view.intrinsics[:2].tolist()
    rotation, translation = view.world_to_cam[:3, :3], view.world_to_cam[:3, 3]
    return {
        "position": (-rotation.T @ translation).tolist(),
        "orientation": Rotation.from_matrix(rotation).as_rotvec().tolist(),
        "focal_length": fx,
        "pixel_aspect_ratio": fy / fx,
        "principal_point": [cx + 0.5, cy + 0.5],
        "width": float(width),
        "height": float(height),
        "relative_path": path,
    }
