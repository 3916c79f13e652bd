import dataclasses

import numpy as np
import pytest

import common.baselines.view_depths as view_depths_module
from common.baselines.depth_fusion import DepthFusionSettings
from common.baselines.source_views import load_sources
from common.baselines.view_depths import ViewDepthSettings, view_depths

SETTINGS = ViewDepthSettings(num_neighbors=3, sweep=DepthFusionSettings(planes=48, tolerance=0.02, sweep_pixels=4000))


def test_maps_have_the_photographs_size_and_confirmed_depths_are_right(scene, photographed, monkeypatch):
    monkeypatch.setattr(view_depths_module, "_filled", lambda depth: depth)
    photographs = load_sources(scene, [0, 1, 2, 3])
    maps = view_depths(photographs, [photographed.near_far] * 4, SETTINGS)
    for index, depth in enumerate(maps):
        truth = photographed.views[index].depth
        assert depth.shape == truth.shape and depth.dtype == np.float32
        known = (depth > 0) & (truth > 0)
        assert known.mean() > 0.5
        error = np.abs(depth - truth)[known] / truth[known]
        assert np.median(error) < 0.02 and (error < 0.05).mean() > 0.75


def test_depths_that_no_neighbour_confirms_are_those_of_the_nearest_pixel(scene, photographed, monkeypatch):
    photographs, near_fars = load_sources(scene, [0, 1]), [photographed.near_far] * 2
    filled = view_depths(photographs, near_fars, SETTINGS)[0]
    monkeypatch.setattr(view_depths_module, "_filled", lambda depth: depth)
    confirmed = view_depths(photographs, near_fars, SETTINGS)[0]
    known, unknown = np.argwhere(confirmed > 0), np.argwhere(confirmed == 0)
    assert len(known) > len(unknown) > 20
    assert np.array_equal(filled[confirmed > 0], confirmed[confirmed > 0])
    for row, column in unknown[:: len(unknown) // 20]:
        distance = np.hypot(*(known - [row, column]).T)
        around = known[distance < 1.05 * distance.min() + 0.1]  # OpenCV's distances are approximate
        assert filled[row, column] in confirmed[tuple(around.T)]


def test_without_any_confirmed_depth_all_is_unknown(scene, photographed):
    photographs = load_sources(scene, [0, 1])
    nowhere = dataclasses.replace(SETTINGS.sweep, fewest_views=2)  # of one neighbour
    maps = view_depths(photographs, [photographed.near_far] * 2, dataclasses.replace(SETTINGS, sweep=nowhere))
    assert not any(depth.any() for depth in maps)


def test_one_photograph_is_not_enough(scene, photographed):
    with pytest.raises(ValueError, match="at least 2 of them, got 1"):
        view_depths(load_sources(scene, [0]), [photographed.near_far])
