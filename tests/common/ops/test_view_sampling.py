import pytest
import torch

from common.ops.view_sampling import sample_views


@pytest.fixture
def scene():
    """Two sources and a target around the origin; some points project outside, one lies behind a source."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 2, 5, 7, 9, generator=generator, dtype=torch.float64)
    points = torch.randn(2, 3, 4, 3, generator=generator, dtype=torch.float64) * 0.7
    intrinsics = torch.tensor([[6.0, 0.0, 4.0], [0.0, 6.0, 3.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    world_to_cam = torch.eye(4, dtype=torch.float64).repeat(2, 2, 1, 1)
    world_to_cam[:, 0, :3, 3] = torch.tensor([0.3, 0.1, 2.0])
    world_to_cam[:, 1, :3, 3] = torch.tensor([-0.4, 0.2, 1.8])
    points[0, 0, 0] = torch.tensor([0.1, 0.2, -5.0])
    target_center = torch.tensor([[0.0, 0.1, -2.1], [0.2, 0.0, -1.9]], dtype=torch.float64)
    return features, points, intrinsics.repeat(2, 2, 1, 1), world_to_cam, target_center


def test_a_point_shows_the_pixel_it_projects_to_and_the_angle_between_the_views():
    features = torch.arange(12.0).reshape(1, 1, 1, 3, 4)
    world_to_cam = torch.eye(4)[None, None].clone()
    world_to_cam[..., 2, 3] = 2.0
    intrinsics = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])[None, None]
    vectors = sample_views(features, torch.zeros(1, 1, 3), intrinsics, world_to_cam, torch.tensor([[-2.0, 0.0, 0.0]]))
    # The origin is pixel (2, 1) of the source, where the map is 6; the target looks along x, the source along z.
    torch.testing.assert_close(vectors[0, 0, 0], torch.tensor([6.0, 0.5**0.5, 0.0, -(0.5**0.5), 0.0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_kernel_gives_what_the_reference_gives(scene, dtype):
    scene = [tensor.to(dtype) for tensor in scene]
    want = sample_views(*scene, backend="torch")
    assert want.shape == (2, 2, 3, 4, 9)
    torch.testing.assert_close(sample_views(*scene, backend="numba"), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_features_and_points_have_gradients(scene, backend):
    features, points, *cameras = scene
    inside = points[:, 1:] * 0.3
    inputs = features.clone().requires_grad_(), inside.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda f, p: sample_views(f, p, *cameras, backend=backend), inputs)


def test_gradients_agree_also_outside_the_map_and_behind_the_camera(scene):
    gradients = []
    for backend in ("torch", "numba"):
        features, points = scene[0].clone().requires_grad_(), scene[1].clone().requires_grad_()
        vectors = sample_views(features, points, *scene[2:], backend=backend)
        weights = torch.linspace(-1, 1, vectors.numel(), dtype=torch.float64).reshape(vectors.shape)
        gradients.append(torch.autograd.grad((vectors * weights).sum(), (features, points)))
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-6, atol=1e-8)


def test_a_camera_that_needs_a_gradient_is_left_to_the_reference(scene):
    features, points, intrinsics, world_to_cam, target_center = scene
    world_to_cam = world_to_cam.clone().requires_grad_()
    sample_views(features, points, intrinsics, world_to_cam, target_center).sum().backward()
    assert world_to_cam.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="no back-end 'numba' here"):
        sample_views(features, points, intrinsics, world_to_cam, target_center, backend="numba")
