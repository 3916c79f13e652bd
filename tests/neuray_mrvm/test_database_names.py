import shutil

import pytest

from neuray_mrvm.database_names import TYPES, database, parse_name, scene_names, training_names


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("dtu_tset/snowman/black_800", r"unknown database .*; did you mean 'dtu_test/snowman/black_800'\?"),
        ("nerf_synthetic/lego/black", r"unknown setting 'black' .*; did you mean 'nerf_synthetic/lego/black_800'\?"),
        ("dtu_test/snowman/white_800", r"did you mean 'dtu_test/snowman/black_800'\?"),
        ("llff_colmap/fern/medium", r"did you mean 'llff_colmap/fern/high'\?"),
        ("llff_colmap/fern", "is not of the form 'llff_colmap/<scene>/high'"),
        ("dtu_train/scan1/black_800", "is not of the form 'dtu_train/<scene>'"),
        ("space/../x", "is not of the form"),
        ("space/..", "is not of the form 'space/<scene>'"),
    ],
)
def test_wrong_names_are_one_sentence_with_the_nearest(name, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse_name(name)


def test_a_scene_that_is_not_there_is_one_sentence_with_the_nearest(neuray_tree, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*snowmen.* did you mean 'dtu_test/snowman/black_800'\?"):
        database("dtu_test/snowmen/black_800", neuray_tree)
    with pytest.raises(FileNotFoundError, match=r"no folder .*; see --base_data_dir"):
        database("gso/chair/black_raw", tmp_path)


def test_example_scenes_are_also_found_where_run_colmap_puts_them(neuray_tree, tmp_path, monkeypatch):
    shutil.copytree(neuray_tree / "example", tmp_path / "data" / "example")
    monkeypatch.chdir(tmp_path)
    assert len(database("example/desk/raw", tmp_path / "elsewhere").ids) == 12


def test_a_data_folder_lists_its_scenes(neuray_tree, tmp_path):
    assert scene_names("space", neuray_tree) == ["scene_000", "scene_008"]
    assert training_names("real_iconic", neuray_tree, "lr") == ["real_iconic/plant0/8"]
    assert training_names("real_estate", neuray_tree) == ["real_estate/clip0/450_800"]
    for scan in ("scan2", "scan24", "scan110", "notes"):
        (tmp_path / "dtu_train" / scan).mkdir(parents=True)
    assert training_names("dtu_train", tmp_path) == ["dtu_train/scan2"]
    assert all(training_names(kind, tmp_path / "nothing") == [] for kind in TYPES)


def test_camera_files_of_another_scene_are_refused(neuray_tree, tmp_path):
    """Another number of cameras, or names of other pictures."""
    shutil.copytree(neuray_tree / "dtu_test", tmp_path / "dtu_test")
    shutil.copy(neuray_tree / "dtu_train" / "scan1" / "cameras.npz", tmp_path / "dtu_test" / "snowman")
    with pytest.raises(ValueError, match=r"snowman has 14 pictures but cameras\.npz has 6 cameras"):
        database("dtu_test/snowman/black_80", tmp_path)
    shutil.copytree(neuray_tree / "llff_colmap", tmp_path / "llff_colmap")
    for part in ("cameras", "images", "points3D"):
        other = neuray_tree / "example" / "desk" / "sparse" / "0" / f"{part}.bin"
        shutil.copy(other, tmp_path / "llff_colmap" / "fern" / "sparse")
    with pytest.raises((ValueError, FileNotFoundError), match=r"depth_range|picture|0000\.png"):
        database("llff_colmap/fern/low", tmp_path)
