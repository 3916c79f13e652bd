import pytest
import torch

from common.ops.view_differences import view_differences

BACKENDS = ["torch", "numba"]


def facing(x: float, near_far=(1.0, 4.0)):
    """Camera, looking along z from (x, 0, 0), and its bounds; a pixel is 1/4 of the depth wide."""
    intrinsics = torch.tensor([[4.0, 0, 3], [0, 4, 2], [0, 0, 1]])
    world_to_cam = torch.eye(3, 4)
    world_to_cam[0, 3] = -x
    return intrinsics, world_to_cam, torch.tensor(near_far)


def stacked(cameras):
    return tuple(torch.stack(each) for each in zip(*cameras, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_plane_that_both_views_see_has_no_differences(backend):
    """At depth 2 a step of one half moves the picture by one pixel."""
    cameras = stacked([facing(0.0), facing(0.5)])
    stripes = torch.rand(3, 5, 8, generator=torch.Generator().manual_seed(0))
    images = torch.stack([stripes[..., :7], stripes[..., 1:]])
    got = view_differences(images, torch.full((2, 5, 7), 2.0), *cameras, backend)
    torch.testing.assert_close(got, torch.zeros(2, 8, 5, 7), rtol=0, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_mean_and_variance_are_taken_over_the_views_that_see_the_point(backend):
    """The first view against itself and a second one that is 0.4 brighter and thinks the wall stands at 1.6."""
    cameras = stacked([facing(0.0), facing(0.5)])
    images = torch.stack([torch.full((3, 5, 7), 0.2), torch.full((3, 5, 7), 0.6)])
    depth = torch.stack([torch.full((5, 7), 2.0), torch.full((5, 7), 1.6)])
    got = view_differences(images, depth, *cameras, backend)[0]
    off = (1 / 1.6 - 1 / 2) / (1 - 1 / 4)
    both = torch.tensor([0.2, 0.2, 0.2, 0.04, 0.04, 0.04, off / 2, off * off / 4])
    torch.testing.assert_close(got[:, :, 1:], both[:, None, None].expand(-1, 5, 6), rtol=0, atol=1e-5)
    torch.testing.assert_close(got[:, :, 0], torch.zeros(8, 5), rtol=0, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_depth_differences_are_limited_and_a_point_behind_a_camera_counts_where_it_projects_inside(backend):
    """The second camera looks the same way from z = 4: the wall at 2 is behind it, upside down."""
    intrinsics, world_to_cam, near_far = facing(0.0)
    behind = world_to_cam.clone()
    behind[2, 3] = -4.0
    cameras = stacked([(intrinsics, world_to_cam, near_far), (intrinsics, behind, near_far)])
    got = view_differences(torch.zeros(2, 3, 5, 7), torch.full((2, 5, 7), 2.0), *cameras, backend)[0]
    torch.testing.assert_close(got[6], torch.full((5, 7), 1.5 / 2), rtol=0, atol=1e-5)
    beside = stacked([facing(0.0), facing(100.0)])
    got = view_differences(torch.zeros(2, 3, 5, 7), torch.full((2, 5, 7), 2.0), *beside, backend)[0]
    torch.testing.assert_close(got, torch.zeros(8, 5, 7), rtol=0, atol=1e-5)


def test_the_kernel_gives_what_the_reference_gives():
    generator = torch.Generator().manual_seed(1)
    cameras = stacked([facing(0.1, (1.0, 5.0)), facing(0.33), facing(-0.7, (0.5, 3.0)), facing(1.9)])
    cameras[1][:, 1:, 3] = torch.rand(4, 2, generator=generator) - 0.5
    images = torch.rand(4, 3, 6, 9, generator=generator)
    depth = 1 + 2 * torch.rand(4, 6, 9, generator=generator)
    want = view_differences(images, depth, *cameras, "torch")
    got = view_differences(images, depth, *cameras, "numba")
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
