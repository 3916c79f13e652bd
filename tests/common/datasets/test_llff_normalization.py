import dataclasses

import numpy as np
import pytest

from common.datasets.llff import read_llff
from common.datasets.llff_normalization import average_pose, normalize_llff
from common.datasets.loading import load_depth
from common.datasets.real_iconic import read_real_iconic
from common.datasets.writers.llff import write_real_iconic
from tests.scenes import make_scene


@pytest.fixture(scope="module")
def rendered():
    return make_scene("leaves", num_views=4, size=(32, 24), centered=True)


@pytest.fixture(scope="module")
def root(rendered, tmp_path_factory):
    folder = tmp_path_factory.mktemp("iconic")
    write_real_iconic(folder, rendered)
    return folder


@pytest.fixture(scope="module")
def raw(root):
    return read_llff(root / "real_iconic_noface" / "leaves")


def test_the_average_camera_is_the_new_world(raw):
    scene = normalize_llff(raw)
    np.testing.assert_allclose(np.mean([view.center for view in scene.views], axis=0), 0, atol=1e-12)
    # OpenGL's average camera looks along -z of the new world with y upwards.
    forward = np.mean([view.world_to_cam[2, :3] for view in scene.views], axis=0)
    np.testing.assert_allclose(forward / np.linalg.norm(forward), [0, 0, -1], atol=1e-12)
    up = -np.mean([view.world_to_cam[1, :3] for view in scene.views], axis=0)
    assert up[1] > 0 and abs(up[0]) < 1e-12


def test_the_nearest_bound_becomes_four_thirds(raw):
    scene = normalize_llff(raw)
    nearest = min(view.near_far[0] for view in scene.views)
    assert nearest == pytest.approx(4 / 3)
    factor = nearest / min(view.near_far[0] for view in raw.views)
    for new, old in zip(scene.views, raw.views, strict=True):
        assert new.near_far == pytest.approx((old.near_far[0] * factor, old.near_far[1] * factor))


def test_it_is_rescaling_then_recentring_as_the_formula_says(raw):
    scale = 1 / (0.75 * min(view.near_far[0] for view in raw.views))
    poses = []
    for view in raw.views:
        pose = np.linalg.inv(view.world_to_cam) @ np.diag([1.0, -1, -1, 1])
        pose[:3, 3] *= scale
        poses.append(pose)
    poses = np.stack(poses)
    z = poses[:, :3, 2].mean(axis=0)
    z /= np.linalg.norm(z)
    x = np.cross(poses[:, :3, 1].mean(axis=0), z)
    x /= np.linalg.norm(x)
    average = np.eye(4)
    average[:3] = np.stack([x, np.cross(z, x), z, poses[:, :3, 3].mean(axis=0)], axis=1)
    for view, pose in zip(normalize_llff(raw).views, np.linalg.inv(average) @ poses, strict=True):
        expected = np.linalg.inv(pose @ np.diag([1.0, -1, -1, 1]))
        np.testing.assert_allclose(view.world_to_cam, expected, atol=1e-12)


def test_pixels_do_not_move_and_the_record_leads_back(raw):
    scene = normalize_llff(dataclasses.replace(raw, points=np.array([[0.1, 0.2, 0.3], [0.0, 0.5, 0.1]])))
    back = scene.points @ scene.to_original[:3, :3].T + scene.to_original[:3, 3]
    np.testing.assert_allclose(back, [[0.1, 0.2, 0.3], [0.0, 0.5, 0.1]], atol=1e-12)
    for new, old in zip(scene.views, raw.views, strict=True):
        cam_new = scene.points @ new.world_to_cam[:3, :3].T + new.world_to_cam[:3, 3]
        cam_old = back @ old.world_to_cam[:3, :3].T + old.world_to_cam[:3, 3]
        np.testing.assert_allclose(cam_new[:, :2] / cam_new[:, 2:], cam_old[:, :2] / cam_old[:, 2:], atol=1e-12)


def test_own_captures_are_scaled_without_recentring(raw):
    scene = normalize_llff(raw, bound_factor=0.47058824, recenter=False)
    assert min(view.near_far[0] for view in scene.views) == pytest.approx(1 / 0.47058824)
    for new, old in zip(scene.views, raw.views, strict=True):
        np.testing.assert_allclose(new.world_to_cam[:3, :3], old.world_to_cam[:3, :3], atol=1e-15)


def test_a_scene_without_bounds_is_refused(raw):
    views = tuple(dataclasses.replace(view, near_far=None) for view in raw.views)
    with pytest.raises(ValueError, match="has views without depth bounds"):
        normalize_llff(dataclasses.replace(raw, views=views))


@pytest.mark.parametrize(("downscale", "suffix"), [(4, "jpg"), (8, "png")])
def test_cached_depth_is_in_the_unit_of_the_scene(root, rendered, downscale, suffix):
    scene = read_real_iconic(
        root / "real_iconic_noface" / "leaves", downscale, depth_cache=root / "colmap_forward_cache"
    )
    assert scene.views[2].depth.path.name == f"2.{suffix}.geometric.bin"
    scale = 1 / np.linalg.norm(scene.to_original[:3, 0])
    expected = rendered.views[2].depth[:: downscale // 4, :: downscale // 4] * scale
    np.testing.assert_allclose(load_depth(scene.views[2]), expected, rtol=1e-5)


def test_depth_is_optional_and_exists_for_two_sizes(root):
    folder = root / "real_iconic_noface" / "leaves"
    assert all(view.depth is None for view in read_real_iconic(folder).views)
    with pytest.raises(ValueError, match="a 4th and an 8th, not 1/1"):
        read_real_iconic(folder, 1, depth_cache=root / "colmap_forward_cache")


def test_the_average_of_one_camera_is_that_camera(raw):
    one = dataclasses.replace(raw, views=raw.views[:1])
    expected = np.linalg.inv(raw.views[0].world_to_cam) @ np.diag([1.0, -1, -1, 1])
    np.testing.assert_allclose(average_pose(one), expected, atol=1e-12)
