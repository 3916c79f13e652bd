"""SparseNeuS's, NeuRay's, pixelNeRF's and the original packaging of DTU."""

import shutil

import numpy as np
import pytest

from common.datasets.dtu_neuray import read_dtu_neuray_test, read_dtu_neuray_train
from common.datasets.dtu_original import read_dtu_original
from common.datasets.dtu_test import read_dtu_test
from common.datasets.loading import load_depth, load_image, load_mask
from common.datasets.writers.dtu_neuray import write_dtu_neuray_test, write_dtu_neuray_train
from common.datasets.writers.dtu_original import write_dtu_original
from common.datasets.writers.dtu_test import write_dtu_test
from common.io.idr_cameras import IdrCameras, read_idr_cameras, write_idr_cameras
from common.io.images import write_pixels


@pytest.fixture(scope="module")
def scene(make_rendered_scene):
    return make_rendered_scene("scan7", num_views=12, size=(32, 24))


@pytest.fixture
def sparse_neus(scene, tmp_path):
    write_dtu_test(tmp_path, scene)
    return tmp_path


@pytest.fixture
def neuray(scene, tmp_path):
    write_dtu_neuray_train(tmp_path, scene)
    write_dtu_neuray_test(tmp_path, scene)
    return tmp_path


def check_cameras(found, truth, atol=1e-9):
    for view, expected in zip(found.views, truth.views, strict=True):
        np.testing.assert_allclose(view.intrinsics, expected.intrinsics, atol=1e-6)
        np.testing.assert_allclose(view.world_to_cam, expected.world_to_cam, atol=atol)


def test_sparse_neus_views_and_masks_come_back(sparse_neus, scene):
    found = read_dtu_test(sparse_neus, "scan7")
    check_cameras(found, scene)
    assert [view.name for view in found.views] == [f"{index:06d}" for index in range(12)]
    np.testing.assert_array_equal(load_mask(found.views[5]), scene.views[5].mask)
    assert found.views[0].near_far == pytest.approx(scene.near_far)


def test_sparse_neus_pictures_are_named_by_dtus_view_index(sparse_neus, scene):
    for index in (0, 1, 2, 4):
        (sparse_neus / "scan7" / "image" / f"{index:06d}.png").unlink()
    (sparse_neus / "scan7" / "image" / ".DS_Store").write_text("x")
    first = read_dtu_test(sparse_neus, "scan7").views[0]
    assert first.name == "000003" and first.mask.path.name == "003.png"
    np.testing.assert_allclose(first.world_to_cam, scene.views[3].world_to_cam)


def test_the_sample_edition_has_matrices_and_soft_masks_of_another_size(sparse_neus, scene):
    shutil.rmtree(sparse_neus / "cameras")
    matrices = np.stack([np.vstack([v.intrinsics @ v.world_to_cam[:3], [0, 0, 0, 1]]) for v in scene.views])
    write_idr_cameras(sparse_neus / "scan7" / "cameras.npz", IdrCameras(matrices, None))
    for path in (sparse_neus / "scan7" / "mask").iterdir():
        write_pixels(path, np.tile(np.array([[[9, 9, 9, 0], [0, 0, 0, 100], [0, 0, 0, 200]]], np.uint8), (2, 1, 1)))
    found = read_dtu_test(sparse_neus, "scan7")
    check_cameras(found, scene, 1e-6)
    mask = load_mask(found.views[0])
    assert mask.shape == (24, 32) and not mask[:, :21].any() and mask[:, 22:].all()


def test_sparse_neus_folders_that_lack_something_are_refused(sparse_neus):
    with pytest.raises(FileNotFoundError, match=r"000000.png; expected the DTU_TEST layout"):
        read_dtu_test(sparse_neus, "scan8")
    (sparse_neus / "scan7" / "image" / "cover.png").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"cover.png should be called by DTU's view index"):
        read_dtu_test(sparse_neus, "scan7")


def test_neuray_world_is_the_unit_sphere_turned_around(neuray, scene):
    found = read_dtu_neuray_train(neuray / "dtu_train" / "scan7")
    sphere = read_idr_cameras(neuray / "dtu_train" / "scan7" / "cameras.npz").scale_mats[0]
    a, b, flip = sphere[0, 0], sphere[:3, 3], np.diag([1.0, -1.0, -1.0])
    for view, truth in zip(found.views, scene.views, strict=True):
        # data_formats: R'_ctw = F R_ctw, C' = F (C - b) / a
        rotation, translation = truth.world_to_cam[:3, :3], truth.world_to_cam[:3, 3]
        np.testing.assert_allclose(view.world_to_cam[:3, :3].T, flip @ rotation.T, atol=1e-6)
        np.testing.assert_allclose(view.center, flip @ (-rotation.T @ translation - b) / a, atol=1e-6)
        np.testing.assert_allclose(view.intrinsics, truth.intrinsics, atol=1e-5)
    # The record of the change leads back: a point projects to the same pixel in both worlds.
    point = np.array([0.3, -0.1, 0.2, 1.0])
    old = scene.views[2].intrinsics @ (scene.views[2].world_to_cam @ found.to_original @ point)[:3]
    new = found.views[2].intrinsics @ (found.views[2].world_to_cam @ point)[:3]
    np.testing.assert_allclose(old[:2] / old[2], new[:2] / new[2], atol=1e-4)


def test_neuray_training_range_and_depth_cache(neuray, scene):
    bare = read_dtu_neuray_train(neuray / "dtu_train" / "scan7")
    assert all(view.near_far == (0.8, 4.0) and view.depth is None for view in bare.views)
    found = read_dtu_neuray_train(neuray / "dtu_train" / "scan7", depth_cache=neuray / "colmap_dtu_cache")
    a = read_idr_cameras(neuray / "dtu_train" / "scan7" / "cameras.npz").scale_mats[0][0, 0]
    np.testing.assert_allclose(load_depth(found.views[3]), scene.views[3].depth / a, rtol=1e-5)


def test_neuray_test_scans_have_a_split_bounds_and_half_size_depth(neuray, scene):
    found = read_dtu_neuray_test(neuray / "dtu_test" / "scan7")
    assert found.splits["test"] == (3,) and len(found.splits["train"]) == 11
    a = read_idr_cameras(neuray / "dtu_test" / "scan7" / "cameras.npz").scale_mats[0][0, 0]
    assert found.views[0].near_far == pytest.approx((0.95 * scene.near_far[0] / a, 1.05 * scene.near_far[1] / a))
    np.testing.assert_array_equal(load_mask(found.views[4]), scene.views[4].mask)
    np.testing.assert_allclose(load_depth(found.views[4])[::2, ::2], scene.views[4].depth[::2, ::2] / a, rtol=1e-5)


def test_neuray_test_views_are_every_eighth_of_49_without_the_ends():
    from common.datasets.dtu_neuray import TEST_VIEWS

    assert list(range(49))[TEST_VIEWS] == [3, 11, 19, 27, 35, 43]


def test_neuray_bounds_are_checked(neuray):
    path = neuray / "dtu_test" / "scan7" / "depth_range.npy"
    np.save(path, np.array([2.0, 1.0]))
    with pytest.raises(ValueError, match=r"depth_range.npy has depth bounds 2 and 1"):
        read_dtu_neuray_test(neuray / "dtu_test" / "scan7")
    np.save(path, np.ones(3))
    with pytest.raises(ValueError, match="holds 3 numbers; expected near and far"):
        read_dtu_neuray_test(neuray / "dtu_test" / "scan7")


def test_matrices_without_a_sphere_are_not_normalised(neuray, scene):
    path = neuray / "dtu_train" / "scan7" / "cameras.npz"
    write_idr_cameras(path, IdrCameras(read_idr_cameras(path).world_mats, None))
    found = read_dtu_neuray_train(neuray / "dtu_train" / "scan7")
    center = -scene.views[0].world_to_cam[:3, :3].T @ scene.views[0].world_to_cam[:3, 3]
    np.testing.assert_allclose(found.views[0].center, center * [1, -1, -1], atol=1e-6)


def test_original_archives_come_back(scene, tmp_path):
    write_dtu_original(tmp_path, scene)
    shutil.copy(*[tmp_path / "Rectified" / "scan7" / f"rect_001_{name}.png" for name in ("3_r5000", "max")])
    found = read_dtu_original(tmp_path, "scan7")
    check_cameras(found, scene, 1e-8)
    np.testing.assert_array_equal(np.rint(load_image(found.views[1]) * 255), scene.views[1].image)


def test_original_archives_that_lack_something_are_refused(scene, tmp_path):
    write_dtu_original(tmp_path, scene)
    with pytest.raises(FileNotFoundError, match=r"rect_001_4_r5000.png"):
        read_dtu_original(tmp_path, "scan7", light=4)
    calibration = tmp_path / "Calibration" / "cal18" / "pos_002.txt"
    calibration.write_text("1 0 0 0\n0 1 0 0\n0 0 1\n")
    with pytest.raises(ValueError, match=r"pos_002.txt holds 11 numbers, expected the 12"):
        read_dtu_original(tmp_path, "scan7")
    calibration.unlink()
    with pytest.raises(FileNotFoundError, match=r"pos_002.txt"):
        read_dtu_original(tmp_path, "scan7")
    (tmp_path / "Rectified" / "scan7" / "rect_002_3_r5000.png").unlink()
    with pytest.raises(ValueError, match="lacks the picture 002 of light 3"):
        read_dtu_original(tmp_path, "scan7")
