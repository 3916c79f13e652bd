import torch
from torch.nn import functional

from gens.losses import dissimilarity
from gens.networks.patches import patch_maps, warp_patches


def test_patches_are_those_of_the_reference(reference, deterministic):
    want = reference("patch_warp")
    height, width = reference("scene")["imgs"].shape[-2:]
    small = torch.from_numpy(deterministic.array("open/pfeat", (len(want["intrs"]), 5, height // 4, width // 4)))
    maps = functional.interpolate(small, (height, width), mode="bilinear", align_corners=True)
    patches = warp_patches(want["pts"], want["normals_cam"], maps, want["intrs"], want["c2ws"])
    torch.testing.assert_close(patches.reference, want["ref"], rtol=0, atol=1e-3)
    torch.testing.assert_close(patches.sources, want["src"], rtol=0, atol=1e-3)
    torch.testing.assert_close(dissimilarity(*patches), want["lncc"], rtol=0, atol=2e-3)


def test_only_what_the_sources_show_moves_with_the_points(reference):
    want = reference("patch_warp")
    maps = torch.randn(3, 2, 64, 96, generator=torch.Generator().manual_seed(0))
    points = want["pts"].clone().requires_grad_()
    patches = warp_patches(points, want["normals_cam"], maps, want["intrs"], want["c2ws"])
    assert not patches.reference.requires_grad
    (gradient,) = torch.autograd.grad(patches.sources.sum(), points)
    assert torch.isfinite(gradient).all() and (gradient != 0).any()


def test_patches_read_three_levels_and_train_no_features():
    features = [torch.randn(2, 4, 32 >> level, 64 >> level).requires_grad_() for level in range(5)]
    maps = patch_maps(features)
    assert maps.shape == (2, 12, 32, 64) and not maps.requires_grad
    assert torch.equal(maps[:, :4], features[0])
