import pytest
import torch

from idnerf.networks.network import build_network
from idnerf.views import split_batch

NUM_SAMPLES = 24
SLICE = 500
# The point encoding multiplies positions by 512: one unit in the last place of the target's camera moves single depths
# (of about 2.5) by 1.5e-4, colours by less than 4e-5.
TOLERANCES = {"rgb": 1e-4, "depth": 3e-4, "opacity": 1e-4}


@pytest.fixture(scope="module")
def golden_network(network_options, golden_weights):
    """`golden_network(samples)`: the released network with the fixtures' weights."""

    def build(samples):
        network = build_network(network_options({"nerf.sample_intvs": samples, "nerf.rand_rays_test": SLICE}))
        network.load_state_dict(golden_weights())
        return network.eval()

    return build


@pytest.fixture(scope="module")
def batch(tensors, pictures):
    """The item of the end-to-end fixture."""
    fixture = tensors("forward_eval")
    cameras = {name: fixture[f"in_{name}"] for name in ("extrinsics", "intrinsics", "near_fars")}
    count = cameras["extrinsics"].shape[1]
    return cameras | {"images": pictures(count, *fixture["in_size"].tolist())[None]}


def test_names_and_shapes_are_the_released_ones(network_options, manifest):
    state = build_network(network_options()).state_dict()
    assert [(name, list(value.shape)) for name, value in state.items()] == list(manifest.items())


@torch.no_grad()
def test_whole_picture_is_the_released_one(golden_network, batch, tensors, assert_near):
    fixture = tensors("forward_eval")
    rendered = golden_network(NUM_SAMPLES)(batch, "test")
    for name, tolerance in TOLERANCES.items():
        assert_near(rendered[name], fixture[f"out_{name}"], tolerance)
    assert (rendered["depth"] - fixture["out_depth"]).abs().mean() < 1e-5


@torch.no_grad()
def test_rays_with_the_shipped_number_of_samples_are_the_released_ones(golden_network, batch, tensors, assert_near):
    fixture = tensors("forward_eval")
    network = golden_network(128)
    sources, target, _ = split_batch(batch)
    encoded = network.encode(sources)
    latent, _ = network.infer_latent(encoded, target)
    rendered = network.render(encoded, latent, target, fixture["in_ray_index"])
    for name, tolerance in TOLERANCES.items():
        assert_near(rendered[name][None], fixture[f"out_128_{name}"], tolerance)
