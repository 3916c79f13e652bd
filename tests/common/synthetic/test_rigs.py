import numpy as np
import pytest

from common.synthetic.rigs import DTU_DISTANCE, RIGS, look_at

# GeFu's protocol: test views and the sources they are rendered from.
TEST_VIEWS = (32, 24, 23, 44)
SOURCES = (25, 21, 33, 22, 14, 15, 26, 30, 31, 35, 34, 43, 46, 29, 16, 36)


def centers(poses):
    return np.stack([-pose[:3, :3].T @ pose[:3, 3] for pose in poses])


def angles_between(points):
    directions = points / np.linalg.norm(points, axis=1, keepdims=True)
    return np.degrees(np.arccos(np.clip(directions @ directions.T, -1, 1)))


@pytest.fixture
def dtu_poses():
    return RIGS["dtu"].poses(np.random.default_rng(0), None)


def test_a_camera_looks_at_its_point_with_up_upwards():
    world_to_cam = look_at(np.array([5.0, -7.0, 3.0]), np.array([1.0, 2.0, 0.5]))
    ahead = world_to_cam @ np.array([1.0, 2.0, 0.5, 1.0])
    np.testing.assert_allclose(ahead[:2], 0, atol=1e-12)
    assert ahead[2] > 0
    above = world_to_cam @ np.array([1.0, 2.0, 1.5, 1.0])
    assert above[1] < 0  # y points down in the picture
    np.testing.assert_allclose(world_to_cam @ np.array([5.0, -7.0, 3.0, 1.0]), [0, 0, 0, 1], atol=1e-12)


def test_the_dtu_rig_has_49_views_on_a_sphere_that_neighbour_each_other(dtu_poses):
    assert dtu_poses.shape == (49, 4, 4)
    offsets = centers(dtu_poses) - [0, 0, 45]
    np.testing.assert_allclose(np.linalg.norm(offsets, axis=1), DTU_DISTANCE)
    angles = angles_between(offsets) + 360 * np.eye(49)
    nearest = angles.min(axis=1)
    assert (nearest > 9).all()
    assert (nearest < 14).all()


def test_the_protocols_test_views_lie_among_its_sources(dtu_poses):
    angles = angles_between(centers(dtu_poses) - [0, 0, 45])
    for view in TEST_VIEWS:
        to_sources = np.sort(angles[view, list(SOURCES)])
        assert to_sources[0] < 13
        assert to_sources[2] < 20


def test_the_dtu_rig_resembles_the_real_one(dtu_poses, real_data):
    real = []
    for index in range(49):
        words = (real_data / "dtu" / "Cameras" / f"{index:08d}_cam.txt").read_text().split()
        real.append(np.array(words[1:17], float).reshape(4, 4))
    axes = np.stack([pose[2, :3] for pose in real])
    ours = np.stack([pose[2, :3] for pose in dtu_poses])
    np.testing.assert_allclose(ours @ ours.T, axes @ axes.T, atol=0.03)  # angles between views, up to 2 degrees


@pytest.mark.parametrize("rig", ["forward", "hemisphere", "orbit"])
def test_a_number_of_views_is_kept_and_the_generator_decides(rig):
    poses = RIGS[rig].poses(np.random.default_rng(1), 7)
    assert poses.shape == (7, 4, 4)
    np.testing.assert_array_equal(poses, RIGS[rig].poses(np.random.default_rng(1), 7))
    assert not np.allclose(poses, RIGS[rig].poses(np.random.default_rng(2), 7))


def test_dtu_lenses_are_the_real_ones_at_the_real_sizes():
    full = RIGS["dtu_full"].lens((1600, 1200))
    np.testing.assert_allclose(full, [[2892.33, 0, 823.206], [0, 2883.176, 619.07], [0, 0, 1]], atol=1e-3)
    training = RIGS["dtu"].lens((160, 128))
    np.testing.assert_allclose(training, [[361.54125, 0, 82.90075], [0, 360.397, 66.38375], [0, 0, 1]], atol=1e-5)
