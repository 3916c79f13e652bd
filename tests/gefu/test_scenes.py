"""Which scenes and views are taken when the data is not all there."""

import shutil

import cv2
import numpy as np
import pytest

from gefu.config import load_config
from gefu.data.loaders import build_test_loader, build_training_loader
from gefu.data.scenes import find_layout, read_scenes


def test_missing_scans_are_left_out_with_one_sentence(training_config, caplog):
    cfg = training_config("train_dataset.ann_file", "data/mvsnerf/dtu_val_all.txt")
    scenes = read_scenes(find_layout("lib.datasets.dtu.gefu"), cfg.train_dataset)
    assert [chosen.scene.name for chosen in scenes] == ["scan1"]
    (record,) = caplog.records
    assert record.getMessage().startswith("15 of 16 scenes are not in")
    assert "scan8, scan21" in record.getMessage()


def test_no_scene_at_all_is_an_error(training_config):
    cfg = training_config("train_dataset.scene", "scan77")
    with pytest.raises(FileNotFoundError, match=r"no scene folder .*Rectified/scan77_train"):
        build_training_loader(cfg, 0)


def test_a_missing_data_root_names_both_places(training_config):
    with pytest.raises(FileNotFoundError, match=r"mvs_training/dtu in the working directory .* or in .*gefu"):
        build_test_loader(training_config())


def test_the_workspace_comes_before_the_data_root(training_config, dtu_tree):
    cfg = training_config("workspace", str(dtu_tree.parent), "train_dataset.data_root", dtu_tree.name)
    assert len(build_training_loader(cfg, 0).dataset) == 12


def test_an_empty_list_file_takes_every_scan_that_is_there(training_config):
    dataset = build_training_loader(training_config(), 0).dataset
    assert [chosen.scene.name for chosen in dataset.scenes] == ["scan1", "scan2"]
    assert len(dataset) == 12  # every view of both is a target


def test_a_scan_without_the_papers_views_tests_every_eighth(training_config, dtu_tree, caplog):
    cfg = training_config("test_dataset.data_root", str(dtu_tree), "test_dataset.scene", "scan2")
    dataset = build_test_loader(cfg).dataset
    assert [target for _, target, _ in dataset.items] == [0]
    assert "every eighth view is tested" in caplog.text
    assert "1 of 1 test views have no depth map" in caplog.text
    item = dataset[0, 3]
    assert item["msk_1"].all()
    assert "tar_dpt" not in item
    assert np.array_equal(item["tar_img"].reshape(-1, 3), item["rgb_1"])


def test_images_kept_in_memory_are_the_files(training_config):
    plain = build_training_loader(training_config(), 0).dataset
    cached = build_training_loader(training_config("train_dataset.cache_megabytes", "1"), 0).dataset
    for _ in range(2):
        for name, value in plain[5, 3].items():
            if name != "meta":
                assert np.array_equal(cached[5, 3][name], value), name
    assert len(cached._cache._images) == 4
    cached._cache._limit = 2 * 64 * 64 * 3  # room for two
    cached[11, 2]  # another scan: nothing of it is there yet
    assert len(cached._cache._images) == 2


def test_sizes_that_do_not_fit_are_refused_with_the_way_out(training_config, dtu_tree, tmp_path):
    shutil.copytree(dtu_tree, tmp_path / "odd")
    for path in (tmp_path / "odd" / "Rectified").rglob("*.png"):
        cv2.imwrite(str(path), np.zeros((60, 64, 3), np.uint8))
    words = ["train_dataset.data_root", str(tmp_path / "odd")]
    with pytest.raises(ValueError, match="64 x 60 pixels, but GeFu needs multiples of 32; set input_h_w"):
        build_training_loader(training_config(*words), 0)
    item = build_training_loader(training_config(*words, "train_dataset.input_h_w", "64,64"), 0).dataset[0, 2]
    assert item["src_inps"].shape == (2, 3, 64, 64)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_damaged_picture_is_named_also_by_a_worker(training_config, dtu_tree, tmp_path, workers):
    shutil.copytree(dtu_tree, tmp_path / "cut")
    for path in (tmp_path / "cut" / "Rectified").rglob("*.png"):
        path.write_bytes(path.read_bytes()[:600])
    cfg = training_config("train_dataset.data_root", str(tmp_path / "cut"), "train.num_workers", workers)
    with pytest.raises(ValueError, match=r"^[^\n]*rect_00\d_3_r5000.png[^\n]*$"):
        list(build_training_loader(cfg, 0))


def test_a_depth_map_that_is_cut_off_is_named(training_config, dtu_tree, tmp_path):
    shutil.copytree(dtu_tree, tmp_path / "cut")
    path = tmp_path / "cut" / "Depths_raw" / "scan1" / "depth_map_0000.pfm"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"Pf\n64 64\n-1.0\n" + bytes(100))
    cfg = training_config("test_dataset.data_root", str(tmp_path / "cut"), "test_dataset.scene", "scan1")
    with pytest.raises(ValueError, match=r"depth_map_0000\.pfm"):
        list(build_test_loader(cfg))


def test_a_pose_that_is_not_a_number_is_named(training_config, dtu_tree, tmp_path):
    shutil.copytree(dtu_tree, tmp_path / "nan")
    path = tmp_path / "nan" / "Cameras" / "train" / "00000003_cam.txt"
    lines = path.read_text().splitlines()
    lines[1] = "nan 0 0 0"
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"00000003_cam\.txt"):
        build_training_loader(training_config("train_dataset.data_root", str(tmp_path / "nan")), 0)


def test_an_unknown_layout_lists_the_choices():
    with pytest.raises(ValueError, match=r"'lib.datasets.kitti'; .*lib.datasets.dtu.gefu, lib.datasets.llff.gefu"):
        find_layout("lib.datasets.kitti")


def test_real_data_gives_items(real_data):
    cases = {
        "dtu_pretrain": ("dtu", "scan24", (512, 640), 4),
        "llff_eval": ("nerf_llff_data", "fern", (640, 960), 4),
        "nerf_eval": ("nerf_synthetic", "lego", (800, 800), 7),
    }
    for name, (folder, scene, size, count) in cases.items():
        words = ["test_dataset.data_root", str(real_data / folder), "test_dataset.scene", scene]
        dataset = build_test_loader(load_config(f"configs/gefu/{name}.yaml", words)).dataset
        assert len(dataset) == count
        item = dataset[0, 3]
        assert item["src_inps"].shape == (3, 3, *size)
        assert item["src_inps"].min() >= -1
        assert item["src_inps"].max() <= 1
