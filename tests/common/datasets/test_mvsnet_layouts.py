"""BlendedMVS, MVSNet's testing form with Tanks and Temples, and XScale-NVS: layouts with MVSNet's camera files."""

import shutil

import numpy as np
import pytest
import trimesh

from common.datasets.blendedmvs import read_blendedmvs
from common.datasets.loading import load_depth, load_depth_file, load_image, load_mask
from common.datasets.mvsnet_folder import read_mvsnet_folder
from common.datasets.writers.blendedmvs import write_blendedmvs
from common.datasets.writers.mvsnet_folder import write_mvsnet_folder, write_tanks_folder
from common.datasets.writers.xscale import write_xscale
from common.datasets.xscale import find_mesh, read_xscale
from common.io.depth_maps import write_colmap_array
from common.io.images import write_image
from common.io.pair_file import write_pair_file

NAME = "5a3cb4e4270f0e3f1e1f1f1f"


@pytest.fixture(scope="module")
def scene(make_rendered_scene):
    return make_rendered_scene(NAME, num_views=4, size=(48, 36))


@pytest.fixture
def blended(scene, tmp_path):
    write_blendedmvs(tmp_path, scene)
    return tmp_path / NAME


@pytest.fixture
def mvsnet(scene, tmp_path):
    write_mvsnet_folder(tmp_path, scene)
    return tmp_path / NAME


@pytest.fixture
def xscale(scene, tmp_path):
    write_xscale(tmp_path, scene, 4)
    return tmp_path / NAME


def check_cameras(found, truth, shift=0.0):
    for view, expected in zip(found.views, truth.views, strict=True):
        np.testing.assert_allclose(view.world_to_cam, expected.world_to_cam, atol=1e-12)
        offset = [[0, 0, shift], [0, 0, shift], [0, 0, 0]]
        np.testing.assert_allclose(view.intrinsics, expected.intrinsics + offset, atol=1e-12)


def test_blendedmvs_comes_back(blended, scene):
    found = read_blendedmvs(blended)
    check_cameras(found, scene)
    for view, truth in zip(found.views, scene.views, strict=True):
        np.testing.assert_array_equal(load_depth(view), truth.depth)
        assert view.near_far == pytest.approx(scene.near_far)
        assert np.abs(load_image(view) * 255 - truth.image).mean() < 25  # JPEG of a hard texture
    assert sorted(found.pairs) == [0, 1, 2, 3]


def test_masked_pictures_are_black_where_the_mask_is_not(blended, scene):
    depth = scene.views[2].depth.copy()
    hidden = np.zeros(depth.shape, bool)
    hidden[:, :24] = True
    write_image(blended / "blended_images" / "00000002_masked.jpg", scene.views[2].image * ~hidden[..., None])
    masked, plain = read_blendedmvs(blended, masked=True).views[2], read_blendedmvs(blended).views[2]
    assert load_image(masked)[:, :12].max() < 0.01 < load_image(plain)[:, :12].min(axis=-1).max()
    for view in (masked, plain):
        assert not load_mask(view)[:, :12].any() and load_mask(view)[:, 32:].mean() > 0.95
    assert masked.name == plain.name == "00000002"


def test_gens_takes_the_far_depth_from_the_interval(blended, scene):
    near, far = scene.near_far
    expected = near + 192 * (far - near) / 127
    assert read_blendedmvs(blended, num_intervals=192.0).views[0].near_far == pytest.approx((near, expected))


def test_neurays_depth_is_at_half_size(blended, scene):
    half = np.ascontiguousarray(scene.views[1].depth[::2, ::2])
    write_colmap_array(blended / "colmap_depth" / "1.jpg.geometric.bin", half)
    view = read_blendedmvs(blended, depth="colmap").views[1]
    np.testing.assert_array_equal(load_depth_file(view.depth), half)
    assert load_depth(view).shape == (36, 48)


def test_a_view_without_source_is_kept(blended):
    write_pair_file(blended / "cams" / "pair.txt", {0: ((2, 1.0),), 1: (), 2: ((0, 1.0),), 3: ()})
    assert read_blendedmvs(blended).pairs == {0: (2,), 1: (), 2: (0,), 3: ()}


def test_a_pair_file_that_forgets_views_is_refused(blended):
    write_pair_file(blended / "cams" / "pair.txt", {0: ((2, 1.0),), 2: ((0, 1.0),)})
    with pytest.raises(ValueError, match=r"pair.txt has no entry for 2 of 4 views, first 1"):
        read_blendedmvs(blended)


def test_blendedmvs_without_its_files_is_refused(blended, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no camera files like .*cams.00000000_cam.txt"):
        read_blendedmvs(tmp_path / "absent")
    (blended / "blended_images" / "00000001.jpg").unlink()
    assert read_blendedmvs(blended).views[1].image is None
    assert "1 of 4 cameras have no picture" in read_blendedmvs(blended).notes[0]
    shutil.rmtree(blended / "blended_images")
    with pytest.raises(FileNotFoundError, match=r"no picture like .*00000000.jpg"):
        read_blendedmvs(blended)


def test_mvsnet_folders_come_back(mvsnet, scene):
    found = read_mvsnet_folder(mvsnet)
    check_cameras(found, scene)
    assert found.pixel_origin == "center" and found.views[0].near_far == pytest.approx(scene.near_far)
    assert [view.name for view in found.views] == [f"{index:08d}" for index in range(4)]


def test_tanks_and_temples_has_another_camera_folder(scene, tmp_path):
    write_tanks_folder(tmp_path, scene)
    assert (tmp_path / NAME / "cams_1").is_dir()
    check_cameras(read_mvsnet_folder(tmp_path / NAME), scene)


def test_pairs_follow_the_numbers_in_the_names(mvsnet):
    for folder, suffix in (("images", ".jpg"), ("cams", "_cam.txt")):
        (mvsnet / folder / f"00000001{suffix}").unlink()
    write_pair_file(mvsnet / "pair.txt", {3: ((0, 2.0), (1, 1.5), (2, 1.0)), 0: ((3, 1.0),), 1: (), 2: ((0, 1.0),)})
    found = read_mvsnet_folder(mvsnet)
    assert [view.name[-1] for view in found.views] == ["0", "2", "3"]
    assert found.pairs == {0: (2,), 1: (0,), 2: (0, 1)}


def test_pictures_may_have_any_usual_extension_and_strays_are_counted(mvsnet, scene):
    (mvsnet / "images" / "00000000.jpg").rename(mvsnet / "images" / "00000000.JPG")
    write_image(mvsnet / "images" / "cover.png", scene.views[0].image)
    (mvsnet / "images" / "00000003.jpg").unlink()
    found = read_mvsnet_folder(mvsnet)
    assert found.views[0].image.path.suffix == ".JPG" and found.views[3].image is None
    assert found.notes == (
        "1 of 4 cameras have no picture; their views are poses only",
        "1 pictures have no camera and are left out",
    )


def test_a_folder_without_pair_file_has_no_pairs(mvsnet):
    (mvsnet / "pair.txt").unlink()
    assert read_mvsnet_folder(mvsnet).pairs == {}


def test_mvsnet_folders_without_pictures_are_refused(mvsnet):
    shutil.rmtree(mvsnet / "images")
    with pytest.raises(FileNotFoundError, match=r"no picture like .*00000000.jpg for the cameras in"):
        read_mvsnet_folder(mvsnet)


def test_xscale_scenes_come_back(xscale, scene):
    found = read_xscale(xscale, 4)
    check_cameras(found, scene, shift=0.5)
    assert found.pixel_origin == "corner" and all(view.near_far is None for view in found.views)
    check_cameras(found.with_pixel_origin("center"), scene)


def test_the_mesh_of_an_xscale_scene_is_the_surface(xscale, scene):
    assert read_xscale(xscale, 4).mesh == find_mesh(xscale)
    mesh = trimesh.load_mesh(find_mesh(xscale), process=False)
    np.testing.assert_allclose(mesh.vertices, scene.mesh.vertices, atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, scene.mesh.faces)
    with pytest.raises(FileNotFoundError, match=r"no mesh .*2.obj"):
        find_mesh(xscale, "2.obj")
    with pytest.raises(ValueError, match="which is not inside"):
        find_mesh(xscale, "../1.obj")


def test_names_with_dots_belong_to_their_cameras(xscale):
    (xscale / "images_4" / "00001.JPG").rename(xscale / "images_4" / "DJI.0001.JPG")
    (xscale / "cams_4" / "00001_cam.txt").rename(xscale / "cams_4" / "DJI.0001_cam.txt")
    assert [view.name for view in read_xscale(xscale, 4).views] == ["00000", "00002", "00003", "DJI.0001"]


def test_small_letters_are_fine_but_mixing_is_refused(xscale):
    (xscale / "images_4" / "Thumbs.db").write_bytes(b"x")
    (xscale / "images_4" / "mask.png").write_bytes(b"x")
    (xscale / "images_4" / "00001.JPG").rename(xscale / "images_4" / "00001.jpg")
    with pytest.raises(ValueError, match=r"images_4 mixes .JPG and .jpg files"):
        read_xscale(xscale, 4)
    for index in (0, 2, 3):
        (xscale / "images_4" / f"0000{index}.JPG").rename(xscale / "images_4" / f"0000{index}.jpg")
    assert len(read_xscale(xscale, 4).views) == 4


def test_xscale_scenes_that_lack_something_are_refused(xscale):
    with pytest.raises(FileNotFoundError, match=r"no picture like .*images_1.00000.JPG"):
        read_xscale(xscale)
    (xscale / "cams_4" / "00002_cam.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"no camera file .*00002_cam.txt; 1 of 4 pictures"):
        read_xscale(xscale, 4)


def test_a_camera_of_another_image_size_is_noted(xscale, scene):
    write_image(xscale / "images_4" / "00001.JPG", np.zeros((18, 24, 3), np.uint8))
    assert "1 of 4 views (00001, ...)" in read_xscale(xscale, 4).notes[0]


@pytest.mark.parametrize(
    ("content", "error"), [(b"", "empty"), (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer")]
)
def test_stand_ins_for_pictures_are_refused(mvsnet, content, error):
    (mvsnet / "images" / "00000002.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=rf"00000002.jpg is .*{error}"):
        read_mvsnet_folder(mvsnet)


def test_real_folders_have_their_known_form(real_data):
    castle = read_mvsnet_folder(real_data / "mvsnet_castle")
    assert len(castle.views) == 10 and castle.pairs[0] == (1, 2, 3, 4, 5, 6, 7, 9, 8)
    assert castle.views[0].near_far == (5.819737, 10.626591)
    sceaux = read_xscale(real_data / "xscale" / "sceaux", 8)
    assert len(sceaux.views) == 10 and sceaux.views[0].image.size == (354, 266)
    assert find_mesh(real_data / "xscale" / "sceaux").stat().st_size > 1e6
    # The principal point is off the centre by 36 and 61 pixels at full size, and stays so.
    offset = 8 * np.abs(sceaux.views[0].intrinsics[:2, 2] - np.array([354, 266]) / 2)
    np.testing.assert_allclose(offset, [36, 61], atol=1)
