"""The layouts that scenes can be written in: one entry a writer."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.datasets.rendered_scene import RenderedScene
from common.datasets.writers.blendedmvs import write_blendedmvs
from common.datasets.writers.colmap import write_colmap, write_colmap_dense
from common.datasets.writers.dtu import write_dtu, write_dtu_full
from common.datasets.writers.dtu_gens import write_dtu_gens
from common.datasets.writers.dtu_neuray import write_dtu_neuray_test, write_dtu_neuray_train
from common.datasets.writers.dtu_original import write_dtu_original
from common.datasets.writers.dtu_test import write_dtu_test
from common.datasets.writers.google_scanned_objects import write_google_scanned_objects
from common.datasets.writers.llff import write_llff, write_real_iconic
from common.datasets.writers.llff_colmap import write_llff_colmap
from common.datasets.writers.metashape import write_metashape
from common.datasets.writers.mvsnet_folder import write_mvsnet_folder, write_tanks_folder
from common.datasets.writers.nerf_synthetic import write_nerf_synthetic
from common.datasets.writers.neuray import (
    write_neuray_gso,
    write_neuray_llff_colmap,
    write_neuray_nerf_synthetic,
    write_neuray_real_estate,
    write_neuray_spaces,
)
from common.datasets.writers.neus import write_neus
from common.datasets.writers.real_estate import write_real_estate
from common.datasets.writers.spaces import write_spaces
from common.datasets.writers.transforms import write_transforms
from common.datasets.writers.xscale import write_xscale


@dataclass(frozen=True)
class Layout:
    """How scenes of a layout are made and stored.

    Attributes:
        write: Stores one scene below the folder that holds all of them.
        rig: The cameras that suit it, a name of `common.synthetic.RIGS`.
        size: Width and height of the pictures in the real data set.
        scene_name: Names the n-th scene, n from 1, as the data set does.
    """

    write: Callable[[Path, RenderedScene], None]
    rig: str
    size: tuple[int, int]
    scene_name: str = "scene{number}"


LAYOUTS: dict[str, Layout] = {
    "dtu": Layout(write_dtu, rig="dtu", size=(640, 512), scene_name="scan{number}"),
    "dtu_full": Layout(write_dtu_full, rig="dtu_full", size=(1600, 1200), scene_name="scan{number}"),
    "dtu_gens": Layout(write_dtu_gens, rig="dtu_full", size=(1600, 1200), scene_name="scan{number}"),
    "dtu_neuray_test": Layout(write_dtu_neuray_test, rig="dtu_full", size=(1600, 1200)),
    "dtu_neuray_train": Layout(write_dtu_neuray_train, rig="dtu_full", size=(400, 300), scene_name="scan{number}"),
    "dtu_original": Layout(write_dtu_original, rig="dtu_full", size=(1600, 1200), scene_name="scan{number}"),
    "dtu_test": Layout(write_dtu_test, rig="dtu_full", size=(1600, 1200), scene_name="scan{number}"),
    "blendedmvs": Layout(write_blendedmvs, rig="orbit", size=(768, 576), scene_name="{number:024x}"),
    "colmap": Layout(write_colmap, rig="orbit", size=(960, 720)),
    "colmap_dense": Layout(write_colmap_dense, rig="orbit", size=(960, 720)),
    "google_scanned_objects": Layout(write_google_scanned_objects, rig="hemisphere", size=(512, 512)),
    "llff": Layout(write_llff, rig="forward", size=(1008, 756)),
    "llff_colmap": Layout(write_llff_colmap, rig="forward", size=(1008, 756)),
    "metashape": Layout(write_metashape, rig="orbit", size=(1416, 1064)),
    "mvsnet_folder": Layout(write_mvsnet_folder, rig="orbit", size=(1600, 1200)),
    "nerf_synthetic": Layout(write_nerf_synthetic, rig="hemisphere", size=(800, 800)),
    "neuray_gso": Layout(write_neuray_gso, rig="hemisphere", size=(512, 512)),
    "neuray_llff_colmap": Layout(write_neuray_llff_colmap, rig="forward", size=(1008, 756)),
    "neuray_nerf_synthetic": Layout(write_neuray_nerf_synthetic, rig="hemisphere", size=(800, 800)),
    "neuray_real_estate": Layout(write_neuray_real_estate, rig="forward", size=(800, 450)),
    "neuray_spaces": Layout(write_neuray_spaces, rig="forward", size=(800, 480)),
    "neus": Layout(write_neus, rig="dtu_full", size=(1600, 1200)),
    "real_estate": Layout(write_real_estate, rig="forward", size=(640, 360)),
    "real_iconic": Layout(write_real_iconic, rig="forward", size=(1008, 756)),
    "spaces": Layout(write_spaces, rig="forward", size=(800, 480)),
    "transforms": Layout(write_transforms, rig="orbit", size=(960, 720)),
    "tanks": Layout(write_tanks_folder, rig="orbit", size=(1920, 1080)),
    "xscale": Layout(write_xscale, rig="orbit", size=(1416, 1064)),
}
