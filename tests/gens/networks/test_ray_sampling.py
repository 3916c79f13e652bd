import pytest
import torch

from gens.networks.ray_sampling import (
    RaySamples,
    SamplingSettings,
    equal_steps,
    importance_samples,
    merge,
    near_surface,
    sample_distribution,
    weights_from_alpha,
)
from gens.networks.sdf_inference import SdfField
from gens.networks.sdf_net import SdfNetwork


@pytest.fixture
def scene(weights, reference, recipes, tensors):
    want = reference("sampling")
    network = SdfNetwork()
    network.load_state_dict(weights("implicit_surface.sdf_network.", True))
    volumes = tensors(recipes.sdf_volumes("open/", want["dims"].tolist(), 0.05))
    return want, SdfField(network, volumes, [want[f"mask{level}"] for level in range(5)])


def is_close(got, want, tolerance=1e-4, share=0.99):
    return ((got - want).abs() <= tolerance).float().mean() >= share


def test_samples_are_those_of_the_reference(scene):
    want, field = scene
    rays = want["rays_o"], want["rays_d"]
    points = rays[0][:, None] + rays[1][:, None] * want["z_vals"][..., None]
    sdf, seen = (value.view(want["z_vals"].shape) for value in field.masked(points.flatten(0, 1)))
    assert is_close(sdf, want["sdf"])
    samples = RaySamples(want["z_vals"], want["sdf"], seen)
    new_z = near_surface(*rays, samples, 16, 64.0)
    torch.testing.assert_close(new_z, want["first_new_z"], rtol=0, atol=1e-5)
    new_sdf, new_seen = field.masked((rays[0][:, None] + rays[1][:, None] * new_z[..., None]).flatten(0, 1))
    merged = merge(samples, RaySamples(new_z, new_sdf.view(new_z.shape), new_seen.view(new_z.shape)))
    assert is_close(merged.z, want["first_z"]) and is_close(merged.sdf, want["first_sdf"])
    assert is_close(importance_samples(*rays, want["z_vals"], field.masked, SamplingSettings()), want["final_z"])


def test_the_inverse_distribution_is_that_of_the_reference(reference):
    want = reference("sampling")
    got = sample_distribution(want["pdf_bins"], want["pdf_weights"], want["pdf_samples"].shape[1])
    torch.testing.assert_close(got, want["pdf_samples"], rtol=0, atol=1e-5)


def test_steps_run_from_near_to_far_and_shift_as_a_whole(monkeypatch):
    near, far = torch.tensor([[1.0]]), torch.tensor([[3.0]])
    z = equal_steps(near, far, 2, SamplingSettings(n_samples=5, perturb=0.0))
    torch.testing.assert_close(z, torch.tensor([[1.0, 1.5, 2.0, 2.5, 3.0]] * 2))
    monkeypatch.setattr(torch, "rand", lambda size, **options: torch.tensor([[0.0], [1.0]]))
    shifted = equal_steps(near, far, 2, SamplingSettings(n_samples=5))
    torch.testing.assert_close(shifted - z, torch.tensor([[-0.2], [0.2]]).expand(2, 5))


def test_an_opaque_sample_takes_all_light_that_is_left():
    weights = weights_from_alpha(torch.tensor([[0.5, 0.5, 1.0, 0.5]]))
    torch.testing.assert_close(weights, torch.tensor([[0.5, 0.25, 0.25, 0.0]]), rtol=1e-6, atol=1e-6)


def test_no_round_is_refused():
    with pytest.raises(ValueError, match="up_sample_steps of at least 1, got 64, 64 and 0"):
        SamplingSettings(up_sample_steps=0)
