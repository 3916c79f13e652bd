import pytest
import torch
from torch.nn import functional

from common.ops.sparse_conv import Voxels
from gens.networks import sparse_volumes
from gens.networks.network import build_network
from gens.networks.reg_net import RegularizationNetwork
from gens.networks.sparse_volumes import SparseLevel, build_sparse_levels, regularise_sparse
from gens.networks.volumes import build_volumes

SIDES = [64, 32, 16, 8, 4]
# Of a network of three levels.
SMALL = [32, 16, 8]
CHANNELS = [2] * 3


def seeded():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return RegularizationNetwork(CHANNELS, CHANNELS, base=2).double()


@pytest.fixture
def volumes():
    generator = seeded()
    return [torch.randn(1, 2, s, s, s, generator=generator, dtype=torch.float64).requires_grad_() for s in SMALL]


def random_masks(share):
    generator = seeded()
    return [torch.rand(1, 1, side, side, side, generator=generator, dtype=torch.float64) < share for side in SMALL]


def sparse_levels(volumes, masks):
    for volume, mask in zip(volumes, masks, strict=True):
        voxels = Voxels.of(mask[0, 0])
        yield SparseLevel(voxels.gather(volume), voxels, mask.to(volume.dtype))


def masked_normalise(x, mask):
    number = mask.sum()
    mean = (x * mask).sum(dim=(2, 3, 4), keepdim=True) / number
    variance = ((x - mean).square() * mask).sum(dim=(2, 3, 4), keepdim=True) / number
    return ((x - mean) / (variance + 1e-5).sqrt()).relu() * mask


def regularise_masked(network, volumes, masks):
    """The sparse function, written with dense volumes."""
    masks = [mask.double() for mask in masks]
    masks.append(functional.max_pool3d(masks[-1], 2))
    skips = [masked_normalise(network.conv0.conv(volumes[0] * masks[0]), masks[0])]
    for level, (down, same) in enumerate(network.encoder_layers):
        x = torch.cat([skips[-1], volumes[level] * masks[level]], dim=1) if level else skips[-1]
        for layer in (down, same):
            x = masked_normalise(layer.conv(x), masks[level + 1])
        skips.append(x)
    x, results = skips.pop(), []
    for layer, out, mask in zip(network.decoder_layers[::-1], network.out_layers[::-1], masks[-2::-1], strict=True):
        x = masked_normalise(layer.conv(x), mask) + skips.pop()
        results.append(out(x) * mask)
    return results[::-1]


def assert_same_with_gradients(got, want, inputs):
    generator = seeded()
    totals = [0, 0]
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours, theirs)
        cotangent = torch.randn(theirs.shape, generator=generator, dtype=torch.float64)
        totals = [total + (value * cotangent).sum() for total, value in zip(totals, (ours, theirs), strict=True)]
    gradients = [torch.autograd.grad(total, inputs) for total in totals]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7 * float(theirs.abs().max()))


def test_where_all_voxels_are_occupied_the_sparse_network_is_the_dense_one(network, volumes):
    got = regularise_sparse(network, sparse_levels(volumes, random_masks(1.1)))
    assert_same_with_gradients(got, network(volumes), [*volumes, *network.parameters()])


def test_voxels_that_are_not_occupied_count_as_zero_and_are_not_normalised(network, volumes):
    masks = random_masks(0.3)
    got = regularise_sparse(network, sparse_levels(volumes, masks))
    assert_same_with_gradients(got, regularise_masked(network, volumes, masks), [*volumes, *network.parameters()])


def test_what_is_kept_for_gradients_is_proportional_to_the_occupied_voxels(network, volumes):
    def kept(share):
        levels = list(sparse_levels(volumes, random_masks(share)))
        sizes = {}
        pack = lambda tensor: sizes.__setitem__(tensor.data_ptr(), tensor.untyped_storage().nbytes())  # noqa: E731
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda packed: packed):
            results = regularise_sparse(network, levels)
        del results
        return sum(sizes.values())

    assert kept(0.1) < 0.15 * kept(1.1)


@pytest.fixture
def scene(reference):
    """Features and cameras of a scene of which views see parts."""
    scene, want = reference("scene"), reference("e2e_forward")
    return {
        "imgs": scene["imgs"],
        **{name: want[name] for name in ("intrs", "c2ws", "rays_o", "rays_d", "near", "far")},
    }


@pytest.fixture
def features(scene):
    generator = seeded()
    height, width = scene["imgs"].shape[-2:]
    sizes = [(height >> level, width >> level) for level in range(5)]
    return [torch.randn(len(scene["imgs"]), 4, *size, generator=generator).requires_grad_() for size in sizes]


def test_occupied_voxels_are_aggregated_as_in_the_dense_volumes(scene, features, monkeypatch):
    monkeypatch.setattr(sparse_volumes, "_SLAB", 64 * 64 * 7)
    cameras = scene["intrs"], scene["c2ws"]
    dense, sparse = build_volumes(features, *cameras, SIDES), build_sparse_levels(features, *cameras, SIDES)
    got = want = 0
    for (volume, mask), level in zip(dense, sparse, strict=True):
        assert torch.equal(level.mask, mask)
        assert len(level.values) == len(level.voxels) == mask.sum() < mask.numel()
        torch.testing.assert_close(level.values, level.voxels.gather(volume))
        weight = torch.linspace(-1, 1, level.values.shape[0])[:, None]
        got, want = got + (level.values * weight).sum(), want + (level.voxels.gather(volume) * weight).sum()
    for ours, theirs in zip(torch.autograd.grad(got, features), torch.autograd.grad(want, features), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))


def test_a_scene_that_no_two_views_see_is_refused(scene, features):
    apart = scene["c2ws"].clone()
    apart[:, :3, 3] += 100
    with pytest.raises(ValueError, match="no voxel of the volume of 64\\^3 is seen by more than one view"):
        list(build_sparse_levels(features, scene["intrs"], apart, SIDES))


def test_the_config_switches_the_mode_and_the_weights_stay_the_same(scene):
    torch.manual_seed(0)
    dense = build_network({"volume": {"volume_dims": SIDES}})
    sparse = build_network({"volume": {"volume_dims": SIDES, "sparse": True}})
    sparse.load_state_dict(dense.state_dict())
    assert sparse.sparse and not dense.sparse
    ours, theirs = sparse.eval().build_scene(scene), dense.eval().build_scene(scene)
    for volume, mask, dense_volume, dense_mask in zip(
        ours.volumes, ours.masks, theirs.volumes, theirs.masks, strict=True
    ):
        assert torch.equal(mask, dense_mask)
        assert volume.shape == dense_volume.shape
        assert torch.equal(volume, volume * mask) and volume.abs().sum() > 0


def test_the_sparse_mode_trains_both_networks_before_the_surface(scene):
    torch.manual_seed(0)
    network = build_network({"volume": {"volume_dims": SIDES, "sparse": True}})
    outputs = network("train", scene)
    (outputs["color_fine"].sum() + outputs["gradient_error"] + outputs["tv_reg"]).backward()
    for trained in (network.feature_network, network.reg_network):
        gradients = [parameter.grad for parameter in trained.parameters()]
        assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
        assert sum(gradient.abs().sum() for gradient in gradients) > 0
