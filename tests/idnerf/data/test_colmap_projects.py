"""COLMAP's own folders as data to test on."""

import shutil

import numpy as np
import pytest

from common.baselines.source_views import resized_intrinsics
from common.datasets.scene import Distortion
from common.datasets.writers.colmap import write_colmap
from idnerf.data.loaders import build_dataset
from idnerf.options import load_options
from tests.scenes import make_scene, render

SIZE = (160, 128)


def dataset(root, *words):
    section = "--data_test.colmap"
    given = [f"{section}.root_dir={root}", f"{section}.img_wh={SIZE[0]},{SIZE[1]}", "--n_src_views=2"]
    return build_dataset(load_options(["--yaml=test_colmap", *given, *words]), "data_test.colmap", "test")


@pytest.fixture(scope="module")
def truth():
    return make_scene(num_views=5, size=(2 * SIZE[0], 2 * SIZE[1]))


@pytest.fixture(scope="module")
def root(truth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("captures")
    write_colmap(folder, truth, lens=Distortion("opencv", (-0.1, 0.02, 1e-3, -1e-3)))
    return folder


def test_a_project_is_read_with_its_lens_undone_and_its_world_scaled(root, truth):
    found = dataset(root)
    assert list(found.scenes) == ["toy"] and len(found) > 0
    item = found[0]
    views = [truth.views[number] for number in item["view_ids"]]
    assert len(views) == 3 and item["c2ws_all"].shape[1:] == (4, 4)
    relative = [item["extrinsics"] @ np.linalg.inv(item["extrinsics"][0])]
    relative.append(np.stack([view.world_to_cam @ np.linalg.inv(views[0].world_to_cam) for view in views]))
    np.testing.assert_allclose(relative[0][:, :3, :3], relative[1][:, :3, :3], atol=1e-5)
    nearest = min(bounds[0] for bounds in found.scenes["toy"].bounds)
    assert nearest == pytest.approx(1 / 0.47058824)
    lengths = [np.linalg.norm(poses[1:, :3, 3], axis=1) for poses in relative]
    assert lengths[0] / lengths[1] == pytest.approx(lengths[0][0] / lengths[1][0], abs=1e-5)
    for number, view in enumerate(views):
        intrinsics = resized_intrinsics(view.intrinsics, 0.5, 0.5)
        np.testing.assert_allclose(item["intrinsics"][number], intrinsics, atol=1e-4)
        expected = render(intrinsics, view.world_to_cam, SIZE).image / 255
        shown = item["images"][number].transpose(1, 2, 0)
        error, shifted = (np.abs(shown - other)[16:-16, 16:-16].mean() for other in (expected, np.roll(expected, 2, 1)))
        assert error < 0.5 * shifted


def test_the_folder_of_one_scene_is_a_data_set_too(root):
    assert list(dataset(root / "toy").scenes) == ["toy"]


def test_llffs_file_comes_before_a_model(root, tmp_path):
    shutil.copytree(root / "toy", tmp_path / "toy")
    (tmp_path / "toy/poses_bounds.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"poses_bounds\.npy"):
        dataset(tmp_path)


def test_a_folder_without_scenes_says_what_it_should_hold(tmp_path):
    (tmp_path / "photographs").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no scene in .*poses_bounds\.npy.* or projects of COLMAP"):
        dataset(tmp_path)


def test_real_photographs_with_a_lens_are_read(real_data):
    found = dataset(real_data / "kermit")
    assert list(found.scenes) == ["kermit"] and len(found.scenes["kermit"].images) == 11
    assert found[0]["images"].shape == (3, 3, SIZE[1], SIZE[0])
