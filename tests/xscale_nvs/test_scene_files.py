import logging

import numpy as np
import pytest
from PIL import Image

from xscale_nvs.parameters import load_params
from xscale_nvs.scene_files import open_scene, read_lights


@pytest.fixture
def stored(golden):
    return golden("xscale_nvs/ray_cache_ss1")


@pytest.fixture
def open_with(stored, scene_settings):
    words = scene_settings(stored)
    return lambda **settings: open_scene(load_params(overrides=[*words, *map(str, sum(settings.items(), ()))]))


@pytest.fixture
def folder(open_with, tmp_path):
    return tmp_path / "data" / "scene"


def test_views_are_numbered_along_the_sorted_names(open_with, folder):
    Image.new("RGB", (48, 36)).save(folder / "images_4" / "V0005.x.JPG", format="png")
    scene = open_with()
    assert scene.names == ("V000", "V0005", "V001", "V002", "V003", "V004", "V005")
    assert scene.photographs[1].name == "V0005.x.JPG" and scene.camera_file(1).name == "V0005_cam.txt"


def test_the_papers_camera_keeps_f_y_alone(open_with, stored):
    camera = open_with().camera(2)
    focal = stored["K"][2][1, 1]
    expected = [[focal, 0, 24 - 0.5], [0, focal, 18 - 0.5], [0, 0, 1]]
    assert camera.intrinsics.tolist() == expected and (camera.height, camera.width) == (36, 48)
    np.testing.assert_array_equal(camera.world_to_cam.numpy(), stored["E"][2])
    assert camera.near_far == (0.001, 1000.0)


def test_full_intrinsics_are_those_of_the_file_half_a_pixel_on(open_with, stored):
    expected = stored["K"][2] - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    np.testing.assert_allclose(open_with(full_intrinsics=True).camera(2).intrinsics.numpy(), expected)


def test_the_placeholder_mesh_stands_for_1_obj(open_with, folder, caplog):
    (folder / "1.obj").write_text("v 0 0 0\n")
    with caplog.at_level(logging.INFO):
        assert open_with(meshName="YourMeshName.MeshEXT").mesh == folder / "1.obj"
    assert "1.obj" in caplog.text
    with pytest.raises(FileNotFoundError, match=r"no mesh .*other.ply; set meshName"):
        open_with(meshName="other.ply")


def test_other_extensions_are_taken_where_no_photograph_matches(open_with, folder, caplog):
    for path in folder.glob("images_4/*.JPG"):
        path.rename(path.with_suffix(".jpg"))
    with caplog.at_level(logging.WARNING):
        assert [path.name for path in open_with().photographs] == [f"V00{view}.jpg" for view in range(6)]
    assert "taking the 6 .jpg files" in caplog.text
    (folder / "images_4" / "V000.jpg").rename(folder / "images_4" / "V000.png")
    with pytest.raises(ValueError, match=r"mixes .jpg and .png files"):
        open_with()


def test_names_that_collide_at_the_first_dot_are_refused(open_with, folder):
    Image.new("RGB", (48, 36)).save(folder / "images_4" / "V003.b.JPG", format="png")
    with pytest.raises(ValueError, match=r"V003.JPG and V003.b.JPG are both called 'V003'"):
        open_with()


def test_a_folder_without_photographs_is_named(open_with):
    with pytest.raises(FileNotFoundError, match=r"no photograph like .*images_8"):
        open_with(dsp_factor=8)


def test_photographs_and_cameras_that_do_not_match_are_refused(open_with, folder):
    (folder / "cams_4" / "V004_cam.txt").unlink()
    scene = open_with()
    scene.check_views([0, 1], "test_view_list")
    with pytest.raises(FileNotFoundError, match=r"no camera file .*V004_cam.txt for the photograph .*1 of 3 views"):
        scene.check_views([3, 4, 5], "training_view_list")
    with pytest.raises(ValueError, match=r"names view 6 but .* has 6 photographs, views 0 to 5; set all_view_list"):
        scene.check_views([3, 6], "training_view_list")
    with pytest.raises(ValueError, match="'training_view_list' names no view"):
        scene.check_views([], "training_view_list")


@pytest.mark.parametrize("factor", [4, 0.25])
def test_a_camera_of_another_resolution_is_refused(open_with, folder, factor):
    path = folder / "cams_4" / "V001_cam.txt"
    lines = path.read_text().splitlines()
    for row in (7, 8):
        lines[row] = " ".join(str(float(word) * factor) for word in lines[row].split())
    path.write_text("\n".join(lines))
    with pytest.raises(
        ValueError, match=rf"V001_cam.txt is made for a picture {factor}\S* times the size of .*48 x 36"
    ):
        open_with().camera(1)


def test_an_off_centre_principal_point_is_no_other_resolution(open_with, folder):
    path = folder / "cams_4" / "V001_cam.txt"
    lines = path.read_text().splitlines()
    lines[7] = "60.0 0.0 31.0"
    path.write_text("\n".join(lines))
    assert open_with(full_intrinsics=True).camera(1).intrinsics[0, 2] == 30.5


def test_lights_are_read_by_name(open_with, folder):
    params = load_params(overrides=["num_lit", "3", "litsFolder", str(folder)])
    with pytest.raises(FileNotFoundError, match=r"lit.npz"):
        read_lights(params, ["V001"])
    np.savez(folder / "lit.npz", V001=np.array(2), V004=np.array(0), V005=np.array(3), V002=np.array([1]))
    assert read_lights(params, ["V004", "V001"]) == [0, 2]
    for name, message in [("V003", "no entry 'V003'"), ("V005", "from 0 to 2, got 3"), ("V002", "one integer")]:
        with pytest.raises(ValueError, match=message):
            read_lights(params, [name])
    np.savez(folder / "lit.npz", V001=np.array(None))
    with pytest.raises(ValueError, match="not a file of integers"):
        read_lights(params, ["V001"])
    assert read_lights(load_params(), ["a", "b"]) == [0, 0]


def test_the_placeholder_folder_is_said():
    with pytest.raises(ValueError, match="datasetFolder is still"):
        open_scene(load_params())
