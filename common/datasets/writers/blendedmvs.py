"""Writes BlendedMVS scenes; the layout is described in `common/datasets/blendedmvs.py`."""

from pathlib import Path

from common.datasets.rendered_scene import RenderedScene
from common.datasets.writers.mvsnet_folder import write_cameras
from common.datasets.writers.view_pairs import view_pairs
from common.io.images import write_image
from common.io.pair_file import write_pair_file
from common.io.pfm import write_pfm

NUM_DEPTHS = 128


def write_blendedmvs(folder: Path, scene: RenderedScene) -> None:
    """Write plain and masked pictures, cameras, pairs and depth maps; the mask is the surface that was rendered."""
    place = Path(folder) / scene.name
    for index, view in enumerate(scene.views):
        write_image(place / "blended_images" / f"{index:08d}.jpg", view.image)
        write_image(place / "blended_images" / f"{index:08d}_masked.jpg", view.image * (view.depth > 0)[..., None])
        write_pfm(place / "rendered_depth_maps" / f"{index:08d}.pfm", view.depth)
    write_cameras(place / "cams", scene, NUM_DEPTHS)
    write_pair_file(place / "cams" / "pair.txt", view_pairs(scene))
