"""The same scene written in every layout and opened again: one set of cameras, whatever the file says and how."""

import dataclasses

import numpy as np
import pytest

from common.datasets.loading import load_image
from common.datasets.open_scene import open_scene
from common.datasets.writers.layouts import LAYOUTS

# Where the scene lies below the folder that it was written to; elsewhere in a folder of its own name.
PLACES = {
    **dict.fromkeys(("dtu", "dtu_full", "dtu_gens", "dtu_original", "real_estate"), "."),
    "dtu_neuray_train": "dtu_train/scan1",
    "dtu_neuray_test": "dtu_test/scan1",
    "real_iconic": "real_iconic_noface/scan1",
    "neuray_gso": "google_scanned_objects/scan1",
    "neuray_llff_colmap": "llff_colmap/scan1",
    "neuray_nerf_synthetic": "nerf_synthetic/scan1",
    "neuray_real_estate": "real_estate_dataset",
    "neuray_spaces": "spaces_dataset/data/800/scan1",
}
# These put the world where the layout's readers expect it: equal up to one rotation, translation and scale.
MOVED = {"google_scanned_objects", "neuray_gso", "real_iconic", "dtu_neuray_train", "dtu_neuray_test"}
# These hold one focal length and a centred principal point.
CENTERED = {"nerf_synthetic", "neuray_nerf_synthetic", "llff", "real_iconic"}
HALF_PIXEL = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
FLOAT_TEXT = 1e-5  # of layouts that store a limited number of digits


@pytest.fixture(scope="module")
def written(make_rendered_scene, tmp_path_factory):
    """`written(layout)` is the scene and what its reader made of it; the layout is recognised, not named."""
    made = {}

    def write(name):
        if name not in made:
            root = tmp_path_factory.mktemp(name)
            scene = make_rendered_scene("scan1", num_views=4, size=(64, 48), centered=name in CENTERED)
            LAYOUTS[name].write(root, scene)
            made[name] = scene, open_scene(root / PLACES.get(name, "scan1"))
        return made[name]

    return write


@pytest.mark.parametrize("name", LAYOUTS)
def test_intrinsics_come_back_after_the_half_pixel(written, name):
    truth, found = written(name)
    found = found.with_pixel_origin("center")
    assert len(found.views) == len(truth.views)
    for view, expected in zip(found.views, truth.views, strict=True):
        size = np.array(view.image.size) / expected.image.shape[1::-1]
        resized = np.diag([*size, 1.0]) @ (expected.intrinsics + HALF_PIXEL) - HALF_PIXEL
        np.testing.assert_allclose(view.intrinsics, resized, atol=100 * FLOAT_TEXT)


@pytest.mark.parametrize("name", LAYOUTS)
def test_poses_come_back(written, name):
    truth, found = written(name)
    poses = [view.world_to_cam for view in found.views]
    expected = [view.world_to_cam for view in truth.views]
    if name not in MOVED:
        np.testing.assert_allclose(poses, expected, atol=FLOAT_TEXT)
        return
    # Relative rotations are equal, relative translations are equal up to one factor.
    relative, wanted = ([pose @ np.linalg.inv(group[0]) for pose in group[1:]] for group in (poses, expected))
    scale = np.linalg.norm(relative[0][:3, 3]) / np.linalg.norm(wanted[0][:3, 3])
    for a, b in zip(relative, wanted, strict=True):
        np.testing.assert_allclose(a[:3, :3], b[:3, :3], atol=FLOAT_TEXT)
        np.testing.assert_allclose(a[:3, 3], scale * b[:3, 3], atol=FLOAT_TEXT)


@pytest.mark.parametrize("name", LAYOUTS)
def test_pictures_come_back(written, name):
    truth, found = written(name)
    for view, expected in zip(found.views, truth.views, strict=True):
        loaded = load_image(view, size=expected.image.shape[1::-1], pixel_origin=found.pixel_origin) * 255
        kept = (
            expected.mask
            if name.endswith(("google_scanned_objects", "gso", "nerf_synthetic"))
            else np.ones_like(expected.mask)
        )
        middle = np.zeros_like(kept)
        middle[8:-8, 8:-8] = True  # a lens may not see the corners
        # JPEG and resampling blur this hard texture; a picture of another view or turned would be off by 80.
        assert np.abs(loaded - expected.image)[kept & middle].mean() < 25


@pytest.mark.parametrize(
    "name", ["colmap", "colmap_dense", "transforms", "metashape", "real_estate", "spaces", "llff_colmap"]
)
def test_pictures_of_different_sizes_and_lenses_keep_their_own(make_rendered_scene, tmp_path, name):
    large, small = make_rendered_scene("scan1", 2, (64, 48)), make_rendered_scene("scan1", 4, (48, 32), centered=True)
    mixed = dataclasses.replace(large, views=(*large.views, *small.views[2:]))
    LAYOUTS[name].write(tmp_path, mixed)
    found = open_scene(tmp_path / PLACES.get(name, "scan1")).with_pixel_origin("center")
    assert [view.image.size for view in found.views] == [(64, 48), (64, 48), (48, 32), (48, 32)]
    for view, expected in zip(found.views, mixed.views, strict=True):
        np.testing.assert_allclose(view.intrinsics, expected.intrinsics, atol=1e-9)
        np.testing.assert_allclose(view.world_to_cam, expected.world_to_cam, atol=1e-9)
