import pytest
import torch
from torch.nn import functional

from common.ops.softplus import softplus_


@pytest.mark.parametrize("backend", ["torch", "numba"])
@pytest.mark.parametrize("beta", [1.0, 100.0])
def test_values_and_slopes_are_those_of_double_precision(backend, beta):
    x = torch.cat([torch.linspace(-1.5, 1.5, 4000), torch.tensor([-1e6, -90.0, -0.0, 90.0, 1e6])]).view(-1, 5)
    exact = x.double().requires_grad_()
    want = functional.softplus(exact, beta, threshold=300)
    (slope,) = torch.autograd.grad(want.sum(), exact)
    got = torch.empty(x.shape)
    softplus_(x, beta, got, backend)
    torch.testing.assert_close(x.double(), want.detach(), rtol=2e-7, atol=2e-7 / beta)
    torch.testing.assert_close(got.double(), slope, rtol=4e-7, atol=2e-7)


def test_rows_may_lie_apart_and_what_is_between_is_left_alone():
    x = torch.linspace(-1, 1, 24).view(4, 6)
    want = x.clone()
    want[:, 1:4] = functional.softplus(want[:, 1:4], 100.0)
    softplus_(x[:, 1:4], 100.0, backend="numba")
    torch.testing.assert_close(x, want)


def test_what_is_being_differentiated_is_not_overwritten():
    with pytest.raises(RuntimeError, match="use torch's softplus in training"):
        softplus_(torch.zeros(2, 2, requires_grad=True), 1.0)
