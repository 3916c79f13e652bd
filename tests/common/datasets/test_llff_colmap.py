import dataclasses

import numpy as np
import pytest

from common.datasets.llff_colmap import read_llff_colmap
from common.datasets.loading import load_depth_file
from common.datasets.scene import Distortion
from common.datasets.writers.colmap import sparse_model
from common.datasets.writers.llff_colmap import write_llff_colmap
from common.io.colmap_model import read_colmap_model, write_colmap_model
from common.io.images import write_image


@pytest.fixture
def scene(make_rendered_scene):
    return make_rendered_scene("fern", num_views=11)


@pytest.fixture
def case(scene, tmp_path):
    write_llff_colmap(tmp_path, scene)
    return tmp_path / "fern"


def test_what_is_written_comes_back_in_the_order_of_the_ids(case, scene):
    found = read_llff_colmap(case)
    assert [view.name for view in found.views] == [str(image_id) for image_id in range(1, 12)]
    for view, truth in zip(found.with_pixel_origin("center").views, scene.views, strict=True):
        np.testing.assert_allclose(view.intrinsics, truth.intrinsics, atol=1e-12)
        np.testing.assert_allclose(view.world_to_cam, truth.world_to_cam, atol=1e-12)
        assert view.near_far == scene.near_far
        np.testing.assert_array_equal(load_depth_file(view.depth), truth.depth[2::4, 2::4])


def test_every_eighth_view_is_for_testing(case):
    assert read_llff_colmap(case).splits == {"train": (1, 2, 3, 4, 5, 6, 7, 9, 10), "test": (0, 8)}


def test_every_image_has_a_camera_of_its_own(case):
    model = read_colmap_model(case / "sparse")
    assert len(model.cameras) == 11 and {camera.model for camera in model.cameras.values()} == {"PINHOLE"}


def test_ids_with_gaps_are_refused(case, scene):
    write_colmap_model(case / "sparse", sparse_model(scene, ids="registration"))
    with pytest.raises(ValueError, match="has 11 images whose ids are not 1 to 11"):
        read_llff_colmap(case)


def test_a_lens_is_refused(case, scene):
    write_colmap_model(case / "sparse", sparse_model(scene, Distortion("opencv", (0.1,)), ids="position"))
    with pytest.raises(ValueError, match="has a lens of model OPENCV; this layout has pinhole cameras only"):
        read_llff_colmap(case)


def test_missing_pictures_are_refused(case):
    (case / "images" / "00003.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"no picture .*00003\.jpg, which image 4 of sparse names"):
        read_llff_colmap(case)


def test_pictures_of_another_size_are_refused(case):
    write_image(case / "images" / "00003.jpg", np.zeros((24, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="has 32 x 24 pixels but its camera has 64 x 48"):
        read_llff_colmap(case)


def test_names_out_of_the_folder_are_refused(case):
    model = read_colmap_model(case / "sparse")
    changed = dataclasses.replace(model.images[1], name="../../secret.jpg")
    write_colmap_model(case / "sparse", dataclasses.replace(model, images=model.images | {1: changed}))
    with pytest.raises(ValueError, match="not inside"):
        read_llff_colmap(case)


@pytest.mark.parametrize(
    ("bounds", "sentence"),
    [
        (np.ones((5, 2)), r"depth_range\.npy has shape \(5, 2\), expected near and far for each of 11"),
        (np.ones((11, 2)), "depth bounds 1 and 1"),
        (np.full((11, 2), np.nan), "depth bounds nan"),
        (np.array([[{}, {}]] * 11, dtype=object), r"depth_range\.npy"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(case, bounds, sentence):
    np.save(case / "depth_range.npy", bounds)
    with pytest.raises(ValueError, match=sentence):
        read_llff_colmap(case)
