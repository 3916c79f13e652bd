import torch

from common.cameras import unproject
from idnerf.ray_pictures import ray_pictures, released_ray_pictures, seen_from_first
from idnerf.views import SourceViews


def test_released_ray_pictures_are_the_released_ones(tensors, assert_near):
    fixture = tensors("latent")
    height, width = fixture["in_size"].tolist()
    made = released_ray_pictures(fixture["in_intrinsics"][0], fixture["in_extrinsics"][0], height, width)
    assert_near(made[:-1, :, ::4, ::4], fixture["out_ray_images"], 1e-5)
    assert_near(made[-1, :, ::4, ::4], fixture["out_target_ray_image"], 1e-5)


def test_the_correct_ray_picture_leads_to_what_a_pixel_sees(tensors):
    fixture = tensors("latent")
    height, width = fixture["in_size"].tolist()
    intrinsics, extrinsics = fixture["in_intrinsics"][0], fixture["in_extrinsics"][0]
    made = ray_pictures(intrinsics, extrinsics, height, width)
    pixel = torch.tensor([5.0, 3.0]).expand(len(made), 1, 2)
    depth = torch.full((len(made), 1), 2.5)
    point = unproject(pixel, depth, intrinsics, extrinsics)[:, 0]
    torch.testing.assert_close(made[:, :3, 3, 5] + 2.5 * made[:, 3:, 3, 5], point, atol=1e-4, rtol=0)


def test_both_agree_when_the_formula_gets_the_matrix_it_is_for(tensors):
    """Camera to world with OpenGL axes."""
    fixture = tensors("latent")
    intrinsics, extrinsics = fixture["in_intrinsics"][0], fixture["in_extrinsics"][0]
    opengl_cam_to_world = torch.linalg.inv(extrinsics) @ torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    theirs = released_ray_pictures(intrinsics, opengl_cam_to_world, 6, 8)
    torch.testing.assert_close(ray_pictures(intrinsics, extrinsics, 6, 8), theirs, atol=1e-5, rtol=0)


def test_views_move_together_to_a_device():
    views = SourceViews(
        torch.rand(2, 3, 8, 8), torch.eye(4).repeat(2, 1, 1), torch.eye(3).repeat(2, 1, 1), torch.ones(2, 2)
    )
    assert {value.device.type for value in vars(views.to("meta")).values()} == {"meta"}


def test_seen_from_the_first_camera_the_world_does_not_matter(tensors):
    fixture = tensors("latent")
    intrinsics, extrinsics = fixture["in_intrinsics"][0], fixture["in_extrinsics"][0]
    turn = torch.linalg.qr(torch.tensor([[1.0, 2.0, 0.5], [0.3, 1.0, -2.0], [0.7, -0.4, 1.0]]))[0]
    turn = turn * torch.linalg.det(turn).sign()
    moved = extrinsics.clone()
    moved[:, :3, :3] = extrinsics[:, :3, :3] @ turn
    moved[:, :3, 3] = 3.0 * (extrinsics[:, :3, :3] @ torch.tensor([5.0, -2.0, 1.0]) + extrinsics[:, :3, 3])
    pictures = [
        ray_pictures(intrinsics, seen_from_first(poses, poses[0], torch.tensor(near)), 6, 8)
        for poses, near in ((extrinsics, 2.0), (moved, 6.0))
    ]
    torch.testing.assert_close(*pictures, atol=1e-5, rtol=0)
    assert pictures[0][0, :3].abs().max() < 1e-6
    assert pictures[0][1, :3].abs().max() > 1e-2
