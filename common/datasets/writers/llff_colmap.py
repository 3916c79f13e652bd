"""Writes NeuRay's packaging of LLFF scenes; the layout is described in `common/datasets/llff_colmap.py`."""

from pathlib import Path

import numpy as np

from common.datasets.rendered_scene import RenderedScene
from common.datasets.writers.colmap import sparse_model
from common.io.atomic import atomic_path
from common.io.colmap_model import write_colmap_model
from common.io.depth_maps import write_colmap_array
from common.io.images import write_image

DEPTH_FRACTION = 4  # depth maps of 1008 x 756 for pictures of 4032 x 3024


def write_llff_colmap(folder: Path, scene: RenderedScene) -> None:
    """Write pictures, a pinhole model with ids 1 ... N, depth bounds and depth maps of a quarter of the size."""
    case = Path(folder) / scene.name
    model = sparse_model(scene, ids="position")
    write_colmap_model(case / "sparse", model)
    for image_id, view in enumerate(scene.views, 1):
        write_image(case / "images" / model.images[image_id].name, view.image)
        # The middle of every 4 x 4 block, up to half a pixel of the full size.
        depth = view.depth[DEPTH_FRACTION // 2 :: DEPTH_FRACTION, DEPTH_FRACTION // 2 :: DEPTH_FRACTION]
        write_colmap_array(case / "colmap_depth" / f"{image_id}.jpg.geometric.bin", depth)
    with atomic_path(case / "depth_range.npy") as temporary:
        np.save(temporary, np.array([scene.near_far] * len(scene.views)))
