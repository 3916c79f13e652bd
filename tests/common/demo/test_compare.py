import dataclasses

import numpy as np
import pytest

from common.baselines.nearest_view import NearestView
from common.demo.compare import RenderedTarget, Truth, load_truth, render_all, score
from common.metrics.images import psnr
from common.metrics.protocols import find_protocol

STANDARD = find_protocol("standard")


def test_scores_are_those_of_the_pictures(comparison):
    for outcome in comparison.outcomes:
        for target, truth, scores in zip(outcome.targets[0], comparison.truths[0], outcome.scores[0], strict=True):
            assert scores.psnr == pytest.approx(psnr(target.rgb.clip(0, 1), truth.rgb))
            assert scores.lpips is None


def test_a_photograph_that_is_shown_as_it_is_scores_as_the_photograph(comparison, demo_scene):
    nearest = comparison.outcomes[1]
    for item, target in zip(demo_scene.held_out, nearest.targets[0], strict=True):
        sources = [load_truth(demo_scene, index).rgb for index in item.sources]
        assert any(np.array_equal(target.rgb, source) for source in sources)
    assert nearest.mean("depth_error") is None


def test_depth_errors_are_relative_and_leave_out_the_unknown():
    truth = dataclasses.replace(
        _truth(), depth=np.array([[2.0, 4.0], [0.0, 5.0]], np.float32).repeat(8, 0).repeat(8, 1)
    )
    depth = np.array([[2.2, 4.0], [9.0, 0.0]], np.float32).repeat(8, 0).repeat(8, 1)
    found = score(RenderedTarget(truth.rgb, depth, 0.0, 0.0), truth, STANDARD, None)
    assert found.depth_error == pytest.approx(0.05, rel=1e-4)  # mean of 10 % and 0 %


def test_better_renderings_score_better(comparison):
    sweep, nearest = comparison.outcomes
    assert sweep.mean("psnr") > nearest.mean("psnr") + 3
    assert sweep.mean("depth_error") < 0.1
    assert sweep.mean("psnr", 0) == sweep.mean("psnr")


def test_time_and_memory_are_measured(comparison):
    sweep, nearest = comparison.outcomes
    assert sweep.seconds_per_view() > 10 * nearest.seconds_per_view() > 0
    assert sweep.peak_bytes > sweep.library_bytes > 5e7
    assert len(sweep.videos[0]) == 6
    assert sweep.videos[0][0].shape == (64, 192, 3)
    assert nearest.videos == []


def test_every_picture_is_reported(demo_scene):
    reports = []
    targets, videos, _, _ = render_all(reports.append, NearestView, [demo_scene], with_video=True)
    assert sum(reports) == len(targets[0]) + len(videos[0]) == 3 + 6


def _truth():
    return Truth(np.random.default_rng(0).random((16, 16, 3), np.float32), np.zeros((16, 16), np.float32))


class Fitted(NearestView):
    """Counts how often it is fitted."""

    fits = 0

    def prepare(self, scene, source_ids):
        super().prepare(scene, source_ids)
        self.fits += 1

    def stored_bytes(self):
        return 100 + self.fits


def test_sources_that_stay_the_same_are_prepared_once(demo_scene):
    same = tuple(dataclasses.replace(item, sources=(0, 2, 5)) for item in demo_scene.held_out)
    targets, _, _, stored = render_all(
        lambda _: None, Fitted, [dataclasses.replace(demo_scene, held_out=same)], with_video=True
    )
    assert stored == 101
    assert targets[0][0].prepare_seconds > 0
    assert [target.prepare_seconds for target in targets[0][1:]] == [None, None]
    assert render_all(lambda _: None, Fitted, [demo_scene], with_video=True)[3] == 104


def test_where_the_surface_is_given_films_show_pictures_alone(demo_scene):
    given = dataclasses.replace(demo_scene, surface_is_given=True, stops=(0, 5))
    _, videos, _, _ = render_all(lambda _: None, NearestView, [given], with_video=True)
    assert [frame.shape for frame in videos[0]] == [(64, 96, 3)] * 4
