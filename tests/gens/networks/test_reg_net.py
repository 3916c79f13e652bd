import pytest
import torch

from gens.networks import reg_net
from gens.networks.reg_net import RegularizationNetwork, normalise


@pytest.fixture
def network(weights):
    network = RegularizationNetwork()
    network.load_state_dict(weights("reg_network."))
    return network


@pytest.mark.parametrize("with_gradient", [False, True])
def test_regularised_volumes_are_those_of_the_reference(network, reference, recipes, tensors, with_gradient):
    want = reference("reg_network")
    volumes = tensors(recipes.raw_volumes("open/", want["dims"].tolist()))
    with torch.set_grad_enabled(with_gradient):
        results = network(volumes)
    for level, (result, step) in enumerate(zip(results, want["strides"].tolist(), strict=True)):
        result = result.detach()
        torch.testing.assert_close(result[:, :, ::step, ::step, ::step], want[f"out{level}"], rtol=0, atol=1e-4)
        torch.testing.assert_close(result.mean(), want["means"][level], rtol=0, atol=1e-4)
        torch.testing.assert_close(result.std(), want["stds"][level], rtol=0, atol=1e-4)


def test_normalising_in_parts_is_normalising_the_whole(monkeypatch):
    monkeypatch.setattr(reg_net, "_CHUNK", 32)
    x = torch.randn(1, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 50
    want = torch.nn.functional.instance_norm(x).relu()
    with torch.no_grad():
        torch.testing.assert_close(normalise(x.clone()), want)


def test_the_given_volumes_are_not_changed(network):
    volumes = [torch.randn(1, 8, side, side, side) for side in (64, 32, 16, 8, 4)]
    copies = [volume.clone() for volume in volumes]
    with torch.no_grad():
        network(volumes)
    for volume, copy in zip(volumes, copies, strict=True):
        assert torch.equal(volume, copy)


def test_a_finest_volume_that_leaves_one_voxel_at_the_bottom_is_refused(network):
    with pytest.raises(ValueError, match="at least 64 voxels a side"):
        network([torch.zeros(1, 8, side, side, side) for side in (32, 16, 8, 4, 2)])
