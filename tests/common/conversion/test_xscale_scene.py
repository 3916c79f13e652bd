import dataclasses

import numpy as np
import pytest

from common.conversion.xscale_scene import plain_name, write_xscale_scene
from common.datasets.colmap import read_colmap
from common.datasets.open_scene import open_scene
from common.datasets.scene import ImageFile
from common.datasets.writers.colmap import write_colmap
from common.datasets.xscale import read_xscale
from common.io.images import read_pixels, write_pixels
from common.io.mvsnet_camera import read_mvsnet_camera
from tests.epipolar import median_epipolar_distance

HALF_PIXEL = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])


@pytest.fixture
def scene(rendered_scene, tmp_path):
    write_colmap(tmp_path / "capture", rendered_scene, lens=None)
    return read_colmap(tmp_path / "capture" / "toy")


def renamed(scene, names):
    views = [dataclasses.replace(view, name=name) for view, name in zip(scene.views, names, strict=True)]
    return dataclasses.replace(scene, views=tuple(views))


def test_cameras_pictures_and_their_order_come_back(rendered_scene, scene, tmp_path):
    assert write_xscale_scene(tmp_path / "out", scene) == ("00000", "00001", "00002", "00003")
    found = open_scene(tmp_path / "out").with_pixel_origin("center")
    for view, truth, source in zip(found.views, rendered_scene.views, scene.views, strict=True):
        np.testing.assert_allclose(view.intrinsics, truth.intrinsics, atol=1e-9)
        np.testing.assert_allclose(view.world_to_cam, truth.world_to_cam, atol=1e-9)
        assert view.image.path.read_bytes() == source.image.path.read_bytes(), "a JPEG is not encoded again"


def test_sizes_are_rounded_down_and_intrinsics_follow_them(rendered_scene, scene, tmp_path):
    write_xscale_scene(tmp_path / "out", scene, 7)
    view, truth = read_xscale(tmp_path / "out", 7).views[0], rendered_scene.views[0]
    assert view.image.size == (22, 17)  # of 160 x 120
    scale = np.diag([22 / 160, 17 / 120, 1])
    np.testing.assert_allclose(view.intrinsics, scale @ (truth.intrinsics + HALF_PIXEL), atol=1e-9)


def test_names_lose_folders_and_dots_and_must_stay_different(scene, tmp_path):
    assert plain_name("left/IMG.0001") == "left_IMG_0001"
    names = write_xscale_scene(tmp_path / "out", renamed(scene, ["v1.0", "v1.1", "a/b", "c\\d"]), key="k_")
    assert names == ("k_v1_0", "k_v1_1", "k_a_b", "k_c_d")
    assert (tmp_path / "out/cams_1/k_v1_0_cam.txt").is_file() and (tmp_path / "out/images_1/k_c_d.JPG").is_file()
    with pytest.raises(ValueError, match=r"views 'v1\.0' and 'v1_0' would both be called 'v1_0'"):
        write_xscale_scene(tmp_path / "other", renamed(scene, ["v1.0", "v1_0", "a", "b"]))


def test_pictures_of_another_conversion_are_not_mixed_in(scene, tmp_path):
    write_xscale_scene(tmp_path / "out", scene)
    write_xscale_scene(tmp_path / "out", scene)
    fewer = dataclasses.replace(scene, views=scene.views[:3])
    with pytest.raises(ValueError, match=r"images_1 already holds 1 other pictures \(00003\.JPG, \.\.\.\)"):
        write_xscale_scene(tmp_path / "out", fewer)
    write_xscale_scene(tmp_path / "out", fewer, key="second_")
    assert len(read_xscale(tmp_path / "out").views) == 7


def test_transparent_and_deep_pictures_become_plain_ones(scene, tmp_path):
    rgba = np.zeros((120, 160, 4), np.uint8)
    rgba[..., 0], rgba[:60, :, 3] = 200, 255
    deep = np.full((120, 160), 40000, np.uint16)
    files = []
    for name, pixels in (("rgba", rgba), ("deep", deep)):
        write_pixels(tmp_path / f"{name}.png", pixels)
        files.append(ImageFile(tmp_path / f"{name}.png", (160, 120), 1.0 if name == "rgba" else None))
    views = [dataclasses.replace(view, image=file) for view, file in zip(scene.views, files, strict=False)]
    write_xscale_scene(tmp_path / "out", dataclasses.replace(scene, views=tuple(views)))
    first, second = (read_pixels(tmp_path / f"out/images_1/0000{index}.JPG").astype(int) for index in (0, 1))
    assert np.abs(first[20, 20] - [200, 0, 0]).max() < 4 and np.abs(first[100, 20] - 255).max() < 4
    assert np.abs(second - 40000 / 257).max() < 3


@pytest.mark.parametrize("downscale", [0, -1, 121])
def test_sizes_that_do_not_exist_are_refused(scene, tmp_path, downscale):
    with pytest.raises(ValueError, match=f"pictures of 120 pixels cannot be reduced by {downscale}"):
        write_xscale_scene(tmp_path / "out", scene, downscale)


def test_a_damaged_photograph_stops_with_its_name(scene, tmp_path):
    path = scene.views[2].image.path
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ValueError, match=r"cannot read the picture .*00002\.jpg"):
        write_xscale_scene(tmp_path / "out", scene, 2)
    with pytest.raises(ValueError, match="has no view with a picture"):
        poses = tuple(dataclasses.replace(view, image=None) for view in scene.views)
        write_xscale_scene(tmp_path / "none", dataclasses.replace(scene, views=poses))


@pytest.fixture(scope="module")
def castle(real_data, tmp_path_factory):
    """The real scene, reduced once more."""
    folder = tmp_path_factory.mktemp("castle")
    write_xscale_scene(folder, read_xscale(real_data / "xscale" / "sceaux", 4), 2)
    return read_xscale(folder, 2)


def test_the_real_castle_reduced_again_keeps_its_epipolar_lines(castle):
    assert max(median_epipolar_distance(castle, index, index + 1) for index in (0, 3, 6)) < 1.2


def test_the_real_kermit_lies_on_its_epipolar_lines_as_a_scene_of_xscale(real_data, tmp_path):
    write_xscale_scene(tmp_path, read_colmap(real_data / "kermit"))
    scene = read_xscale(tmp_path)
    assert max(median_epipolar_distance(scene, *pair) for pair in [(0, 1), (3, 4), (2, 3)]) < 1.2
    camera = read_mvsnet_camera(tmp_path / "cams_1" / "kermit000_cam.txt")
    assert camera.depth_line == ()
