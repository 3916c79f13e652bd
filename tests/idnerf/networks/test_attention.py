import copy

import pytest
import torch

from idnerf.networks.attention import ThreePassAttention


def layer(channels):
    torch.manual_seed(0)
    made = ThreePassAttention(channels)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.4)  # scores of a few units: rounding grows with them
    return made


@pytest.mark.parametrize("shape", [(5, 7, 4, 8), (3, 2, 3, 8), (40, 1, 6, 8)])
def test_kernel_of_few_tokens_equals_the_reference(shape):
    attention, x = layer(8), torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = attention(x)
    torch.testing.assert_close(ours, attention(x).detach(), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("samples", [7, 24, 128])
def test_kernel_of_many_tokens_equals_the_reference(samples):
    generator = torch.Generator().manual_seed(1)
    attention, x = layer(16), torch.randn(6, samples, 16, generator=generator)
    is_asking = torch.rand(6, samples, generator=generator) > 0.3
    is_asking[0], is_asking[1] = False, True
    with torch.no_grad():
        ours, unmasked = attention(x, is_asking), attention(x)
    exact = copy.deepcopy(attention).double()
    torch.testing.assert_close(ours, exact(x.double(), is_asking).float().detach(), atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(unmasked, exact(x.double()).float().detach(), atol=2e-5, rtol=1e-5)


def test_scores_of_any_size_give_finite_results():
    attention = layer(16)
    with torch.no_grad():
        for scale in (1e-20, 1e3, 1e8):
            assert attention(scale * torch.randn(2, 32, 16)).isfinite().all()


def test_a_token_that_does_not_ask_sees_the_mean_of_all():
    """With values equal for all tokens, asking or not makes no difference."""
    attention = layer(16)
    x = torch.randn(1, 1, 16).expand(2, 20, 16)
    masked = attention(x, torch.zeros(2, 20, dtype=torch.bool))
    torch.testing.assert_close(masked, attention(x))
