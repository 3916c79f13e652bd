import numpy as np
import pytest

from common.baselines.cost_aggregation import box_mean, guided_filter, semi_global


def test_semi_global_costs_of_two_pixels_by_hand():
    costs = np.array([[[0.0, 1.0], [1.0, 0.9]]], np.float32)  # one row, two pixels, two planes
    from_left = [1 + min(0, 1 + 0.2, 0 + 0.5) - 0, 0.9 + min(1, 0 + 0.2, 0 + 0.5) - 0]
    from_right = [0 + min(1, 0.9 + 0.2, 0.9 + 0.5) - 0.9, 1 + min(0.9, 1 + 0.2, 0.9 + 0.5) - 0.9]
    # The six directions with a vertical part start anew in a single row.
    left = (7 * costs[0, 0] + from_right) / 8
    right = (7 * costs[0, 1] + from_left) / 8
    found = semi_global(costs, small_step=0.2, large_step=0.5)
    np.testing.assert_allclose(found[0], [left, right], rtol=1e-5)


def test_semi_global_removes_an_outlier_and_keeps_a_step():
    truth = np.repeat(np.where(np.arange(12) < 6, 2, 7)[None], 9, axis=0)
    costs = np.abs(np.arange(10) - truth[..., None]).astype(np.float32).clip(max=3)
    costs[4, 3] = np.abs(np.arange(10) - 8).clip(max=3)  # this pixel alone prefers another plane
    found = semi_global(costs, 0.5, 4.0).argmin(axis=2)
    np.testing.assert_array_equal(found, truth)


@pytest.mark.parametrize("turn", range(4))
def test_semi_global_treats_all_sides_alike(turn):
    rng = np.random.default_rng(3)
    costs = rng.random((6, 6, 5), np.float32)
    expected = np.rot90(semi_global(costs, 0.1, 0.4), turn)
    found = semi_global(np.rot90(costs, turn).copy(), 0.1, 0.4)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_guided_filter_keeps_an_edge_of_the_guide_that_a_box_blurs():
    step = np.repeat((np.arange(32) >= 16).astype(np.float32)[None], 32, axis=0)
    noisy = step + 0.2 * np.random.default_rng(1).standard_normal(step.shape).astype(np.float32)
    error = np.abs(guided_filter(step, noisy, 3, 1e-3) - step)[:, 13:19].mean()
    assert error < 0.3 * np.abs(box_mean(noisy, 3) - step)[:, 13:19].mean()


def test_the_guided_filter_is_a_mean_where_the_guide_is_flat():
    values = np.random.default_rng(2).random((9, 9), np.float32)
    expected = box_mean(box_mean(values, 2), 2)
    np.testing.assert_allclose(guided_filter(np.full((9, 9), 0.5, np.float32), values, 2, 1e-3), expected, atol=1e-5)
