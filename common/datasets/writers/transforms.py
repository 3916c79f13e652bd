"""Writes `transforms.json` captures in nerfstudio's and instant-ngp's dialects; see `common/datasets/transforms.py`."""

import json
from pathlib import Path
from typing import Literal

import numpy as np

from common.datasets.rendered_scene import RenderedScene, RenderedView
from common.datasets.scene import Distortion
from common.datasets.undistortion import distort_image
from common.io.atomic import atomic_path
from common.io.depth_maps import write_depth_png
from common.io.images import write_image

DEPTH_UNIT = 1e-3
LARGEST_DEPTH = 65535 * DEPTH_UNIT
CAPTURE_LENS = Distortion("opencv", (-0.05, 0.01, 0.0005, -0.0008))
OPENCV_TO_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def write_transforms(
    folder: Path,
    scene: RenderedScene,
    *,
    lens: Distortion | None = CAPTURE_LENS,
    dialect: Literal["nerfstudio", "ngp"] = "nerfstudio",
) -> None:
    """Write pictures and the json; a pinhole capture whose depths fit into 16 bits gets depth pictures too.

    Args:
        folder: The one that holds all captures.
        scene: What to write.
        lens: None for a pinhole, or k1 k2 p1 p2.
        dialect: "ngp" leaves out the file extensions.
    """
    capture = Path(folder) / scene.name
    with_depth = lens is None and scene.near_far[1] < LARGEST_DEPTH
    frames = []
    for index, view in enumerate(scene.views):
        name = f"frame_{index + 1:05d}"
        write_image(capture / "images" / f"{name}.png", distort_image(view.image, view.intrinsics, lens))
        cam_to_world = np.linalg.inv(view.world_to_cam) @ OPENCV_TO_OPENGL
        path = f"images/{name}" if dialect == "ngp" else f"images/{name}.png"
        # nerfstudio wants the numbers of the lens in all frames or in none; here they may differ.
        frame = {"file_path": path, **_lens_entry(view, lens), "transform_matrix": cam_to_world.tolist()}
        if with_depth:
            frame["depth_path" if dialect == "ngp" else "depth_file_path"] = f"depth/{name}.png"
            write_depth_png(capture / "depth" / f"{name}.png", view.depth / np.float32(DEPTH_UNIT))
        frames.append(frame)
    ngp = {"aabb_scale": 4, "integer_depth_scale": DEPTH_UNIT}
    content = ngp if dialect == "ngp" else {"camera_model": "OPENCV"}
    with atomic_path(capture / "transforms.json") as temporary:
        temporary.write_text(json.dumps(content | {"frames": frames}, indent=1), encoding="utf8")


def _lens_entry(view: RenderedView, lens: Distortion | None) -> dict[str, float]:
    height, width = view.depth.shape
    (fx, _, cx), (_, fy, cy) = view.intrinsics[:2].tolist()
    k1, k2, p1, p2 = (*(lens.coefficients if lens else ()), 0.0, 0.0, 0.0, 0.0)[:4]
    entry = {"fl_x": fx, "fl_y": fy, "cx": cx + 0.5, "cy": cy + 0.5, "w": width, "h": height}
    return entry | {"k1": k1, "k2": k2, "p1": p1, "p2": p2}
