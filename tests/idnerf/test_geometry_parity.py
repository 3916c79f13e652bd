"""Rays, projection, encodings and compositing against the released model's answers."""

import numpy as np
import torch

from common.cameras import Camera
from common.compositing import alpha_from_density, weights_from_alpha
from idnerf.encodings import encode_points, ray_position_table
from idnerf.networks.network import composite_rays
from idnerf.networks.position import add_window_position, picture_position
from idnerf.projection import project_normalised, transform
from idnerf.rays import rays_of, sample_depths


def rays_camera(fixture):
    height, width = fixture["in_size"].tolist()
    near, far = fixture["in_near_far"][0].tolist()
    return Camera(fixture["in_intrinsics"][0], fixture["in_extrinsics"][0], height, width, (near, far))


def test_rays_and_depths_are_the_released_ones(tensors, assert_near):
    fixture = tensors("rays")
    camera = rays_camera(fixture)
    count = fixture["out_depth_eval_legacy"].shape[2]
    for name, legacy in (("legacy", True), ("centred", False)):
        center, directions = rays_of(camera, legacy)
        assert_near(center.expand_as(directions)[None], fixture[f"out_centre_{name}"], 1e-5)
        assert_near(directions[None], fixture[f"out_ray_{name}"], 1e-5)
        depths = sample_depths(camera.near_far, count, legacy).expand(len(directions), -1)
        assert_near(depths[None, ..., None], fixture[f"out_depth_eval_{name}"], 1e-5)
        drawn = sample_depths(camera.near_far, count, legacy, u=fixture["in_u"][0, ..., 0])
        assert_near(drawn[None, ..., None], fixture[f"out_depth_train_{name}"], 1e-5)


def test_points_and_inverse_depths_are_the_released_ones(tensors, assert_near):
    fixture = tensors("rays")
    camera = rays_camera(fixture)
    center, directions = rays_of(camera)
    depths = sample_depths(camera.near_far, fixture["out_points"].shape[2])
    assert_near((center + depths[..., None] * directions[:, None])[None], fixture["out_points"], 1e-5)
    inverse = sample_depths(camera.near_far, depths.shape[1], inverse=True).expand(len(directions), -1)
    assert_near(inverse[None, ..., None], fixture["out_depth_inverse"], 1e-5)


def test_projection_is_the_released_one(tensors, assert_near):
    fixture = tensors("projection")
    size = tuple(fixture["in_size"].tolist())
    cameras = [fixture[f"in_{name}"] for name in ("points", "extrinsics", "intrinsics", "near_far")]
    assert_near(project_normalised(*cameras, size), fixture["out_ndc"], 1e-5)
    assert_near(project_normalised(*cameras, size, inverse_depth=True), fixture["out_ndc_inverse_depth"], 1e-5)


def test_encodings_are_the_released_ones(tensors, made, assert_near):
    fixture = tensors("encodings")
    points = fixture["in_points"]
    assert_near(encode_points(points, 10)[..., 3:], fixture["out_point_legacy"], 1e-5)
    assert_near(encode_points(points, 4, legacy=False)[..., 3:], fixture["out_point_pi"], 1e-5)
    table = fixture["out_ray_table"]
    assert_near(ray_position_table(*table.shape[-2:], points).reshape(table.shape), table, 1e-5)
    height, width = fixture["in_size"].tolist()
    position = picture_position(height, width, 128, points)
    assert_near(position.reshape(fixture["out_image_position"].shape), fixture["out_image_position"], 1e-5)
    features = made("encodings/f0", (1, 128, height, width))
    added = add_window_position(features, 2) - features
    assert_near(added, fixture["out_windowed_position"].reshape(added.shape), 1e-5)


def test_compositing_is_the_released_one(tensors, assert_near):
    fixture = tensors("compositing")
    ray, rgb, density, depth = (fixture[f"in_{name}"][0] for name in ("ray", "rgb", "density", "depth"))
    for name, directions in (("plain", None), ("interval", ray)):
        ours = composite_rays(rgb, density, depth[..., 0], directions)
        for part in ("rgb", "depth", "opacity"):
            assert_near(ours[part], fixture[f"out_{name}_{part}"][0], 1e-5)
    ours = composite_rays(rgb, density, depth[..., 0])
    assert_near(ours["rgb"] + 1 - ours["opacity"], fixture["out_white_rgb"][0], 1e-5)
    weights = weights_from_alpha(alpha_from_density(density))
    assert_near(weights[..., None], fixture["out_plain_weights"][0], 1e-5)


def test_a_point_on_a_ray_projects_to_its_pixel_and_depth(tensors):
    fixture = tensors("rays")
    camera = rays_camera(fixture)
    center, directions = rays_of(camera)
    near_far = torch.tensor([[2.0, 4.0]])
    points = (center + 3.0 * directions)[None]
    coordinates = project_normalised(
        points, camera.world_to_cam[None], camera.intrinsics[None], near_far, (camera.height, camera.width)
    )
    last = coordinates[0, -1]
    torch.testing.assert_close(last, torch.tensor([1.0, 1.0, 0.5]), atol=1e-5, rtol=0)


def test_points_are_moved_with_the_same_bits_on_every_machine():
    """Products rounded one by one and added from left to right, whatever a processor's matrix product does."""
    generator = torch.Generator().manual_seed(0)
    matrix, points = torch.randn(4, 4, generator=generator), torch.randn(3, 5000, generator=generator)
    m, (x, y, z) = matrix.numpy(), points.numpy()
    for ours, row in zip(transform(matrix, *points), m, strict=False):
        assert np.array_equal(ours.numpy(), row[0] * x + row[1] * y + row[2] * z + row[3])
    without_shift = transform(matrix[:3, :3], *points)
    assert np.array_equal(without_shift[2].numpy(), m[2, 0] * x + m[2, 1] * y + m[2, 2] * z)
