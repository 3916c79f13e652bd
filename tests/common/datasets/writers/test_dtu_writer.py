import dataclasses

import numpy as np
import pytest

from common.datasets.dtu import read_dtu
from common.datasets.loading import load_depth, load_image
from common.datasets.writers.dtu import full_size_crop, training_crop, write_dtu, write_dtu_full
from common.io.masks import read_mask
from common.io.pfm import read_pfm
from common.synthetic.ray_casting import RayCaster, cast_depth
from tests.scenes import make_scene


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dtu")
    scene = make_scene("scan7", num_views=4, size=(80, 64))
    caster = RayCaster(scene.mesh.vertices, scene.mesh.faces)
    views = tuple(
        dataclasses.replace(view, depth=cast_depth(caster, view.intrinsics, view.world_to_cam, (80, 64)))
        for view in scene.views
    )
    scene = dataclasses.replace(scene, views=views)
    write_dtu(folder, scene)
    return folder, scene


def test_the_crop_of_the_real_size_is_dtus():
    crop = training_crop(640, 512)
    assert crop.full_size == (1600, 1200)
    assert (crop.margin_x, crop.margin_y) == (80, 44)
    full = np.array([[2892.33, 0, 823.205], [0, 2883.18, 619.071], [0, 0, 1]])
    quarter = np.array([[361.54125, 0, 82.900625], [0, 360.3975, 66.383875], [0, 0, 1]])
    np.testing.assert_allclose(crop.full_intrinsics(np.diag([4, 4, 1]) @ quarter), full)


@pytest.mark.parametrize("size", [(160, 128), (320, 256), (640, 512), (1280, 1024)])
def test_a_full_size_finds_its_training_crop(size):
    assert full_size_crop(*training_crop(*size).full_size) == training_crop(*size)


def test_a_size_without_training_crop_is_refused():
    with pytest.raises(ValueError, match="no DTU training crop belongs to full-size pictures of 500 x 500; take"):
        full_size_crop(500, 500)


def test_the_training_picture_and_its_depth_come_back(written):
    folder, truth = written
    scene = read_dtu(folder, "scan7")
    for view, expected in zip(scene.views, truth.views, strict=True):
        np.testing.assert_array_equal(np.round(load_image(view) * 255), expected.image)
        np.testing.assert_allclose(load_depth(view), expected.depth, rtol=1e-5)
        np.testing.assert_allclose(view.intrinsics, expected.intrinsics, atol=1e-9)
        np.testing.assert_allclose(view.world_to_cam, expected.world_to_cam, atol=1e-12)
        assert view.near_far == pytest.approx(truth.near_far)


def test_every_second_pixel_of_the_full_size_depth_is_the_training_depth(written):
    folder, truth = written
    depth = read_pfm(folder / "Depths_raw" / "scan7" / "depth_map_0002.pfm")
    crop = training_crop(80, 64)
    assert depth.shape[::-1] == crop.full_size
    cut = depth[::2, ::2][crop.margin_y : crop.margin_y + 64, crop.margin_x : crop.margin_x + 80]
    np.testing.assert_allclose(cut, truth.views[2].depth, rtol=1e-5)


def test_full_size_pictures_go_beside_the_training_pictures(tmp_path):
    training = make_scene("scan2", num_views=3, size=(160, 128))
    crop = training_crop(160, 128)
    full = make_scene("scan2", num_views=3, size=crop.full_size)
    views = [
        dataclasses.replace(view, intrinsics=crop.full_intrinsics(small.intrinsics), world_to_cam=small.world_to_cam)
        for view, small in zip(full.views, training.views, strict=True)
    ]
    write_dtu(tmp_path, training)
    write_dtu_full(tmp_path, dataclasses.replace(full, views=tuple(views)))
    raw = read_dtu(tmp_path, "scan2", "raw")
    assert [view.image.size for view in raw.views] == [(400, 300)] * 3
    np.testing.assert_allclose(raw.views[1].intrinsics, views[1].intrinsics, atol=1e-9)
    assert [view.image.size for view in read_dtu(tmp_path, "scan2").views] == [(160, 128)] * 3


def test_a_scan_with_other_cameras_is_kept_out_of_the_folder(written):
    folder, truth = written
    turned = dataclasses.replace(truth, name="scan8", views=truth.views[::-1])
    with pytest.raises(ValueError, match=r"00000000_cam.txt belongs to other cameras; all scans of a DTU folder"):
        write_dtu(folder, turned)
    assert not (folder / "Rectified" / "scan8_train").exists()


def test_masks_show_the_objects(written):
    folder, truth = written
    for index, view in enumerate(truth.views):
        np.testing.assert_array_equal(read_mask(folder / "Masks" / "scan7_train" / f"mask_{index:04d}.png"), view.mask)
