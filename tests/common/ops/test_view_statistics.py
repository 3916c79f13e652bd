import pytest
import torch
from torch.autograd import gradcheck

from common.ops.view_statistics import view_statistics


@pytest.fixture
def inputs():
    """Three views around the origin that see different parts of a box; one looks away from some of it."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 2, 5, 7, generator=generator, dtype=torch.float64)
    intrinsics = torch.tensor([[4.0, 0, 3], [0, 4, 2], [0, 0, 1]], dtype=torch.float64).repeat(3, 1, 1)
    world_to_cam = torch.eye(4, dtype=torch.float64).repeat(3, 1, 1)
    world_to_cam[:, :3, 3] = torch.tensor([[0.0, 0, 2], [0.75, -0.4, 2.0], [0.0, 0.0, 0.31]])
    axes = tuple(torch.linspace(-1, 1, size, dtype=torch.float64) + 0.013 for size in (4, 5, 6))
    return features, intrinsics, world_to_cam, axes


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_a_voxel_has_the_mean_and_variance_of_the_views_that_see_it(backend):
    features = torch.tensor([1.0, 4.0, 7.0]).view(3, 1, 1, 1).expand(3, 1, 2, 2)
    intrinsics = torch.tensor([[1.0, 0, 0.5], [0, 1, 0.5], [0, 0, 1]]).repeat(3, 1, 1)
    world_to_cam = torch.eye(4).repeat(3, 1, 1)
    world_to_cam[2, 2, 3] = -2.0  # behind this camera
    axes = torch.tensor([0.0, 9.0]), torch.tensor([0.1]), torch.tensor([1.0])
    volume, count = view_statistics(features, intrinsics, world_to_cam, axes, backend)
    torch.testing.assert_close(volume.flatten(1), torch.tensor([[2.5, 0.0], [2.25, 0.0]]))
    assert count.flatten().tolist() == [2, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_kernel_gives_what_the_reference_gives(inputs, dtype):
    features, *cameras, axes = inputs
    arguments = features.to(dtype), *(each.to(dtype) for each in cameras), tuple(axis.to(dtype) for axis in axes)
    want, count = view_statistics(*arguments, "torch")
    assert set(count.unique().tolist()) >= {0, 1, 2}
    got, number = view_statistics(*arguments, "numba")
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(number, count)


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_gradients_are_those_of_finite_differences(inputs, backend):
    features, *cameras, axes = inputs
    assert gradcheck(lambda maps: view_statistics(maps, *cameras, axes, backend)[0], features.requires_grad_())


def test_channels_lie_innermost(inputs):
    volume, _ = view_statistics(*inputs, "numba")
    assert volume.permute(1, 2, 3, 0).is_contiguous()
