"""Writes NeRF Synthetic scenes; the layout is described in `common/datasets/nerf_synthetic.py`."""

import json
import math
from pathlib import Path

import numpy as np

from common.datasets.nerf_synthetic import OPENGL_TO_OPENCV
from common.datasets.rendered_scene import RenderedScene, RenderedView
from common.datasets.writers.lens_checks import centered_focal
from common.io.atomic import atomic_path
from common.io.images import write_pixels

MOST_TRAINING_VIEWS = 100


def write_nerf_synthetic(folder: Path, scene: RenderedScene) -> None:
    """Write RGBA pictures and the three json files; what the rays miss is transparent.

    The first three quarters of the views, at most 100, are the training split; of the others one third is for
    validation.

    Raises:
        ValueError: There are fewer than 3 views, they have no common focal length or are not centred.
    """
    if len(scene.views) < 3:
        raise ValueError(f"NeRF Synthetic has three splits, so it needs 3 views; {scene.name} has {len(scene.views)}")
    place = Path(folder) / scene.name
    focal = centered_focal(scene, "NeRF Synthetic")
    angle = 2 * math.atan(0.5 * scene.views[0].depth.shape[1] / focal)
    for split, views in split_views(scene.views).items():
        frames = []
        for index, view in enumerate(views):
            alpha = np.where(view.depth > 0, np.uint8(255), np.uint8(0))
            write_pixels(place / split / f"r_{index}.png", np.dstack([view.image, alpha]))
            if split == "test":
                write_pixels(place / split / f"r_{index}_depth_0001.png", _displayed_depth(view, scene.near_far))
            cam_to_world = np.linalg.inv(view.world_to_cam) @ OPENGL_TO_OPENCV
            frame = {"file_path": f"./{split}/r_{index}", "rotation": 0.0, "transform_matrix": cam_to_world.tolist()}
            frames.append(frame)
        with atomic_path(place / f"transforms_{split}.json") as temporary:
            temporary.write_text(json.dumps({"camera_angle_x": angle, "frames": frames}, indent=1), encoding="utf8")


def split_views(views: tuple[RenderedView, ...]) -> dict[str, tuple[RenderedView, ...]]:
    """Views of the training, validation and test split, in the order of their files."""
    num_train = min(round(0.75 * len(views)), MOST_TRAINING_VIEWS, len(views) - 2)
    num_val = max((len(views) - num_train) // 3, 1)
    end = num_train + num_val
    return {"train": views[:num_train], "val": views[num_train:end], "test": views[end:]}


def _displayed_depth(view: RenderedView, near_far: tuple[float, float]) -> np.ndarray:
    """Grey values to look at, white near and black where nothing is, as the data set has them: no metric depth."""
    near, far = near_far
    grey = np.clip((far - view.depth) / (far - near), 0.0, 1.0) * (view.depth > 0)
    return (255 * grey).astype(np.uint8)
