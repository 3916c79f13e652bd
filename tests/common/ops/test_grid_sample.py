import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional

from common.ops import grid_sample as module
from common.ops.grid_sample import grid_sample, has_native_second_derivative


def inputs(axes, device="cpu", batch=2, points=4):
    """An array that is no cube, and points of which some lie outside; none on the border of a cell."""
    generator = torch.Generator().manual_seed(axes)
    source = torch.randn(batch, 2, *(2, 4, 3)[:axes], generator=generator, dtype=torch.float64)
    grid = 3.6 * torch.rand(batch, points, axes, generator=generator, dtype=torch.float64) - 1.8
    return source.to(device), grid.to(device)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("align_corners", [True, False])
def test_gathered_sampling_is_what_pytorch_samples(axes, align_corners, device):
    source, grid = inputs(axes, device, points=500)
    want = grid_sample(source, grid, align_corners, "native")
    assert (want == 0).any() and (want != 0).any()
    torch.testing.assert_close(grid_sample(source, grid, align_corners, "gather"), want)


@pytest.mark.parametrize("implementation", ["auto", "gather"])
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("axes", [2, 3])
def test_first_and_second_derivatives_are_those_of_finite_differences(axes, align_corners, implementation, device):
    tensors = [tensor.requires_grad_() for tensor in inputs(axes, device, batch=1, points=3)]

    def sample(source, grid):
        return grid_sample(source, grid, align_corners, implementation)

    assert gradcheck(sample, tensors)
    assert gradgradcheck(sample, tensors)


def test_a_linear_field_comes_back_and_its_first_coordinate_is_the_last_axis():
    z, y, x = torch.meshgrid(*[torch.linspace(-1, 1, size) for size in (3, 4, 5)], indexing="ij")
    field = (2 * x - 3 * y + z)[None, None]
    for implementation in ("native", "gather"):
        value = grid_sample(field, torch.tensor([[[0.1, -0.7, 0.3]]]), True, implementation)
        torch.testing.assert_close(value, torch.tensor([[[2.6]]]))


def test_points_keep_their_shape_and_none_is_allowed():
    source, grid = inputs(3, points=6)
    for implementation in ("native", "gather"):
        assert grid_sample(source, grid.view(2, 3, 2, 3), False, implementation).shape == (2, 2, 3, 2)
        assert grid_sample(source, grid[:, :0], False, implementation).shape == (2, 2, 0)


def test_not_a_number_and_infinity_lie_outside():
    source, _ = inputs(2)
    grid = torch.tensor([float("nan"), 0.0, float("inf"), 0.0, -1e30, 0.0], dtype=torch.float64).view(1, 3, 2)
    values = grid_sample(source, grid.expand(2, -1, -1), True, "gather")
    assert (values[..., 2] == 0).all()
    source.requires_grad_()
    gradient = torch.autograd.grad(grid_sample(source, grid[:, 2:].expand(2, -1, -1), True, "gather").sum(), source)[0]
    assert torch.isfinite(gradient).all()


def test_without_native_second_derivatives_the_gathered_form_runs(monkeypatch):
    source, grid = inputs(3)
    monkeypatch.setattr(module, "has_native_second_derivative", lambda axes, device: False)
    monkeypatch.setattr(module, "_sample_native", None)
    assert grid_sample(source, grid.requires_grad_(), True).shape == (2, 2, 4)


def test_pytorchs_second_derivative_is_found_missing_or_wrong(monkeypatch):
    native = functional.grid_sample

    def broken(*arguments, **options):
        raise RuntimeError("derivative for aten::grid_sampler_3d_backward is not implemented")

    def wrong(source, grid, **options):
        return 1.01 * native(source, grid, **options)

    for replacement in (broken, wrong):
        has_native_second_derivative.cache_clear()
        monkeypatch.setattr(module.functional, "grid_sample", replacement)
        assert not has_native_second_derivative(3, "cpu")
    has_native_second_derivative.cache_clear()


def test_a_grid_of_another_dimension_is_refused():
    source, grid = inputs(3)
    with pytest.raises(ValueError, match="expected an array of 2 or 3 axes"):
        grid_sample(source, grid[..., :2], True)
