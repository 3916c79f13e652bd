import numpy as np
import pytest
import torch

from common.baselines.source_views import PosedImage, TargetView, load_sources, resized_intrinsics
from common.cameras import Camera


def test_shrinking_keeps_where_a_smooth_picture_is():
    x, y = np.meshgrid(np.arange(40.0), np.arange(30.0))
    image = np.stack([x / 40, y / 30, 0 * x], axis=-1).astype(np.float32)
    intrinsics = np.array([[50.0, 0, 19.0], [0, 50.0, 14.0], [0, 0, 1]])
    small = PosedImage(image, intrinsics, np.eye(4)).shrunk_to_focal(25.0)
    assert small.image.shape == (15, 20, 3)
    ray = np.array([0.1, -0.08, 1.0])
    before, after = intrinsics @ ray, small.intrinsics @ ray
    column, row = np.rint(after[:2]).astype(int)
    assert before[0] / 40 == pytest.approx(small.image[row, column, 0], abs=0.5 / 20)
    # The colour ramp is the same function of the ray in both pictures.
    slope = small.image[0, 1, 0] - small.image[0, 0, 0]
    assert small.image[row, column, 0] + (after[0] - column) * slope == pytest.approx(before[0] / 40, abs=1e-5)


def test_shrinking_never_enlarges():
    source = PosedImage(np.zeros((4, 6, 3), np.float32), np.diag([10.0, 10, 1]), np.eye(4))
    assert source.shrunk_to_focal(11.0) is source


def test_resized_intrinsics_keep_the_corner():
    corner = np.array([-0.5, -0.5, 1.0])
    intrinsics = np.array([[80.0, 0, 31.5], [0, 90.0, 20.0], [0, 0, 1]])
    ray = np.linalg.inv(intrinsics) @ corner
    np.testing.assert_allclose(resized_intrinsics(intrinsics, 0.25, 0.5) @ ray, corner, atol=1e-12)


def test_a_target_has_at_most_the_pixels_it_may_have():
    camera = Camera(torch.diag(torch.tensor([400.0, 400.0, 1.0])), torch.eye(4), 480, 640, (1.0, 2.0))
    small = TargetView.from_camera(camera).with_at_most(10_000)
    assert 8000 < small.height * small.width <= 10_000
    assert TargetView.from_camera(camera).with_at_most(10**6).width == 640


def test_unknown_sources_are_refused(scene):
    with pytest.raises(ValueError, match=r"scene toy has views 0 to 4, got the sources \[0, 9\]"):
        load_sources(scene, [0, 9])
