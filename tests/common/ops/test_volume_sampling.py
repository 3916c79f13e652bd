import pytest
import torch

from common.ops.volume_sampling import sample_volume


@pytest.fixture
def volume():
    return torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def coordinates():
    """Some outside the volume."""
    generator = torch.Generator().manual_seed(1)
    return 0.5 + 2.0 * (torch.rand(2, 7, 3, 3, generator=generator, dtype=torch.float64) - 0.5)


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_sampling_reproduces_a_linear_field(backend):
    x, y, z = torch.meshgrid(*[torch.linspace(0, 1, size) for size in (3, 4, 5)], indexing="ij")
    field = (2 * x - 3 * y + z).permute(2, 1, 0)[None, None]
    points = torch.tensor([[[0.1, 0.7, 0.3], [1.0, 1.0, 1.0]]])
    torch.testing.assert_close(sample_volume(field, points, backend), torch.tensor([[[-1.6], [0.0]]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_kernel_gives_what_the_reference_gives(volume, coordinates, dtype):
    volume, coordinates = volume.to(dtype), coordinates.to(dtype)
    want = sample_volume(volume, coordinates, "torch")
    assert (want == 0).any() and (want != 0).any()
    torch.testing.assert_close(sample_volume(volume, coordinates, "numba"), want, rtol=1e-4, atol=1e-5)


def test_gradients_agree(volume, coordinates):
    gradients = []
    for backend in ("torch", "numba"):
        inputs = volume.clone().requires_grad_(), coordinates.clone().requires_grad_()
        samples = sample_volume(*inputs, backend)
        weights = torch.linspace(-1, 2, samples.numel(), dtype=torch.float64).reshape(samples.shape)
        gradients.append(torch.autograd.grad((samples * weights).sum(), inputs))
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_not_a_number_reads_nothing_out_of_bounds(volume, backend):
    samples = sample_volume(volume, torch.full((2, 4, 3), float("nan"), dtype=torch.float64), backend)
    assert samples.shape == (2, 4, 3)
