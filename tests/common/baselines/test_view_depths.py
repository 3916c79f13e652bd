import numpy as np
import pytest

from common.baselines.depth_fusion import DepthFusionSettings
from common.baselines.source_views import load_sources
from common.baselines.view_depths import ViewDepthSettings, view_depths

SETTINGS = ViewDepthSettings(num_neighbors=3, sweep=DepthFusionSettings(planes=48, tolerance=0.02, sweep_pixels=4000))


def test_maps_have_the_photographs_size_and_are_right_or_unknown(scene, photographed):
    photographs = load_sources(scene, [0, 1, 2, 3])
    maps = view_depths(photographs, [photographed.near_far] * 4, SETTINGS)
    for index, depth in enumerate(maps):
        truth = photographed.views[index].depth
        assert depth.shape == truth.shape and depth.dtype == np.float32
        known = (depth > 0) & (truth > 0)
        assert known.mean() > 0.5
        error = np.abs(depth - truth)[known] / truth[known]
        assert np.median(error) < 0.02 and (error < 0.05).mean() > 0.75


def test_depths_on_which_no_neighbour_agrees_are_unknown(scene, photographed):
    photographs = load_sources(scene, [0, 1])
    noise = np.random.default_rng(0).random(photographs[1].image.shape, dtype=np.float32)
    stranger = type(photographs[1])(noise, photographs[1].intrinsics, photographs[1].world_to_cam)
    maps = view_depths([photographs[0], stranger], [photographed.near_far] * 2, SETTINGS)
    assert (maps[0] == 0).mean() > 0.5


def test_one_photograph_is_not_enough(scene, photographed):
    with pytest.raises(ValueError, match="at least 2 of them, got 1"):
        view_depths(load_sources(scene, [0]), [photographed.near_far])
