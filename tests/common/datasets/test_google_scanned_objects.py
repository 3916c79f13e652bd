import math

import numpy as np
import pytest

from common.datasets.google_scanned_objects import object_depth_bounds, read_google_scanned_objects
from common.datasets.loading import load_depth, load_image, load_mask
from common.datasets.writers.google_scanned_objects import write_google_scanned_objects


@pytest.fixture
def case(rendered_scene, tmp_path):
    write_google_scanned_objects(tmp_path, rendered_scene)
    return tmp_path / "toy"


def test_what_is_written_comes_back_in_the_unit_cube(case, rendered_scene):
    scene = read_google_scanned_objects(case)
    assert [view.name for view in scene.views] == [f"{index:06d}" for index in range(5)]
    for view, truth in zip(scene.with_pixel_origin("center").views, rendered_scene.views, strict=True):
        np.testing.assert_allclose(view.intrinsics, truth.intrinsics, atol=1e-12)
        np.testing.assert_allclose(view.world_to_cam[:3, :3], truth.world_to_cam[:3, :3], atol=1e-12)
        np.testing.assert_array_equal(load_mask(view), truth.mask)
        rgb = np.rint(load_image(view) * 255)
        np.testing.assert_array_equal(rgb[truth.mask], truth.image[truth.mask])
        assert (rgb[~truth.mask] == 255).all()
        # The world is scaled as a whole, so all depths are by one factor.
        depth = load_depth(view)
        assert (depth[~truth.mask] == 0).all()
        ratio = truth.depth[truth.mask] / depth[truth.mask]
        assert np.ptp(ratio) < 2e-3 * ratio.mean()
        near, far = view.near_far
        assert near < depth[truth.mask].min() and depth[truth.mask].max() < far


def test_points_behind_the_pixels_lie_in_the_unit_cube(case):
    for view in read_google_scanned_objects(case).with_pixel_origin("center").views:
        depth = load_depth(view).astype(np.float64)
        rows, columns = np.nonzero(depth)
        pixels = np.stack([columns, rows, np.ones(len(rows))], axis=1) * depth[rows, columns, None]
        points = (pixels @ np.linalg.inv(view.intrinsics).T - view.world_to_cam[:3, 3]) @ view.world_to_cam[:3, :3]
        assert np.abs(points).max() < 0.51


def test_the_depth_bounds_are_neurays():
    world_to_cam = np.eye(4)
    world_to_cam[2, 3] = 2.0
    assert object_depth_bounds(world_to_cam) == pytest.approx((2 - 0.55 * math.sqrt(2), 2 + 0.55 * math.sqrt(2)))
    world_to_cam[2, 3] = 0.8
    assert object_depth_bounds(world_to_cam)[0] == pytest.approx(0.08)


def test_a_pose_file_is_cam_to_world_with_opencv_axes(case):
    (case / "pose" / "000000.txt").write_text("1 0 0 0\n0 1 0 0\n0 0 1 -2\n0 0 0 1\n\n")
    view = read_google_scanned_objects(case).views[0]
    np.testing.assert_array_equal(view.world_to_cam @ [0, 0, 0, 1], [0, 0, 2, 1])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1 2 3", r"000002\.txt:1 has 3 numbers, expected the 16"),
        ("a " * 16, r"000002\.txt:1 could not convert"),
        ("nan " * 16, r"000002\.txt.* not finite"),
        ("1 0 0 0 0 1 0 0 0 0 -1 2 0 0 0 1", r"000002\.txt has a pose with determinant -1"),
        ("1 0 0 0 0 1 0 0 0 0 1 2 0 0 0 1", "depth bounds"),  # the object lies behind the camera
        ("", "is empty"),
    ],
)
def test_poses_that_make_no_sense_are_refused(case, text, sentence):
    (case / "pose" / "000002.txt").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_google_scanned_objects(case)


def test_missing_files_are_said(case, tmp_path):
    (case / "intrinsics" / "000001.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"intrinsics/000001\.txt"):
        read_google_scanned_objects(case)
    with pytest.raises(FileNotFoundError, match="no pictures rgb"):
        read_google_scanned_objects(tmp_path)


def test_scenes_without_depth_and_mask_are_read(case):
    for folder in ("depth", "mask"):
        for path in (case / folder).iterdir():
            path.unlink()
    view = read_google_scanned_objects(case).views[0]
    assert view.depth is None and view.mask is None
