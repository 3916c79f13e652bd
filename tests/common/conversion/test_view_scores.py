import numpy as np
import pytest

from common.conversion import view_scores as module
from common.conversion.view_scores import AngleWeight, best_sources, view_scores


def slow_scores(views, points, xyz, centers, weight):
    """The definition, one pair of views after the other."""
    scores = np.zeros((len(centers), len(centers)))
    for i in range(len(centers)):
        for j in range(i + 1, len(centers)):
            seen_by_j = set(points[views == j].tolist())
            for point in points[views == i].tolist():
                if point in seen_by_j:
                    a, b = centers[i] - xyz[point], centers[j] - xyz[point]
                    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
                    scores[i, j] += weight(np.degrees(np.arccos([np.clip(cosine, -1, 1)])))[0]
            scores[j, i] = scores[i, j]
    return scores


@pytest.fixture
def capture():
    """12 views and 300 points; some are seen twice by one view, as bad matches make them."""
    random = np.random.default_rng(3)
    centers = np.column_stack([np.linspace(-2, 2, 12), random.normal(0, 0.1, 12), np.full(12, -5.0)])
    xyz = random.normal(0, 1, (300, 3))
    views, points = np.nonzero(random.random((12, 300)) < 0.3)
    again = random.integers(0, len(views), 40)
    order = random.permutation(len(views) + 40)
    return np.append(views, views[again])[order], np.append(points, points[again])[order], xyz, centers


@pytest.mark.parametrize("weight", [AngleWeight(), AngleWeight(7.0, 2.0, 12.0)])
@pytest.mark.parametrize(("observations", "pairs"), [(1 << 20, 1 << 22), (50, 30), (1, 1)])
def test_scores_are_the_definition_in_pieces_of_any_size(capture, weight, observations, pairs, monkeypatch):
    monkeypatch.setattr(module, "OBSERVATIONS_AT_ONCE", observations)
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", pairs)
    np.testing.assert_allclose(
        view_scores(*capture, weight).toarray(), slow_scores(*capture, weight), rtol=1e-9, atol=1e-12
    )


def test_scores_do_not_depend_on_the_order_of_the_observations(capture):
    views, points, xyz, centers = capture
    order = np.random.default_rng(0).permutation(len(views))
    expected = view_scores(*capture).toarray()
    np.testing.assert_allclose(view_scores(views[order], points[order], xyz, centers).toarray(), expected)


def test_without_common_points_there_is_no_score():
    nothing = np.zeros(0, np.int64)
    assert view_scores(nothing, nothing, np.zeros((0, 3)), np.zeros((3, 3))).nnz == 0
    lonely = view_scores(np.arange(3), np.arange(3), np.ones((3, 3)), np.zeros((3, 3)))
    assert lonely.nnz == 0 and best_sources(lonely)[0] == ((2, 0.0), (1, 0.0))


def test_a_point_at_a_camera_centre_does_no_harm():
    views, points = np.array([0, 1]), np.array([0, 0])
    scores = view_scores(views, points, np.zeros((1, 3)), np.array([[0.0, 0, 0], [0, 0, 1]]))
    assert np.isfinite(scores.toarray()).all()


def test_the_best_angle_weighs_one_and_the_sides_fall_off_differently():
    np.testing.assert_allclose(AngleWeight()(np.array([5.0, 4.0, 15.0])), [1, np.exp(-0.5), np.exp(-0.5)])
    with pytest.raises(ValueError, match="sigma1 and sigma2 must be positive, got 0 and 10"):
        AngleWeight(sigma1=0.0)


def test_sources_are_the_best_first_and_a_view_is_its_own_only_on_request(capture):
    scores = view_scores(*capture)
    pairs = best_sources(scores)
    for view, sources in pairs.items():
        listed = [score for _, score in sources]
        assert len(sources) == 10 and listed == sorted(listed, reverse=True) and view not in dict(sources)
    few = best_sources(scores[:4, :4], list_self=True)
    assert all(sources[-1] == (view, 0.0) and len(sources) == 4 for view, sources in few.items())
