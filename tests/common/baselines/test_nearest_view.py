import numpy as np
import pytest
import torch

from common.baselines.nearest_view import NearestView
from common.cameras import Camera


def camera(scene, index):
    view = scene.views[index]
    return Camera(torch.tensor(view.intrinsics), torch.tensor(view.world_to_cam), 72, 96, view.near_far)


def test_the_nearest_photograph_is_shown_as_it_is(scene, photographed):
    renderer = NearestView()
    renderer.prepare(scene, [4, 2, 1])
    shown = renderer.render(camera(scene, 2))
    np.testing.assert_allclose(shown.rgb.numpy(), photographed.views[2].image / 255, atol=1e-6)
    assert not shown.depth.any()


def test_it_fits_the_size_that_is_asked_for(scene, photographed):
    renderer = NearestView()
    renderer.prepare(scene, [1])
    half = renderer.render(camera(scene, 1).resized(36, 48)).rgb.numpy()
    expected = (photographed.views[1].image / 255).reshape(36, 2, 48, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(half, expected, atol=1e-5)


def test_rendering_before_preparing_is_refused(scene):
    with pytest.raises(RuntimeError, match="before prepare"):
        NearestView().render(camera(scene, 0))


def test_no_source_is_refused(scene):
    with pytest.raises(ValueError, match="got the sources"):
        NearestView().prepare(scene, [])
