import dataclasses

import numpy as np
import pytest
import torch

from common.baselines.plane_sweep import MatchingSettings, matching_costs, plane_homography
from common.baselines.plane_sweep_blending import PlaneSweepBlending, PlaneSweepSettings, cheapest_depth, likely_depths
from common.baselines.source_views import TargetView, load_sources
from common.cameras import Camera, project, unproject
from common.metrics.images import psnr

SETTINGS = PlaneSweepSettings(planes=48)


@pytest.fixture(scope="module")
def target(scene):
    view = scene.views[0]
    return TargetView(view.intrinsics, view.world_to_cam, 72, 96, view.near_far)


@pytest.fixture(scope="module")
def rendering(scene):
    renderer = PlaneSweepBlending(SETTINGS)
    renderer.prepare(scene, [1, 2, 3])
    return renderer.render(camera(scene, 0))


def camera(scene, index):
    view = scene.views[index]
    return Camera(torch.tensor(view.intrinsics), torch.tensor(view.world_to_cam), 72, 96, view.near_far)


def test_a_plane_maps_pixels_as_its_points_project(scene, target):
    source = load_sources(scene, [3])[0]
    pixel, depth = np.array([20.0, 50.0]), 2.7
    point = unproject(
        torch.tensor(pixel)[None],
        torch.tensor([depth]),
        torch.tensor(target.intrinsics),
        torch.tensor(target.world_to_cam),
    )
    expected, _ = project(point, torch.tensor(source.intrinsics), torch.tensor(source.world_to_cam))
    found = plane_homography(target, source, depth) @ [*pixel, 1.0]
    np.testing.assert_allclose(found[:2] / found[2], expected[0], rtol=1e-6)


def test_the_true_plane_costs_least(scene, target, photographed):
    depth = photographed.views[0].depth
    disparities = np.linspace(1 / 2.0, 1 / 4.5, 48)
    costs = matching_costs(target, load_sources(scene, [1, 2, 3]), disparities, MatchingSettings())
    best = disparities[costs.argmin(axis=2)]
    inner = np.zeros(depth.shape, bool)
    inner[10:-10, 10:-10] = True
    known = inner & (depth > 0)
    assert np.median(np.abs(best[known] - 1 / depth[known])) < disparities[0] - disparities[1]


def test_what_only_one_picture_contains_costs_the_unknown(scene, target):
    first, second = load_sources(scene, [1, 2])
    turned = dataclasses.replace(second, intrinsics=second.intrinsics + np.eye(3)[0, :, None] * [0, 0, 500.0])
    settings = MatchingSettings(smooth_radius=0, unknown=0.61)
    costs = matching_costs(target, [first, turned], np.array([0.3]), settings)
    np.testing.assert_allclose(costs, 0.61, rtol=1e-4)


def test_the_cheapest_depth_lies_between_planes():
    disparities = np.linspace(1.0, 0.1, 10)
    truth = np.full((5, 5), 0.53)
    costs = ((disparities - truth[..., None]) ** 2).astype(np.float32)
    np.testing.assert_allclose(cheapest_depth(costs, disparities), 1 / truth, rtol=1e-4)


def test_likely_depths_divide_themselves_between_two_equal_planes():
    disparities = np.linspace(1.0, 0.1, 10)
    costs = np.ones((2, 2, 10), np.float32)
    costs[..., 2] = costs[..., 7] = 0.0
    depths = np.stack(likely_depths(costs, disparities, temperature=0.01, count=4))
    assert (np.abs(1 / depths[:2] - 0.8) < 0.05).all()
    assert (np.abs(1 / depths[2:] - 0.3) < 0.05).all()


def test_likely_depths_of_a_sure_pixel_stay_on_its_plane():
    disparities = np.linspace(1.0, 0.1, 10)
    costs = np.ones((1, 1, 10), np.float32)
    costs[..., 4] = 0.0
    depths = np.stack(likely_depths(costs, disparities, temperature=0.01, count=5))
    assert depths[2, 0, 0] == pytest.approx(1 / 0.6, rel=1e-4)  # the median is the plane itself
    assert (np.abs(1 / depths - 0.6) <= 0.05).all()


def test_a_new_view_of_a_textured_scene_is_close_to_the_truth(rendering, photographed):
    truth = photographed.views[0]
    inner = np.zeros(truth.depth.shape, bool)
    inner[6:-6, 6:-6] = True
    known = inner & (truth.depth > 0)
    assert psnr(rendering.rgb.numpy(), truth.image / 255, known) > 24
    error = np.abs(rendering.depth.numpy() - truth.depth)[known] / truth.depth[known]
    assert np.median(error) < 0.03  # half a pixel of parallax, which is what the depth bounds leave, is 3.6 %
    assert error.mean() < 0.05
    assert (rendering.opacity == 1).all()


def test_another_size_shows_the_same_picture(scene, rendering, monkeypatch):
    monkeypatch.setattr("common.baselines.plane_sweep_blending._ROWS_AT_ONCE", 50)
    renderer = PlaneSweepBlending(PlaneSweepSettings(planes=48, sweep_pixels=5000))
    renderer.prepare(scene, [1, 2, 3])
    large = renderer.render(camera(scene, 0).resized(144, 192))
    assert large.rgb.shape == (144, 192, 3)
    assert psnr(large.rgb.numpy()[::2, ::2], rendering.rgb.numpy()) > 22
    assert np.median(np.abs(large.depth.numpy()[::2, ::2] - rendering.depth.numpy())) < 0.05


def test_one_source_is_refused(scene):
    with pytest.raises(ValueError, match="needs at least 2 source views, got 1"):
        PlaneSweepBlending().prepare(scene, [1])


def test_rendering_before_preparing_is_refused(scene):
    with pytest.raises(RuntimeError, match="before prepare"):
        PlaneSweepBlending().render(camera(scene, 0))
