import numpy as np
import pytest

from common.metrics.thinning import thin_points


def greedy(points, radius):
    """The definition."""
    stays = []
    for index, point in enumerate(points):
        if all(((points[other] - point) ** 2).sum() > radius**2 for other in stays):
            stays.append(index)
    return stays


@pytest.mark.parametrize("radius", [0.01, 0.1, 0.5, 3.0])
def test_greedy_thinning_is_what_its_definition_says(radius):
    points = np.random.default_rng(0).uniform(-1, 1, (600, 3)) * [1, 1, 0.05]
    assert np.flatnonzero(thin_points(points, radius)).tolist() == greedy(points, radius)


def test_points_at_exactly_the_radius_go():
    grid = np.stack(np.meshgrid(*[np.arange(5.0)] * 3), axis=-1).reshape(-1, 3)
    assert np.flatnonzero(thin_points(grid, 1.0)).tolist() == greedy(grid, 1.0)
    assert thin_points(grid, 0.999).all()


def test_points_at_the_same_place_leave_the_first():
    assert thin_points(np.ones((5, 3)), 0.1).tolist() == [True, False, False, False, False]


def test_no_points_stay_no_points():
    assert thin_points(np.zeros((0, 3)), 0.1).shape == (0,)


def test_a_radius_must_be_positive_and_fit_the_extent():
    with pytest.raises(ValueError, match="positive distance, got 0"):
        thin_points(np.zeros((1, 3)), 0.0)
    with pytest.raises(ValueError, match="reach too far"):
        thin_points(np.array([[0.0, 0, 0], [1e9, 1e9, 1e9]]), 1e-3)
