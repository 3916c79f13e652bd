"""Rendering tile by tile gives what the forward pass on the whole picture gives."""

import pytest
import torch

from gefu.networks.network import Network


@pytest.fixture(scope="module")
def network(load_golden_weights):
    return load_golden_weights(Network(), gained=True).eval()


@pytest.fixture(scope="module")
def batch(make_batch):
    """Wide enough that a tile's halo does not reach the borders."""
    return make_batch(
        height=32, width=608, views=3, distance=650, focal=600, spread=0.15, phase=0.4, near=425, far=905, size=250
    )


@pytest.fixture(scope="module")
def features(network, batch):
    with torch.no_grad():
        return network.encode(batch["src_inps"])


@pytest.fixture(scope="module")
def want(network, batch, features):
    with torch.no_grad():
        return network.render_whole(features, batch, features.size)


@pytest.mark.parametrize("max_side", [1024, 96])
def test_tiles_equal_the_whole(network, batch, features, want, max_side):
    with torch.no_grad():
        got = network.render_target(features, batch, max_side=max_side)
    assert got.keys() == want.keys()
    for name in want:
        torch.testing.assert_close(
            got[name], want[name], rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_a_target_may_have_another_size_than_the_sources(network, batch, features):
    cameras = {name: value for name, value in batch.items() if not name.startswith("rays")}
    with torch.no_grad():
        got = network.render_target(features, cameras, size=(64, 96), max_side=32)
        want = network.render_whole(features, cameras, (64, 96))
    assert got["rgb_level1"].shape == (1, 64 * 96, 3)
    torch.testing.assert_close(got["rgb_level1"], want["rgb_level1"], rtol=1e-4, atol=1e-5)
