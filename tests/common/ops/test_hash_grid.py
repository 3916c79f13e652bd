import numpy as np
import pytest
import torch

from common.ops.hash_grid import HashGridLayout, hash_encode


@pytest.mark.parametrize("row", range(13))
def test_levels_have_the_sizes_of_the_shipped_growth_factors(golden, row):
    want = golden("xscale_nvs/hash_grid_layout")
    layout = HashGridLayout(16, 8, 22, 16, float(want["per_level_scale"][row]))
    assert np.array_equal(layout.offsets, want["offsets"][row])
    assert np.array_equal(layout.resolutions, want["resolutions"][row])
    np.testing.assert_allclose(layout.scales, want["scales"][row], rtol=1e-7)


def golden_grid(golden, deterministic, tag):
    want = golden(f"xscale_nvs/hash_grid_{tag}")
    levels, features, log2_size, base = map(int, want["config"])
    layout = HashGridLayout(levels, features, log2_size, base, float(want["per_level_scale"]))
    parameters = torch.from_numpy(deterministic.array(f"open/grid_{tag}.params", (layout.num_parameters,), 0.5))
    return want, layout, parameters.requires_grad_()


@pytest.mark.parametrize("backend", ["torch", "numba"])
@pytest.mark.parametrize("tag", ["a", "b", "c"])
def test_features_and_gradients_are_the_golden_ones(golden, deterministic, tag, backend):
    want, layout, parameters = golden_grid(golden, deterministic, tag)
    out = hash_encode(torch.from_numpy(want["x"]), parameters, layout, backend=backend)
    np.testing.assert_allclose(out.detach().numpy(), want["out"], rtol=0, atol=1e-6)
    (out * torch.from_numpy(deterministic.array(f"open/grid_{tag}.G", out.shape))).sum().backward()
    gradient = parameters.grad.numpy()
    np.testing.assert_allclose(gradient[want["grad_index"]], want["grad_value"], rtol=1e-5, atol=1e-7)
    assert np.linalg.norm(gradient) == pytest.approx(want["grad_norm"], rel=1e-5)
    assert np.count_nonzero(gradient) == want["grad_nonzero"]
