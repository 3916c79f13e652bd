import json

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from common.camera_paths import in_another_world, named_path, pinhole, read_any_path, with_pose, with_size
from common.cameras import project
from common.io.camera_path import PathFrame, read_camera_path, write_camera_path
from common.trajectories import write_path
from tests.scenes import SPHERE_CENTER, camera_pose

LENS = pinhole(120.0, (80, 60), (0.5, 9.0))
POSES = [camera_pose(0.4 * index, 0.5, 0.1) for index in range(4)]
CAMERAS = [with_pose(LENS, pose) for pose in POSES]
POINTS = torch.from_numpy(SPHERE_CENTER + np.random.default_rng(3).uniform(-0.3, 0.3, (20, 3)))


def pixels(camera):
    return project(POINTS, camera.intrinsics, camera.world_to_cam)


@pytest.mark.parametrize(("name", "frames", "count"), [("interpolated", 10, 10), ("orbit", 7, 7), ("spiral", 5, 5)])
def test_named_paths_have_the_frames_that_were_asked_for(name, frames, count):
    path = named_path(name, CAMERAS, frames)
    assert len(path.cameras) == count and path.fps is None
    for camera in path.cameras:
        assert (camera.height, camera.width, camera.near_far) == (60, 80, (0.5, 9.0))
        assert camera.world_to_cam.dtype == torch.float64
        torch.testing.assert_close(camera.intrinsics, LENS.intrinsics)
    assert pixels(path.cameras[count // 2])[1].min() > 0, "the scene is in front"


def test_an_interpolated_path_starts_and_ends_at_its_cameras():
    path = named_path("interpolated", CAMERAS, 10).cameras
    for index in (0, 1, 2, 3):
        np.testing.assert_allclose(path[3 * index].world_to_cam.numpy(), POSES[index], atol=1e-9)


def test_impossible_names_are_refused():
    for name, cameras, frames, told in [
        ("zigzag", CAMERAS, 5, "unknown camera path 'zigzag'"),
        ("orbit", CAMERAS, 0, "at least one frame"),
        ("orbit", [], 5, "there are none"),
        ("interpolated", CAMERAS[:1], 5, "needs two cameras"),
    ]:
        with pytest.raises(ValueError, match=told):
            named_path(name, cameras, frames)


def test_a_navigation_file_holds_opencv_camera_to_world(tmp_path):
    np.save(tmp_path / "syt.npy", np.linalg.inv(np.stack(POSES)).astype(np.float32))
    path = read_any_path(tmp_path / "syt.npy", LENS)
    assert len(path.cameras) == 4
    for camera, pose in zip(path.cameras, POSES, strict=True):
        np.testing.assert_allclose(camera.world_to_cam.numpy(), pose, atol=1e-6)
    # navigation_focal at navigation_W x navigation_H: the optical axis passes between the two middle pixels.
    np.testing.assert_array_equal(path.cameras[0].intrinsics, [[120, 0, 39.5], [0, 120, 29.5], [0, 0, 1]])


@pytest.mark.parametrize(
    ("poses", "told"),
    [
        (np.empty((0, 4, 4)), r"shape \[0, 4, 4\]"),
        (np.eye(4), r"shape \[4, 4\]"),
        (np.zeros((2, 3, 4)), r"shape \[2, 3, 4\]"),
        (np.stack([np.eye(4), np.full((4, 4), np.nan)]), "frame 1 .*not finite"),
        (np.stack([np.eye(4), np.diag([1.0, 1, -1, 1])]), "frame 1 .*determinant -1"),
    ],
)
def test_broken_navigation_files_are_one_sentence(tmp_path, poses, told):
    np.save(tmp_path / "syt.npy", poses)
    with pytest.raises(ValueError, match=told):
        read_any_path(tmp_path / "syt.npy", LENS)


def test_pose_files_take_the_given_lens(tmp_path):
    write_path(tmp_path / "path.json", POSES)
    path = read_any_path(tmp_path / "path.json", LENS)
    np.testing.assert_allclose(path.cameras[2].world_to_cam.numpy(), POSES[2])
    assert path.cameras[2].width == 80


def test_our_own_files_come_back_exactly(tmp_path):
    frames = [PathFrame(np.array([[50.0 + i, 0, 7], [0, 51, 8.25], [0, 0, 1]]), POSES[i], 20 + i, 31) for i in range(3)]
    write_camera_path(tmp_path / "path.json", frames, 29.97)
    path = read_any_path(tmp_path / "path.json", LENS)
    assert path.fps == 29.97
    for frame, camera in zip(frames, path.cameras, strict=True):
        np.testing.assert_array_equal(camera.intrinsics.numpy(), frame.intrinsics)
        np.testing.assert_allclose(camera.world_to_cam.numpy(), frame.world_to_cam, atol=1e-14)
        assert (camera.width, camera.height, camera.near_far) == (frame.width, 31, (0.5, 9.0))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"axes": "opengl"}, "axes 'opengl'"),
        ({"pixel_origin": "corner"}, "pixel_origin 'corner'"),
        ({"frames": []}, "no frames"),
        ({"frames": [7]}, "frame 0 must be an object"),
        ({"fps": 0}, "fps must be a positive number"),
        ({"width": 1e9}, "frame 0: width must be a whole number"),
        ({"intrinsics": [[1, 0], [0, 1]]}, "frame 0: intrinsics must be 3 x 3"),
        ({"intrinsics": [[-1, 0, 0], [0, 1, 0], [0, 0, 1]]}, "frame 0 has focal lengths"),
        ({"cam_to_world": [[1e999] * 4] * 4}, "frame 0: cam_to_world must be 4 x 4 finite"),
        ({"cam_to_world": np.zeros((4, 4)).tolist()}, "frame 0 has a pose"),
    ],
)
def test_broken_files_of_our_own_are_one_sentence(tmp_path, change, told):
    frame = {"width": 8, "height": 6, "intrinsics": LENS.intrinsics.tolist(), "cam_to_world": np.eye(4).tolist()}
    content = {"axes": "opencv", "frames": [frame | {k: v for k, v in change.items() if k in frame}]}
    (tmp_path / "path.json").write_text(json.dumps(content | {k: v for k, v in change.items() if k not in frame}))
    with pytest.raises(ValueError, match=told):
        read_any_path(tmp_path / "path.json", LENS)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "path.txt").write_text("0 0 0")
    (tmp_path / "path.json").write_text('{"poses": []}')
    for name, told in [("path.txt", "is no camera path"), ("path.json", "holds no camera path")]:
        with pytest.raises(ValueError, match=told):
            read_any_path(tmp_path / name, LENS)
    with pytest.raises(ValueError, match="is no camera path"):
        read_camera_path(tmp_path / "path.json")


def test_another_size_keeps_the_vertical_field_of_view():
    camera = CAMERAS[1]
    for width, height in [(160, 120), (200, 120), (33, 30)]:
        resized = with_size(camera, width, height)
        scale = height / 60
        offset = pixels(resized)[0] + 0.5 - torch.tensor([width, height]) / 2  # from the middle of the picture
        expected = (pixels(camera)[0] + 0.5 - torch.tensor([80, 60]) / 2) * scale
        torch.testing.assert_close(offset, expected)
        assert (resized.width, resized.height) == (width, height)


def test_a_moved_world_looks_the_same():
    similarity = np.eye(4)
    similarity[:3, :3] = 2.5 * Rotation.from_euler("xyz", [0.3, -1.0, 2.0]).as_matrix()
    similarity[:3, 3] = [4, -5, 6]
    moved = in_another_world(CAMERAS[0], similarity)
    points = POINTS @ torch.from_numpy(similarity[:3, :3].T) + torch.from_numpy(similarity[:3, 3])
    seen, depth = project(points, moved.intrinsics, moved.world_to_cam)
    torch.testing.assert_close(seen, pixels(CAMERAS[0])[0])
    torch.testing.assert_close(depth, 2.5 * pixels(CAMERAS[0])[1])
    assert moved.near_far == pytest.approx((1.25, 22.5))
    rotation = moved.world_to_cam[:3, :3]
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3, dtype=torch.float64))
