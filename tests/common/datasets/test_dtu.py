import shutil

import numpy as np
import pytest

from common.datasets.dtu import pseudo_depth_file, read_dtu
from common.datasets.loading import load_depth, load_depth_file, load_image, load_mask
from common.datasets.writers.dtu import write_dtu
from common.datasets.writers.dtu_gens import write_dtu_gens
from common.io.images import write_image
from common.io.pfm import read_pfm, write_pfm
from tests.scenes import make_scene


@pytest.fixture(scope="module")
def training_scene():
    return make_scene("scan7", num_views=4)


@pytest.fixture(scope="module")
def full_scene():
    return make_scene("scan7", num_views=4, size=(64, 48))


@pytest.fixture(scope="module")
def written(tmp_path_factory, training_scene, full_scene):
    """DTU folders with a training and a raw scan: two roots, because their cameras differ."""
    train, raw = tmp_path_factory.mktemp("train"), tmp_path_factory.mktemp("raw")
    write_dtu(train, training_scene)
    write_dtu_gens(raw, full_scene)
    return train, raw


@pytest.fixture
def train(written, tmp_path):
    """A copy of the training folders, to damage."""
    return shutil.copytree(written[0], tmp_path / "dtu")


def test_training_pictures_depth_and_cameras_come_back(written, training_scene):
    scene = read_dtu(written[0], "scan7")
    assert scene.pixel_origin == "center" and len(scene.views) == 4 and not scene.notes
    for view, truth in zip(scene.views, training_scene.views, strict=True):
        np.testing.assert_allclose(view.intrinsics, truth.intrinsics, atol=1e-9)
        np.testing.assert_allclose(view.world_to_cam, truth.world_to_cam, atol=1e-12)
        np.testing.assert_array_equal(np.rint(load_image(view) * 255), truth.image)
        np.testing.assert_array_equal(load_mask(view), truth.mask)
        # The full-size maps are cast from a mesh; its facets stand for the sphere.
        difference = np.abs(load_depth(view) - truth.depth)
        assert np.median(difference) < 1e-3 and np.quantile(difference, 0.97) < 0.01


def test_the_crop_is_dtus_own(tmp_path):
    write_dtu(tmp_path, make_scene("scan1", num_views=1, size=(640, 512)))
    view = read_dtu(tmp_path, "scan1").views[0]
    assert view.depth.halve_and_crop == (80, 44, 640, 512)
    full = read_pfm(view.depth.path)
    assert full.shape == (1200, 1600)
    np.testing.assert_array_equal(load_depth(view), full[::2, ::2][44:556, 80:720])


def test_raw_pictures_come_back_under_every_light(written, full_scene):
    brightness = []
    for light in range(7):
        scene = read_dtu(written[1], "scan7", "raw", light=light)
        assert scene.views[0].image.path.name == f"rect_001_{light}_r5000.png"
        brightness.append(load_image(scene.views[0]).mean())
    assert np.all(np.diff(brightness) > 0)
    scene = read_dtu(written[1], "scan7", "raw")
    for view, truth in zip(scene.views, full_scene.views, strict=True):
        np.testing.assert_allclose(view.intrinsics, truth.intrinsics, atol=1e-9)
        np.testing.assert_array_equal(load_depth(view), truth.depth)
        np.testing.assert_array_equal(load_mask(view), truth.depth > 0)
        np.testing.assert_array_equal(np.rint(load_image(view) * 255), truth.image)


def test_pseudo_depth_is_in_millimetres_at_its_own_size(written, full_scene):
    view = read_dtu(written[1], "scan7", "raw", depth="pseudo").views[2]
    np.testing.assert_allclose(load_depth_file(view.depth), full_scene.views[2].depth[::2, ::2], rtol=1e-6)
    assert load_depth(view).shape == full_scene.views[2].depth.shape
    with pytest.raises(ValueError, match="pseudo depths belong to the full pictures"):
        read_dtu(written[0], "scan7", depth="pseudo")
    assert all(view.depth is None for view in read_dtu(written[1], "scan7", "raw", depth="none").views)


def test_the_folder_of_pseudo_depths_may_have_its_other_name(train):
    assert pseudo_depth_file(train, "scan7", 0) is None
    path = train / "Pseudo_depths" / "scan7" / "0_epoch0.npy"
    path.parent.mkdir(parents=True)
    np.save(path, np.ones((2, 2), np.float32))
    assert pseudo_depth_file(train, "scan7", 0).path == path


def test_the_far_depth_follows_the_rule_that_is_asked_for(train):
    for path in (train / "Cameras" / "train").iterdir():
        path.write_text("\n".join(path.read_text().split("\n")[:11]) + "\n425.0 2.5\n")
    assert read_dtu(train, "scan7").views[0].near_far == (425, 905)
    assert read_dtu(train, "scan7", num_intervals=1.06 * 192).views[0].near_far == pytest.approx((425, 933.8))


def test_full_size_maps_are_found_under_their_other_name(train):
    (train / "Depths_raw").rename(train / "Depths")
    assert read_dtu(train, "scan7").views[0].depth.path.parts[-3:] == ("Depths", "scan7", "depth_map_0000.pfm")


def test_low_resolution_maps_of_the_original_archive_are_not_taken(train):
    shutil.rmtree(train / "Depths_raw")
    write_pfm(train / "Depths" / "scan7_train" / "depth_map_0000.pfm", np.ones((12, 16), np.float32))
    assert all(view.depth is None for view in read_dtu(train, "scan7").views)


def test_a_map_smaller_than_the_picture_is_refused_with_both_sizes(train):
    write_pfm(train / "Depths_raw" / "scan7" / "depth_map_0001.pfm", np.ones((48, 65), np.float32))
    with pytest.raises(ValueError, match=r"depth_map_0001.pfm has 65 x 48 pixels; expected 64 x 48"):
        read_dtu(train, "scan7")


def test_views_without_picture_keep_their_place(train):
    (train / "Rectified" / "scan7_train" / "rect_002_3_r5000.png").unlink()
    scene = read_dtu(train, "scan7")
    assert [view.image is None for view in scene.views] == [False, True, False, False]
    assert scene.views[1].depth is None and "1 of 4 views have no picture under light 3" in scene.notes[0]


def test_views_from_49_on_have_another_name_and_are_left_out_where_the_scan_has_none(train):
    for folder in (train / "Cameras", train / "Cameras" / "train"):
        for index in range(4, 64):
            shutil.copy(folder / "00000000_cam.txt", folder / f"{index:08d}_cam.txt")
    (train / "Cameras" / "pair.txt").unlink()
    assert len(read_dtu(train, "scan7").views) == 49
    pictures = train / "Rectified" / "scan7_train"
    shutil.copy(pictures / "rect_001_3_r5000.png", pictures / "rect_064_3_r7000.png")
    assert [view.image is not None for view in read_dtu(train, "scan7").views].count(True) == 5


def test_pairs_are_those_of_the_file(written, train):
    pairs = read_dtu(written[0], "scan7").pairs
    assert sorted(pairs) == [0, 1, 2, 3] and all(target not in sources for target, sources in pairs.items())
    (train / "Cameras" / "pair.txt").write_text("4\n0\n2 3 9 1 8\n1\n0\n2\n1 0 1\n3\n1 0 1\n")
    assert read_dtu(train, "scan7").pairs == {0: (3, 1), 1: (), 2: (0,), 3: (0,)}
    (train / "Cameras" / "pair.txt").write_text("3\n0\n2 3 9 1 8\n1\n0\n3\n1 0 1\n")
    with pytest.raises(ValueError, match=r"pair.txt has no entry for 1 of 4 views, first 2"):
        read_dtu(train, "scan7")


def test_a_resized_copy_with_the_cameras_of_another_size_is_noted(train):
    for path in (train / "Rectified" / "scan7_train").iterdir():
        write_image(path, np.zeros((24, 32, 3), np.uint8))
    assert "more than 25 % off the centre" in read_dtu(train, "scan7").notes[-1]


def test_a_broken_camera_is_refused_with_file_and_line(train):
    path = train / "Cameras" / "train" / "00000002_cam.txt"
    lines = path.read_text().split("\n")
    path.write_text("\n".join([lines[0], lines[2], lines[1], *lines[3:]]))
    with pytest.raises(ValueError, match=r"00000002_cam.txt:2 has a pose with determinant -1"):
        read_dtu(train, "scan7")
    path.write_text("\n".join([*lines[:7], "-" + lines[7], *lines[8:]]))
    with pytest.raises(ValueError, match=r"00000002_cam.txt:8 has focal lengths -.*must be positive"):
        read_dtu(train, "scan7")
    path.write_text("\n".join([*lines[:11], "425 -2.5"]))
    with pytest.raises(ValueError, match=r"00000002_cam.txt:12 has depth bounds 425 and -55"):
        read_dtu(train, "scan7")


def test_what_is_missing_is_named(train):
    with pytest.raises(FileNotFoundError, match=r"no picture .*scan8_train.rect_001_3_r5000.png"):
        read_dtu(train, "scan8")
    with pytest.raises(FileNotFoundError, match=r"rect_001_5_r5000.png"):
        read_dtu(train, "scan7", light=5)
    (train / "Cameras" / "train" / "00000001_cam.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"no camera file .*00000001_cam.txt.*MVSNet training layout"):
        read_dtu(train, "scan7")
    with pytest.raises(FileNotFoundError, match=r"00000000_cam.txt"):
        read_dtu(train / "absent", "scan7")


def test_choices_that_do_not_exist_are_refused(train):
    with pytest.raises(ValueError, match="lights 0 to 6, got 7"):
        read_dtu(train, "scan7", light=7)


def test_a_scan_list_cannot_lead_out_of_the_folder(train):
    with pytest.raises(ValueError, match=r"the list of scans names the file '../../scan7', which is not inside"):
        read_dtu(train, "../../scan7")


def test_the_reader_writes_nothing(written, tmp_path):
    before = sorted(written[0].rglob("*"))
    read_dtu(written[0], "scan7")
    assert sorted(written[0].rglob("*")) == before


def test_real_scan_24_has_the_known_crop_and_depth(real_data):
    scene = read_dtu(real_data / "dtu", "scan24")
    assert len(scene.views) == 49 and scene.pairs[43][:6] == (33, 44, 42, 34, 32, 45)
    fx, fy, cx, cy = scene.views[0].intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]]
    np.testing.assert_allclose([fx, fy, cx, cy], [1446.165, 1441.59, 331.6025, 265.5355], atol=5e-3)
    view = scene.views[23]
    assert view.depth.halve_and_crop == (80, 44, 640, 512)
    depth = load_depth(view)
    known = depth[depth > 0]
    assert np.quantile(known, 0.01) > 425 and np.quantile(known, 0.99) < 935
    pseudo = load_depth(read_dtu(real_data / "dtu", "scan24", "raw", depth="pseudo").views[23])
    raw = load_depth(read_dtu(real_data / "dtu", "scan24", "raw").views[23])
    both = (pseudo > 0) & (raw > 0)
    assert np.median(np.abs(pseudo - raw)[both] / raw[both]) < 0.01
