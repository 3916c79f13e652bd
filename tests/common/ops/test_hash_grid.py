import contextlib
import sys
import types

import numpy as np
import pytest
import torch

from common.ops import _backends
from common.ops.hash_grid import HashGrid, HashGridLayout, hash_encode, tinycudann_kernels


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


SMALL = HashGridLayout(3, 2, 6, 3, 1.7)
GRIDS = [SMALL, HashGridLayout(4, 8, 9, 4, 1.9), HashGridLayout(2, 1, 12, 5, 2.0), HashGridLayout(5, 4, 8, 2, 1.5)]


def random_inputs(layout, dtype=torch.float32, points=200):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(points, layout.n_dims, generator=generator, dtype=dtype) * 1.4 - 0.2  # some outside the cube
    parameters = torch.randn(layout.num_parameters, generator=generator, dtype=dtype)
    return x, parameters


def test_a_grid_point_shows_its_own_entry_and_the_middle_of_a_cell_the_mean_of_its_corners():
    layout = HashGridLayout(1, 1, 12, 4, 1.0)  # scale 3: positions 3 x + 0.5
    table = torch.arange(64.0)
    at_point = torch.tensor([[0.5, 2.5, 1.5]]) / 3
    assert hash_encode(at_point, table, layout).item() == 1 + 4 * 3 + 16 * 2
    in_the_middle = torch.tensor([[0.0, 1.0, 1.0]]) / 3
    assert hash_encode(in_the_middle, table, layout).item() == pytest.approx(0.5 + 4 * 1.5 + 16 * 1.5)


def test_smoothstep_and_linear_interpolation_differ_as_their_formulas_do():
    layout, table = HashGridLayout(1, 1, 12, 4, 1.0), torch.zeros(64)
    table[1] = 1.0
    x = torch.tensor([[-0.25, -0.5, -0.5]]) / 3  # position 0.25 along x, 0 along y and z
    assert hash_encode(x, table, layout, "linear").item() == pytest.approx(0.25)
    assert hash_encode(x, table, layout, "smoothstep").item() == pytest.approx(0.25**2 * 2.5)


@pytest.mark.parametrize("interpolation", ["smoothstep", "linear"])
@pytest.mark.parametrize("layout", GRIDS, ids=lambda layout: f"{layout.features_per_level} features")
def test_the_kernel_gives_what_the_reference_gives(layout, interpolation):
    x, parameters = random_inputs(layout)
    x[0] = torch.tensor([1e30, -1e30, 0.5])
    results = []
    for backend in ("torch", "numba"):
        inputs = x.clone().requires_grad_(), parameters.clone().requires_grad_()
        out = hash_encode(*inputs, layout, interpolation, backend=backend)
        weights = torch.linspace(-1, 1, out.numel()).reshape(out.shape)
        results.append((out, *torch.autograd.grad((out * weights).sum(), inputs)))
    for got, want in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_a_point_that_is_not_a_number_spoils_its_own_features_only(backend):
    x, parameters = random_inputs(SMALL, points=3)
    want = hash_encode(x, parameters, SMALL, backend=backend)
    x[1] = float("nan")
    got = hash_encode(x, parameters, SMALL, backend=backend)
    assert got[1].isnan().all()
    assert torch.equal(got[::2], want[::2])


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_no_points_have_no_features(backend):
    assert hash_encode(torch.zeros(0, 3), torch.zeros(SMALL.num_parameters), SMALL, backend=backend).shape == (0, 6)


@pytest.mark.parametrize("interpolation", ["smoothstep", "linear"])
@pytest.mark.parametrize("n_dims", [2, 3])
def test_first_and_second_gradients_of_the_reference_are_right(n_dims, interpolation):
    layout = HashGridLayout(2, 1, 5, 2, 2.0, n_dims)
    inputs = [each.requires_grad_() for each in random_inputs(layout, torch.float64, points=4)]

    def encode(x, parameters):
        return hash_encode(x, parameters, layout, interpolation)

    assert torch.autograd.gradcheck(encode, inputs)
    assert torch.autograd.gradgradcheck(encode, inputs)


@pytest.mark.parametrize("interpolation", ["smoothstep", "linear"])
def test_second_gradients_through_the_kernel_are_those_of_the_reference(interpolation):
    results = []
    for backend in ("torch", "numba"):
        x, parameters = (each.requires_grad_() for each in random_inputs(SMALL, points=20))
        out = hash_encode(x, parameters, SMALL, interpolation, backend=backend)
        (slope,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
        results.append(torch.autograd.grad(slope.norm(dim=-1).sum(), (x, parameters)))
    assert all(gradient.abs().max() > 1 for gradient in results[0])
    for got, want in zip(*results[::-1], strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-3)


def test_points_with_two_coordinates_and_float64_are_left_to_the_reference():
    layout = HashGridLayout(2, 2, 6, 5, 1.9, n_dims=2)
    hash_encode(*random_inputs(layout), layout)
    hash_encode(*random_inputs(SMALL, torch.float64), SMALL)
    for grid, dtype in ((layout, torch.float32), (SMALL, torch.float64)):
        with pytest.raises(ValueError, match="no back-end 'numba' here"):
            hash_encode(*random_inputs(grid, dtype), grid, backend="numba")


def test_the_module_holds_one_vector_under_tiny_cuda_nns_name():
    torch.manual_seed(0)
    grid = HashGrid(SMALL)
    assert {name: tuple(each.shape) for name, each in grid.state_dict().items()} == {"params": (SMALL.num_parameters,)}
    assert 0.9e-4 < grid.params.abs().max() <= 1e-4 and abs(grid.params.mean()) < 2e-5
    x = torch.rand(2, 5, 3)
    out = grid(x)
    assert out.shape == (2, 5, 6)
    torch.testing.assert_close(out[1], hash_encode(x[1], grid.params, SMALL))


def test_entries_of_a_level_follow_one_another():
    assert SMALL.offsets == (0, 32, 96, 160) and SMALL.num_entries == 160 and SMALL.num_parameters == 320
    assert [SMALL.is_hashed(level) for level in range(3)] == [False, True, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features_per_level": 3}, "features_per_level of a hash grid must be 1, 2, 4 or 8, got 3"),
        ({"n_levels": 0}, "n_levels of a hash grid must be at least 1, got 0"),
        ({"log2_hashmap_size": 31}, "log2_hashmap_size of a hash grid must be from 3 to 30, got 31"),
        ({"per_level_scale": float("nan")}, "per_level_scale of a hash grid must be at least 1, got nan"),
        ({"n_dims": 4}, "n_dims of a hash grid must be 2 or 3, got 4"),
        ({"per_level_scale": 8.0}, "more than 32 bits can count"),
    ],
)
def test_sizes_that_no_grid_has_are_refused(change, message):
    sizes = {"n_levels": 16, "features_per_level": 8, "log2_hashmap_size": 19, "base_resolution": 16}
    with pytest.raises(ValueError, match=message):
        HashGridLayout(**({"per_level_scale": 1.5} | sizes | change))


@pytest.mark.parametrize(
    ("x", "parameters", "interpolation", "message"),
    [
        (torch.zeros(4, 2), torch.zeros(320), "linear", r"shape \[N, 3\], got \[4, 2\]"),
        (torch.zeros(4, 3), torch.zeros(321), "linear", r"320 parameters, got the shape \[321\]; a checkpoint"),
        (torch.zeros(4, 3, dtype=torch.float64), torch.zeros(320), "linear", "must agree, got torch.float64 on cpu"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(x, parameters, interpolation, message):
    with pytest.raises(ValueError, match=message):
        hash_encode(x, parameters, SMALL, interpolation)


def test_tinycudann_is_asked_for_the_same_grid_and_reads_the_callers_parameters(monkeypatch):
    """A stand-in with the documented interface: the real library needs a GPU and was never run."""

    class Encoding(torch.nn.Module):
        def __init__(self, n_input_dims, encoding_config, dtype):
            super().__init__()
            self.asked = n_input_dims, encoding_config, dtype
            self.params = torch.nn.Parameter(torch.zeros(SMALL.num_parameters))

        def forward(self, x):
            return hash_encode(x, self.params, SMALL, backend="torch")

    monkeypatch.setitem(sys.modules, "tinycudann", types.SimpleNamespace(Encoding=Encoding))
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    tinycudann_kernels._encoding.cache_clear()
    x, parameters = random_inputs(SMALL)
    parameters.requires_grad_()
    out = tinycudann_kernels.encode(x, parameters, SMALL, "smoothstep")
    out.sum().backward()
    encoding = tinycudann_kernels._encoding(SMALL, "smoothstep", x.device)
    tinycudann_kernels._encoding.cache_clear()
    assert encoding.asked == (
        3,
        {
            "otype": "HashGrid",
            "n_levels": 3,
            "n_features_per_level": 2,
            "log2_hashmap_size": 6,
            "base_resolution": 3,
            "per_level_scale": 1.7,
            "interpolation": "Smoothstep",
        },
        torch.float32,
    )
    assert encoding.params.numel() == 0
    torch.testing.assert_close(out, hash_encode(x, parameters, SMALL, backend="torch"))
    assert parameters.grad.abs().sum() > 0


def test_a_missing_tinycudann_says_where_to_get_it(monkeypatch):
    _backends._import_problem.cache_clear()
    monkeypatch.setitem(sys.modules, "tinycudann", None)
    assert "pip install git+https://github.com/NVlabs/tiny-cuda-nn" in _backends._import_problem("tinycudann")
    _backends._import_problem.cache_clear()
    with pytest.raises(ValueError, match="needs every tensor on cuda, got cpu"):
        hash_encode(*random_inputs(SMALL), SMALL, backend="tinycudann")
