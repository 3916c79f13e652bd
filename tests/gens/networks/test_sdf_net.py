import pytest
import torch

from gens.networks.sdf_net import SdfNetwork


def build(weights, sphere):
    network = SdfNetwork()
    network.load_state_dict(weights("implicit_surface.sdf_network.", sphere))
    return network


@pytest.fixture
def scene(reference, recipes, tensors):
    want = reference("sdf_network")
    return want, tensors(recipes.sdf_volumes("open/", want["dims"].tolist(), 0.15))


@pytest.mark.parametrize("kind", ["raw", "sphere"])
def test_distance_and_derivatives_are_those_of_the_reference(weights, scene, kind):
    want, volumes = scene
    network = build(weights, kind == "sphere")
    with torch.no_grad():
        torch.testing.assert_close(network(want["pts"], volumes), want[f"{kind}_out"], rtol=0, atol=2e-5)
    derivatives = network.derivatives(want["pts"], volumes)
    torch.testing.assert_close(derivatives.gradient, want[f"{kind}_gradient"], rtol=0, atol=1e-4)
    torch.testing.assert_close(derivatives.smooth, want[f"{kind}_smooth"], rtol=0, atol=1e-3)
    torch.testing.assert_close(network.gradient(want["pts"], volumes), derivatives.gradient)


def test_the_initial_surface_is_a_sphere():
    torch.manual_seed(0)
    network = SdfNetwork(bias=0.5)
    volumes = [torch.randn(1, 4, side, side, side) for side in (9, 8, 7, 6, 5)]
    directions = torch.nn.functional.normalize(torch.randn(50, 3), dim=-1)
    with torch.no_grad():
        assert (network.sdf(0.2 * directions, volumes) < 0).all()
        assert (network.sdf(0.9 * directions, volumes) > 0).all()
        other = [torch.randn_like(volume) for volume in volumes]
        torch.testing.assert_close(network.sdf(directions, volumes), network.sdf(directions, other))


def test_settings_that_no_checkpoint_has_are_refused():
    with pytest.raises(ValueError, match="weight_norm must be True"):
        SdfNetwork(weight_norm=False)
    with pytest.raises(ValueError, match="from 1 to 5"):
        SdfNetwork(skip_in=[6])
