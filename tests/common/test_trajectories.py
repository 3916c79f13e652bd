import json

import numpy as np
import pytest

from common.trajectories import (
    interpolated_path,
    nearest_point_to_axes,
    orbit_path,
    read_path,
    spiral_path,
    write_path,
)


@pytest.fixture
def ring(golden_module):
    """Twelve cameras at distance 4 around the vertical axis, half a unit above the origin they look at."""
    look_at = golden_module("gefu/scene.py").look_at
    angles = np.arange(12) * 2 * np.pi / 12
    return np.stack([look_at([4 * np.sin(a), -0.5, -4 * np.cos(a)]) for a in angles])


def centers(path):
    cam_to_world = np.linalg.inv(np.stack(path))
    return cam_to_world[:, :3, 3], cam_to_world[:, :3, 2]


def assert_rigid(path):
    rotations = np.stack(path)[:, :3, :3]
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.eye(3)[None].repeat(len(path), 0), atol=1e-9
    )
    assert (np.linalg.det(rotations) > 0).all()


@pytest.mark.parametrize("kind", ["dtu", "nerf"])
def test_the_euler_path_equals_gefu(golden, kind):
    stored = golden("gefu/datasets")
    path = np.stack(interpolated_path(stored[f"{kind}/video/src_exts"], 20, rotations="euler"))
    expected = stored[f"{kind}/video/poses"]
    np.testing.assert_allclose(path[:, :3], expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_the_released_spiral_equals_gefu(golden):
    stored = golden("gefu/datasets")
    near_far = tuple(map(float, stored["llff/item0/near_far"]))
    path = np.stack(spiral_path(stored["llff/video/src_exts"], near_far, convention="released"))
    np.testing.assert_allclose(path[:, :3], stored["llff/video/poses"], rtol=1e-5, atol=1e-5)


def test_both_paths_equal_idnerf(golden):
    stored = golden("idnerf/video_paths")
    near_far = tuple(map(float, stored["in_near_far"]))
    path = interpolated_path(stored["in_extrinsics"], 4, rotations="euler")
    np.testing.assert_allclose(np.stack(path)[:, :3], stored["out_interpolate"], atol=1e-5)
    for name, scale in (("out_spiral", 0.1), ("out_spiral_wide", 0.3)):
        cameras = np.linalg.inv(stored["in_c2ws_all"].astype(np.float64))
        path = spiral_path(cameras, near_far, 12, radius_scale=scale, convention="released")
        np.testing.assert_allclose(np.stack(path)[:, :3], stored[name], atol=1e-5)


@pytest.mark.parametrize("rotations", ["slerp", "euler"])
def test_an_interpolated_path_passes_through_its_cameras(ring, rotations):
    cameras = ring[[0, 1, 2]]
    path = interpolated_path(cameras, 5, rotations=rotations)
    assert len(path) == 15
    assert_rigid(path)
    np.testing.assert_allclose(np.stack(path[::5]), cameras, atol=1e-9)
    opened = interpolated_path(cameras, 5, closed=False, rotations=rotations)
    assert len(opened) == 11
    np.testing.assert_allclose(opened[-1], cameras[-1], atol=1e-9)


def test_slerp_takes_the_short_way_round_the_whole_ring(ring):
    path = interpolated_path(ring, 4)
    turns = np.einsum("nij,nij->n", np.stack(path)[:, :3, :3], np.roll(np.stack(path), -1, 0)[:, :3, :3])
    degrees = np.rad2deg(np.arccos((turns - 1) / 2))
    np.testing.assert_allclose(degrees, 7.5, atol=0.2)  # 30 degrees per leg in 4 frames


def test_a_converging_spiral_looks_at_one_point_in_front(ring):
    cameras = ring[[11, 0, 1]]
    path = spiral_path(cameras, (2.0, 8.0), 24)
    assert_rigid(path)
    depth = 1 / (0.25 / 2 + 0.75 / 8)
    where, forward = np.linalg.inv(cameras)[:, :3, 3].mean(0), np.linalg.inv(cameras)[:, :3, 2].mean(0)
    focus = where + depth * forward / np.linalg.norm(forward)
    seen = np.stack(path)[:, :3, :3] @ focus + np.stack(path)[:, :3, 3]
    np.testing.assert_allclose(seen[:, :2], 0, atol=1e-6)
    assert (seen[:, 2] > 0).all()
    positions, _ = centers(path)
    assert np.abs(positions - where).max() < 2.5  # no further out than the cameras are from each other


def test_an_orbit_keeps_height_and_distance_and_looks_at_the_middle(ring):
    path = orbit_path(np.roll(ring, 1, 0), 8)
    assert_rigid(path)
    positions, forward = centers(path)
    np.testing.assert_allclose(nearest_point_to_axes(ring), 0, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(positions, axis=1), np.hypot(4, 0.5), atol=1e-9)
    np.testing.assert_allclose(forward, -positions / np.linalg.norm(positions, axis=1, keepdims=True), atol=1e-9)
    gaps = np.linalg.norm(positions - np.roll(positions, -1, 0), axis=1)
    np.testing.assert_allclose(gaps, gaps[0])


def test_an_arc_is_centred_on_the_given_cameras(ring):
    # three cameras that look slightly down do not define the vertical exactly
    positions, _ = centers(orbit_path(ring[:3], 5, degrees=60.0))
    np.testing.assert_allclose(positions[0], np.linalg.inv(ring[2])[:3, 3], atol=0.05)
    np.testing.assert_allclose(positions[2], np.linalg.inv(ring[1])[:3, 3], atol=0.05)
    np.testing.assert_allclose(positions[4], np.linalg.inv(ring[0])[:3, 3], atol=0.05)


def test_an_orbit_of_cameras_all_around_starts_at_the_first(ring):
    positions, _ = centers(orbit_path(ring, 4))
    np.testing.assert_allclose(positions[0], np.linalg.inv(ring[0])[:3, 3], atol=1e-9)


def test_a_stored_path_comes_back(tmp_path, ring):
    write_path(tmp_path / "path.json", list(ring))
    np.testing.assert_allclose(np.stack(read_path(tmp_path / "path.json")), ring, atol=1e-12)
    inverse = {"cam_to_world": np.linalg.inv(ring).tolist()}
    (tmp_path / "inverse.json").write_text(json.dumps(inverse))
    np.testing.assert_allclose(np.stack(read_path(tmp_path / "inverse.json")), ring, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "is no JSON file"),
        ("[" * 100000, "is no JSON file"),
        ("{}", "holds no camera path"),
        ('{"world_to_cam": []}', "holds no camera path"),
        ('{"world_to_cam": [[[1, 0], [0]]]}', "matrix 0 is no 4x4 matrix of numbers"),
        ('{"world_to_cam": [[[1,0,0,NaN],[0,1,0,0],[0,0,1,0],[0,0,0,1]]]}', "matrix 0 is no finite 4x4 matrix"),
        ('{"world_to_cam": [[[2,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]]}', "matrix 0 has no proper rotation"),
        ('{"world_to_cam": [[[-1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]]}', "matrix 0 has no proper rotation"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, message):
    (tmp_path / "path.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_path(tmp_path / "path.json")


def test_what_cannot_be_a_path_is_refused(tmp_path, ring):
    with pytest.raises(FileNotFoundError, match="expected a JSON file"):
        read_path(tmp_path / "absent.json")
    with pytest.raises(ValueError, match="needs two cameras"):
        interpolated_path(ring[:1], 5)
    upside_down = ring[:1].copy()
    upside_down[0] = np.diag([-1.0, -1.0, 1.0, 1.0]) @ upside_down[0]
    with pytest.raises(ValueError, match="common up direction"):
        orbit_path(np.concatenate([ring[:1], upside_down]))
