import pytest
import torch

from gens.networks import sdf_inference
from gens.networks.sdf_inference import SdfField
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
    torch.testing.assert_close(network.with_gradient(want["pts"], volumes)[1], derivatives.gradient)


@pytest.mark.parametrize("kind", ["raw", "sphere"])
def test_the_folded_field_is_the_network(weights, scene, kind, monkeypatch):
    monkeypatch.setattr(sdf_inference, "CPU_CHUNK", 64)
    want, volumes = scene
    field = SdfField(build(weights, kind == "sphere"), volumes, [torch.ones(1, 1, 2, 2, 2)])
    torch.testing.assert_close(field(want["pts"]), want[f"{kind}_out"][:, 0], rtol=0, atol=2e-5)
    sdf, gradient = field.with_gradient(want["pts"])
    torch.testing.assert_close(sdf, want[f"{kind}_out"][:, 0], rtol=0, atol=2e-5)
    torch.testing.assert_close(gradient, want[f"{kind}_gradient"], rtol=0, atol=1e-4)


def test_the_folded_field_is_the_network_for_other_sizes():
    torch.manual_seed(0)
    sizes = {"d_hidden": 40, "n_layers": 3, "skip_in": [1, 2], "multires": 2, "scale": 1.5, "feat_multires": 3}
    network = SdfNetwork(**sizes, feat_channels=4, d_out=6)
    for parameter in network.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    volumes = [torch.randn(1, 2, 3, 4, 5), torch.randn(1, 2, 2, 2, 2)]
    points = 2.2 * torch.rand(50, 3) - 1.1
    sdf, gradient = SdfField(network, volumes, [torch.ones(1, 1, 2, 2, 2)]).with_gradient(points)
    want = network.with_gradient(points, volumes)
    torch.testing.assert_close(sdf, want[0][:, 0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient, want[1], rtol=1e-3, atol=1e-4)


def test_points_that_no_view_sees_are_far_away():
    field = SdfField(SdfNetwork(), [torch.zeros(1, 4, 2, 2, 2)] * 5, [torch.zeros(1, 1, 2, 2, 2)])
    sdf, seen = field.masked(torch.zeros(12, 3))
    assert not seen.any() and (sdf[10:] == 100).all() and (sdf[:10] < 0).all()


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
