import math

import pytest
import torch

from common.cameras import (
    Camera,
    camera_center,
    crop_intrinsics,
    invert_rigid,
    project,
    projection_matrix,
    scale_intrinsics,
    unproject,
)

INTRINSICS = torch.tensor([[100.0, 0.0, 32.0], [0.0, 110.0, 24.0], [0.0, 0.0, 1.0]], dtype=torch.float64)


def camera_on_the_y_axis(distance=5.0):
    """World z is up; the camera sits at (0, -distance, 0), looks along +y, its right is world x."""
    rotation = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = rotation
    pose[:3, 3] = rotation @ torch.tensor([0.0, distance, 0.0], dtype=torch.float64)
    return pose


def random_poses(*batch):
    q, _ = torch.linalg.qr(torch.randn(*batch, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    q = q * torch.linalg.det(q)[..., None, None].sign()
    pose = torch.eye(4, dtype=torch.float64).expand(*batch, 4, 4).clone()
    pose[..., :3, :3] = q
    pose[..., :3, 3] = torch.arange(3.0, dtype=torch.float64)
    return pose


def test_a_point_ahead_above_and_right_lands_right_and_up_in_the_image():
    pixels, depth = project(torch.tensor([[1.0, 0.0, 0.5]], dtype=torch.float64), INTRINSICS, camera_on_the_y_axis())
    torch.testing.assert_close(depth, torch.tensor([5.0], dtype=torch.float64))
    torch.testing.assert_close(pixels, torch.tensor([[32.0 + 20.0, 24.0 - 11.0]], dtype=torch.float64))


@pytest.mark.parametrize("batch", [(), (3,), (2, 2)])
def test_unprojecting_a_projection_gives_the_point_back(batch):
    pose = random_poses(*batch)
    points_cam = torch.rand(*batch, 7, 3, dtype=torch.float64) + torch.tensor([-0.5, -0.5, 1.0], dtype=torch.float64)
    points = (points_cam - pose[..., None, :3, 3]) @ pose[..., :3, :3]
    pixels, depth = project(points, INTRINSICS, pose)
    torch.testing.assert_close(unproject(pixels, depth, INTRINSICS.expand(*batch, 3, 3), pose), points)


def test_the_inverse_and_the_center_agree():
    pose = random_poses(4)
    torch.testing.assert_close(invert_rigid(pose) @ pose, torch.eye(4, dtype=torch.float64).expand(4, 4, 4))
    torch.testing.assert_close(camera_center(pose), invert_rigid(pose)[:, :3, 3])


def test_the_projection_matrix_is_the_chain_of_both():
    pose = random_poses()
    point = torch.tensor([0.3, -0.2, 4.0, 1.0], dtype=torch.float64)
    homogeneous = projection_matrix(INTRINSICS, pose) @ point
    pixels, depth = project(point[None, :3], INTRINSICS, pose)
    torch.testing.assert_close(homogeneous[:2] / homogeneous[2], pixels[0])
    torch.testing.assert_close(homogeneous[2], depth[0])


def test_cropping_after_resizing_equals_the_matching_crop_before():
    resized_then_cropped = crop_intrinsics(scale_intrinsics(INTRINSICS, 0.5), 4.0, 3.0)
    cropped_then_resized = scale_intrinsics(crop_intrinsics(INTRINSICS, 8.0, 6.0), 0.5)
    torch.testing.assert_close(resized_then_cropped, cropped_then_resized)


def test_a_resized_camera_sees_the_same_angle():
    camera = Camera(INTRINSICS, random_poses(), height=48, width=64, near_far=(1.0, 2.0)).resized(96, 32)
    torch.testing.assert_close(camera.intrinsics[0], INTRINSICS[0] * 0.5)
    torch.testing.assert_close(camera.intrinsics[1], INTRINSICS[1] * 2.0)
    assert math.isclose(camera.intrinsics[2, 2].item(), 1.0)


def test_projection_has_correct_gradients():
    points = torch.tensor([[0.1, -0.2, 3.0], [0.4, 0.3, 2.0]], dtype=torch.float64, requires_grad=True)
    pose = random_poses()
    pose[:3, :3] = torch.eye(3)
    assert torch.autograd.gradcheck(lambda x: project(x, INTRINSICS, pose), points)
