"""Writes LLFF scenes, and the released ones with NeuRay's depth caches.

The layouts are described in `common/datasets/llff.py` and `common/datasets/real_iconic.py`.
"""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from common.datasets.llff import world_to_cam_to_llff
from common.datasets.real_iconic import CACHED_SUFFIX
from common.datasets.rendered_scene import RenderedScene, RenderedView
from common.datasets.writers.lens_checks import centered_focal
from common.io.atomic import atomic_path
from common.io.depth_maps import write_colmap_array
from common.io.images import write_image

RENDERED_DOWNSCALE = 4  # the pictures of a scene become `images_4`
BOUND_PERCENTILES = (0.1, 99.9)
FIRST_PHOTO = 4026


def write_llff(folder: Path, scene: RenderedScene) -> None:
    """Write `images_4` as rendered, an enlarged copy as `images`, a reduced one as `images_8`, and `poses_bounds.npy`.

    Raises:
        ValueError: The cameras have no common focal length or are not centred.
    """
    place = Path(folder) / scene.name
    focal = centered_focal(scene, "LLFF")
    height, width = scene.views[0].depth.shape
    full = (RENDERED_DOWNSCALE * width, RENDERED_DOWNSCALE * height)
    rows = []
    for index, view in enumerate(scene.views):
        large = cv2.resize(view.image, full, interpolation=cv2.INTER_CUBIC)
        small = cv2.resize(view.image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        write_image(place / "images" / f"IMG_{FIRST_PHOTO + index}.JPG", large)
        write_image(place / "images_4" / f"image{index:03d}.png", view.image)
        write_image(place / "images_8" / f"image{index:03d}.png", small)
        size = np.array([full[1], full[0], RENDERED_DOWNSCALE * focal])
        pose = np.column_stack([world_to_cam_to_llff(view.world_to_cam), size])
        rows.append([*pose.ravel(), *depth_bounds(view, scene.near_far)])
    with atomic_path(place / "poses_bounds.npy") as temporary:
        np.save(temporary, np.array(rows))


def write_real_iconic(folder: Path, scene: RenderedScene) -> None:
    """Write `real_iconic_noface/<scene>` and the depth caches beside it, in the unit of the normalised scene."""
    write_llff(Path(folder) / "real_iconic_noface", scene)
    nearest = min(depth_bounds(view, scene.near_far)[0] for view in scene.views)
    for downscale, suffix in CACHED_SUFFIX.items():
        maps = Path(folder, "colmap_forward_cache", "real_iconic", scene.name, str(downscale))
        for index, view in enumerate(scene.views):
            path = maps / "dense_out" / "stereo" / "depth_maps" / f"{index}.{suffix}.geometric.bin"
            write_colmap_array(path, _reduced(view.depth, downscale // RENDERED_DOWNSCALE) / np.float32(0.75 * nearest))


def depth_bounds(view: RenderedView, default: tuple[float, float]) -> tuple[float, float]:
    """LLFF's bounds of a view: percentiles of the depth it sees; `default` where it sees nothing."""
    seen = view.depth[view.depth > 0]
    if not len(seen):
        return default
    near, far = np.percentile(seen, BOUND_PERCENTILES)
    return float(near), max(float(far), float(near) * 1.001)


def _reduced(depth: Float[np.ndarray, "H W"], factor: int) -> Float[np.ndarray, "h w"]:
    height, width = depth.shape[0] // factor, depth.shape[1] // factor
    return cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST)
