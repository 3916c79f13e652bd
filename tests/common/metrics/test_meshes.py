from dataclasses import replace

import numpy as np
import pytest
import trimesh

from common.datasets.dtu_ground_truth import DtuGroundTruth
from common.metrics.meshes import (
    MESH_PROTOCOLS,
    mean_distance,
    sample_faces,
    sample_surface,
    score_dtu,
    score_surface,
)


@pytest.fixture
def reference(golden):
    return golden("gens/dtu_eval")


@pytest.fixture
def truth(reference):
    return DtuGroundTruth(
        reference["stl"].astype(np.float64),
        reference["obs_mask"] > 0,
        reference["bb"],
        float(reference["res"].item()),
        reference["plane"].reshape(4).astype(np.float64),
    )


def test_the_dtu_protocol_gives_the_references_counts_and_means(reference, truth):
    points = sample_faces(reference["vertices"], reference["faces"], MESH_PROTOCOLS["dtu"].density)
    assert len(points) == reference["n_samples"]
    scores = score_dtu(points, truth)
    names = {"thinned": "n_down", "in_box": "n_in", "observed": "n_in_obs", "truth_above_plane": "n_above"}
    assert {name: scores.counts[name] for name in names} == {name: reference[key] for name, key in names.items()}
    assert scores.accuracy == pytest.approx(reference["mean_d2s"], abs=1e-6)
    assert scores.completeness == pytest.approx(reference["mean_s2d"], abs=1e-6)
    assert scores.overall == pytest.approx(reference["overall"], abs=1e-6)


def test_the_argument_is_not_shuffled(reference, truth):
    points = sample_faces(reference["vertices"], reference["faces"], 0.2)
    before = points.copy()
    score_dtu(points, truth)
    assert (points == before).all()


def test_distances_by_hand():
    points, others = np.array([[0.0, 0, 0], [3, 0, 0], [50, 0, 0]]), np.array([[0.0, 0, 1], [3, 0, 2]])
    assert mean_distance(points, others) == pytest.approx((1 + 2 + np.sqrt(47**2 + 4)) / 3)
    assert mean_distance(points, others, 20.0) == pytest.approx(1.5)
    assert np.isnan(mean_distance(points, others, 0.5)) and np.isnan(mean_distance(points, others[:0]))


def test_faces_are_sampled_on_a_grid_of_the_density():
    square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [5, 5, 5]])
    points = sample_faces(square, np.array([[0, 1, 3], [0, 1, 1]]), 0.25)
    # Four steps along both edges: fractions 1/8, 3/8, ... 9/8, of which 6 pairs sum to less than 1; no face, no points.
    assert (points[:5] == square).all()
    grid = {(0.125, 0.125), (0.125, 0.375), (0.125, 0.625), (0.375, 0.125), (0.375, 0.375), (0.625, 0.125)}
    assert {tuple(point[:2]) for point in points[5:]} == grid and len(points) == 11


def test_sampling_in_pieces_changes_nothing(monkeypatch, reference):
    whole = sample_faces(reference["vertices"], reference["faces"], 0.2)
    monkeypatch.setattr("common.metrics.meshes._SAMPLES_AT_ONCE", 500)
    assert (sample_faces(reference["vertices"], reference["faces"], 0.2) == whole).all()


def test_two_spheres_are_their_radii_apart():
    inner, outer = (trimesh.creation.icosphere(subdivisions=5, radius=radius) for radius in (1.0, 1.2))
    protocol = replace(MESH_PROTOCOLS["sampled"], num_points=20_000)
    scores = score_surface((inner.vertices, inner.faces), (outer.vertices, outer.faces), protocol)
    assert scores.accuracy == pytest.approx(0.2, abs=2e-3)
    assert scores.completeness == pytest.approx(0.2, abs=2e-3)
    assert "20000 random points each, no cut-off" in scores.protocol.describe()


def test_the_chamfer_distance_of_a_surface_from_itself_is_the_spacing_of_its_points():
    ball = trimesh.creation.icosphere(subdivisions=4)
    overall = score_surface((ball.vertices, ball.faces), (ball.vertices, ball.faces)).overall
    assert overall < 0.6 * np.sqrt(ball.area / MESH_PROTOCOLS["sampled"].num_points)


def test_random_points_follow_the_seed_and_lie_on_the_surface():
    ball = trimesh.creation.icosphere(subdivisions=3)
    first, again, other = (sample_surface(ball.vertices, ball.faces, 100, seed) for seed in (3, 3, 4))
    assert (first == again).all() and (first != other).any()
    assert (np.linalg.norm(first, axis=1) > 0.98).all()


def test_a_mesh_without_surface_is_refused():
    with pytest.raises(ValueError, match="has no surface to draw points from"):
        sample_surface(np.zeros((3, 3)), np.array([[0, 1, 2]]), 10, 0)


def test_a_reconstruction_elsewhere_is_refused(truth):
    with pytest.raises(
        ValueError, match="none of the 10 points of the reconstruction lies where the scan was observed"
    ):
        score_dtu(np.full((10, 3), 1e5), truth)
