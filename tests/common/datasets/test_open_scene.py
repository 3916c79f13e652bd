import json
import shutil

import pytest

from common.datasets.open_scene import LAYOUTS, open_scene, recognize_layout
from common.datasets.writers import layouts as writers
from common.datasets.writers.colmap import write_colmap
from common.datasets.writers.llff import write_llff
from common.datasets.writers.metashape import write_metashape
from common.datasets.writers.neus import write_neus
from common.datasets.writers.transforms import write_transforms

# Packagings that share a reader, by the name of their writer.
SAME_READER = {
    "colmap_dense": "colmap",
    "dtu_full": "dtu",
    "dtu_gens": "dtu",
    "neuray_gso": "google_scanned_objects",
    "neuray_llff_colmap": "llff_colmap",
    "neuray_nerf_synthetic": "nerf_synthetic",
    "neuray_real_estate": "real_estate",
    "neuray_spaces": "spaces",
    "tanks": "mvsnet_folder",
}
PLACES = {
    **dict.fromkeys(("dtu", "dtu_full", "dtu_gens", "dtu_original", "real_estate"), "."),
    "dtu_neuray_train": "dtu_train/scan1",
    "dtu_neuray_test": "dtu_test/scan1",
    "neuray_gso": "google_scanned_objects/scan1",
    "neuray_llff_colmap": "llff_colmap/scan1",
    "neuray_nerf_synthetic": "nerf_synthetic/scan1",
    "neuray_real_estate": "real_estate_dataset/train",
    "neuray_spaces": "spaces_dataset/data/800/scan1",
    "real_iconic": "real_iconic_noface/scan1",
}


@pytest.fixture
def scene(make_rendered_scene):
    return make_rendered_scene("scan1", num_views=3, size=(64, 48), centered=True)


@pytest.mark.parametrize("name", writers.LAYOUTS)
def test_every_layout_that_is_written_is_recognised(name, scene, tmp_path):
    writers.LAYOUTS[name].write(tmp_path, scene)
    assert recognize_layout(tmp_path / PLACES.get(name, "scan1")) == SAME_READER.get(name, name)


def test_every_reader_has_a_writer():
    assert set(LAYOUTS) == {SAME_READER.get(name, name) for name in writers.LAYOUTS}


def test_a_colmap_run_inside_another_layout_gives_way(scene, tmp_path):
    write_neus(tmp_path / "neus", scene)
    write_llff(tmp_path / "llff", scene)
    write_colmap(tmp_path / "colmap", scene)
    for name in ("neus", "llff"):
        shutil.copytree(tmp_path / "colmap" / "scan1" / "sparse", tmp_path / name / "scan1" / "sparse")
        assert recognize_layout(tmp_path / name / "scan1") == name


def test_two_layouts_in_one_folder_are_not_guessed(scene, tmp_path):
    write_transforms(tmp_path, scene)
    write_metashape(tmp_path, scene)
    with pytest.raises(ValueError, match="scan1 has the files of transforms and metashape; say which one with layout="):
        open_scene(tmp_path / "scan1")
    assert len(open_scene(tmp_path / "scan1", "metashape").views) == 3


def test_a_folder_of_scenes_is_told_from_a_scene(scene, tmp_path):
    write_llff(tmp_path, scene)
    with pytest.raises(ValueError, match="is not a scene but holds 1 of them, 'scan1' say; give one of these"):
        open_scene(tmp_path)


def test_an_unknown_folder_is_refused_with_the_known_layouts(tmp_path):
    with pytest.raises(ValueError, match=r"has none of the layouts dtu, .*colmap"):
        open_scene(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no file or folder .*nowhere"):
        open_scene(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"a\.txt is a file of no known scene description"):
        open_scene(tmp_path / "a.txt")


def test_descriptions_may_be_given_as_files(scene, tmp_path):
    write_transforms(tmp_path / "t", scene)
    write_metashape(tmp_path / "m", scene)
    assert len(open_scene(tmp_path / "t" / "scan1" / "transforms.json").views) == 3
    assert len(open_scene(tmp_path / "m" / "scan1" / "cameras.xml").views) == 3


def test_options_go_to_the_reader_and_unknown_ones_are_refused(scene, tmp_path):
    write_neus(tmp_path, scene)
    assert open_scene(tmp_path / "scan1", normalize=True).to_original is not None
    with pytest.raises(
        ValueError, match="layout 'neus' has no option 'normalise'; it has cameras, normalize, mask_thr"
    ):
        open_scene(tmp_path / "scan1", normalise=True)
    with pytest.raises(ValueError, match="unknown layout 'nues'; known are dtu, "):
        open_scene(tmp_path / "scan1", "nues")


def test_depth_bounds_can_be_given(scene, tmp_path):
    write_transforms(tmp_path, scene)
    assert open_scene(tmp_path / "scan1").views[0].near_far is None
    assert {view.near_far for view in open_scene(tmp_path / "scan1", near_far=(2.0, 6.0)).views} == {(2.0, 6.0)}


def test_one_of_several_scans_must_be_named(scene, make_rendered_scene, tmp_path):
    writers.LAYOUTS["dtu"].write(tmp_path, scene)
    assert open_scene(tmp_path).name == "scan1"
    writers.LAYOUTS["dtu"].write(tmp_path, make_rendered_scene("scan7", num_views=3, size=(64, 48), centered=True))
    with pytest.raises(ValueError, match="has 2 scans; say which one with scan="):
        open_scene(tmp_path)
    assert open_scene(tmp_path, scan="scan7").name == "scan7"


def test_a_hostile_json_in_a_known_layout_is_one_sentence(scene, tmp_path):
    write_transforms(tmp_path, scene)
    content = json.loads((tmp_path / "scan1" / "transforms.json").read_text())
    content["frames"][0]["file_path"] = "../../../etc/passwd"
    (tmp_path / "scan1" / "transforms.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="not inside"):
        open_scene(tmp_path / "scan1")


REAL = {
    "dtu": "dtu",
    "nerf_llff_data/fern": "llff",
    "nerf_synthetic/lego": "nerf_synthetic",
    "fox": "transforms",
    "kermit": "colmap",
    "kermit/dense": "colmap",
    "kermit/sparse/0": "colmap",
    "xscale/sceaux": "xscale",
    "mvsnet_castle": "mvsnet_folder",
    "metashape": "metashape",
}


@pytest.mark.parametrize(("folder", "layout"), REAL.items())
def test_real_folders_are_recognised(real_data, folder, layout):
    assert recognize_layout(real_data / folder) == layout
