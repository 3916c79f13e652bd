import pytest
import torch

from common.ops.level_sampling import sample_levels, sample_levels_with_slopes


@pytest.fixture
def levels():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*size, generator=generator, dtype=torch.float64) for size in ((4, 5, 6, 3), (2, 3, 2, 2))]


@pytest.fixture
def points():
    """Some outside; the last ones on faces and corners."""
    inner = 3.2 * torch.rand(200, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 1.6
    edges = [[-1.0, -1, -1], [1, 1, 1], [1, 0.1, -1], [-1.0001, 0.2, 0.3], [float("nan"), 0, 0]]
    return torch.cat([inner, torch.tensor(edges, dtype=torch.float64)])


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_a_linear_field_comes_back_with_its_slopes(backend):
    x, y, z = torch.meshgrid(*[torch.linspace(-1, 1, size) for size in (3, 4, 5)], indexing="ij")
    level = torch.stack([2 * x - 3 * y + z, y], dim=-1)
    values, slopes = sample_levels_with_slopes([level, level], torch.tensor([[0.1, -0.7, 0.3]]), backend)
    torch.testing.assert_close(values, torch.tensor([[2.6, -0.7, 2.6, -0.7]]))
    torch.testing.assert_close(slopes[:, 0, :2], torch.tensor([[2.0, 0.0], [-3.0, 1.0], [1.0, 0.0]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_kernels_give_what_the_reference_gives(levels, points, dtype):
    levels, points = [level.to(dtype) for level in levels], points.to(dtype)
    want, slopes = sample_levels_with_slopes(levels, points, "torch")
    want, slopes = want.nan_to_num(0), slopes.nan_to_num(0)
    assert (want == 0).any() and (slopes == 0).any()
    torch.testing.assert_close(sample_levels(levels, points, "torch").nan_to_num(0), want)
    torch.testing.assert_close(sample_levels(levels, points, "numba"), want, rtol=1e-4, atol=1e-5)
    got = sample_levels_with_slopes(levels, points, "numba")
    torch.testing.assert_close(got[0], want, rtol=1e-4, atol=1e-5)
    inside = slice(0, 200)  # on a face the slope is that of either side
    torch.testing.assert_close(got[1][:, inside], slopes[:, inside], rtol=1e-4, atol=1e-4)


def test_levels_need_not_be_contiguous(levels, points):
    turned = [level.movedim(-1, 0).contiguous().movedim(0, -1) for level in levels]
    torch.testing.assert_close(sample_levels(turned, points, "numba"), sample_levels(levels, points, "numba"))
