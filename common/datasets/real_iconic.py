"""LLFF's released scenes as IBRNet and NeuRay train on them (`real_iconic_noface`).

    real_iconic_noface/<scene>/{poses_bounds.npy, images, images_4, images_8}      as `common/datasets/llff.py`
    colmap_forward_cache/real_iconic/<scene>/<d>/dense_out/stereo/depth_maps/<N>.<png|jpg>.geometric.bin

The world is recentred and scaled by 1 / (0.75 nearest bound); the cached depth maps are in that unit. N is the view id.
"""

import dataclasses
from pathlib import Path

from common.datasets.llff import read_llff
from common.datasets.llff_normalization import normalize_llff
from common.datasets.scene import DepthFile, Scene

CACHED_SUFFIX = {4: "jpg", 8: "png"}  # what the pictures were called when the caches were made


def read_real_iconic(folder: str | Path, downscale: int = 4, *, depth_cache: str | Path | None = None) -> Scene:
    """One scene with depth bounds per view, recentred and scaled.

    Args:
        folder: The scene's.
        downscale: 4 or 8 where there is a depth cache.
        depth_cache: The folder `colmap_forward_cache`, or None.

    Raises:
        FileNotFoundError, ValueError: As `read_llff`; ValueError also where no cache exists for this size.
    """
    scene = normalize_llff(read_llff(folder, downscale))
    if depth_cache is None:
        return scene
    if downscale not in CACHED_SUFFIX:
        raise ValueError(f"depth caches of real_iconic exist for pictures of a 4th and an 8th, not 1/{downscale}")
    maps = Path(depth_cache, "real_iconic", scene.name, str(downscale), "dense_out", "stereo", "depth_maps")
    views = []
    for index, view in enumerate(scene.views):
        path = maps / f"{index}.{CACHED_SUFFIX[downscale]}.geometric.bin"
        views.append(dataclasses.replace(view, depth=DepthFile(path, "colmap") if path.is_file() else None))
    return dataclasses.replace(scene, views=tuple(views))
