"""Writes data folders of NeuRay: every data set at its place below one folder, with the depth caches beside them.

    google_scanned_objects/<object>/...
    llff_colmap/<scene>/...
    nerf_synthetic/<scene>/...                      and colmap_depth/train-r_<i>.png.geometric.bin of the training views
    real_estate_dataset/train/...                   and colmap_forward_cache/real_estate/<clip>/...
    spaces_dataset/data/800/<scene>/...             and colmap_forward_cache/space/<scene>/...

The writers of `dtu_neuray.py` and `write_real_iconic` go into the same folder. Layouts: the readers' modules.
"""

from pathlib import Path

from common.datasets.real_estate import NEAR_FAR as CLIP_DEPTHS
from common.datasets.rendered_scene import RenderedScene
from common.datasets.spaces import NEAR_FAR as RIG_DEPTHS
from common.datasets.writers.google_scanned_objects import write_google_scanned_objects
from common.datasets.writers.llff_colmap import write_llff_colmap
from common.datasets.writers.nerf_synthetic import split_views, write_nerf_synthetic
from common.datasets.writers.real_estate import FRAME_INTERVAL, write_real_estate
from common.datasets.writers.spaces import CAMERAS_PER_RIG, write_spaces
from common.datasets.writers.units import within_depths
from common.io.depth_maps import write_colmap_array

CACHE = "colmap_forward_cache"
MAPS = Path("dense_out", "stereo", "depth_maps")


def write_neuray_gso(folder: Path, scene: RenderedScene) -> None:
    """Write an object; its depth is part of the layout."""
    write_google_scanned_objects(Path(folder) / "google_scanned_objects", scene)


def write_neuray_llff_colmap(folder: Path, scene: RenderedScene) -> None:
    """Write a forward-facing test scene; its depth is part of the layout."""
    write_llff_colmap(Path(folder) / "llff_colmap", scene)


def write_neuray_nerf_synthetic(folder: Path, scene: RenderedScene) -> None:
    """Write a scene and the depth maps of its training views; raises as `write_nerf_synthetic`."""
    place = Path(folder) / "nerf_synthetic"
    write_nerf_synthetic(place, scene)
    for index, view in enumerate(split_views(scene.views)["train"]):
        write_colmap_array(place / scene.name / "colmap_depth" / f"train-r_{index}.png.geometric.bin", view.depth)


def write_neuray_real_estate(folder: Path, scene: RenderedScene) -> None:
    """Write a clip and the depth maps of its frames."""
    scene = within_depths(scene, CLIP_DEPTHS)
    write_real_estate(Path(folder) / "real_estate_dataset", scene)
    maps = Path(folder) / CACHE / "real_estate" / scene.name / MAPS
    for index, view in enumerate(scene.views):
        write_colmap_array(maps / f"{(index + 1) * FRAME_INTERVAL}.jpg.geometric.bin", view.depth)


def write_neuray_spaces(folder: Path, scene: RenderedScene) -> None:
    """Write a scene of a camera rig and its depth maps."""
    scene = within_depths(scene, RIG_DEPTHS)
    write_spaces(Path(folder) / "spaces_dataset" / "data" / "800", scene)
    maps = Path(folder) / CACHE / "space" / scene.name / MAPS
    for index, view in enumerate(scene.views):
        rig, camera = divmod(index, CAMERAS_PER_RIG)
        write_colmap_array(maps / f"{rig}-{camera}.jpg.geometric.bin", view.depth)
