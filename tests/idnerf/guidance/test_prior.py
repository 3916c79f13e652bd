"""What the prior does to the networks around it: nothing to its own, something to the latent and to the picture."""

import pytest
import torch

from idnerf.guidance.clip_weights import load_clip
from idnerf.guidance.diffusion import encode_empty_prompt, load_unet
from idnerf.guidance.distillation import Distillation
from idnerf.guidance.prior import Guidance
from idnerf.networks.latent_inference import LatentInference

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
STEPS = 100


@pytest.fixture(scope="module")
def frozen(small_model, clip_folder):
    return load_unet(small_model, CPU), load_clip(clip_folder, CPU)


@pytest.fixture
def guidance(frozen, small_model):
    unet, clip = frozen
    distillation = Distillation(unet, unet.alphas_cumprod, unet.size)
    return Guidance(distillation, clip, encode_empty_prompt(small_model))


@pytest.fixture(scope="module")
def views():
    """Pictures, ray pictures of two sources and of the target."""
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(*shape, generator=generator) for shape in [(2, 3, 32, 32), (2, 6, 32, 32), (6, 32, 32)]]


def entries(module):
    """Every entry's bytes."""
    return {name: value.detach().clone().reshape(-1).view(torch.uint8) for name, value in module.state_dict().items()}


def test_a_hundred_steps_train_the_latent_network_and_leave_the_frozen_ones_byte_for_byte(guidance, frozen, views):
    torch.manual_seed(0)
    unet, clip = frozen
    pictures, source_rays, target_rays = views
    network = LatentInference(views=2)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    before, own = [entries(module) for module in (unet.unet, clip.tower)], entries(network)
    embedding = guidance.condition(pictures, source_rays)
    for _ in range(STEPS):
        latent = network(pictures, source_rays, target_rays)
        optimizer.zero_grad()
        latent.backward(guidance.gradient(latent, embedding))
        optimizer.step()
    for module, old in zip((unet.unet, clip.tower), before, strict=True):
        assert all(torch.equal(value, old[name]) for name, value in entries(module).items())
        assert all(parameter.grad is None for parameter in module.parameters())
        assert not module.training
    changed = [name for name, value in entries(network).items() if not torch.equal(value, own[name])]
    assert set(changed) == set(own)


def test_the_gradient_is_a_constant_that_carries_no_graph_and_leaves_the_latents_own(guidance, views):
    network = LatentInference(views=2)
    latent = network(*views)
    gradient = guidance.gradient(latent, guidance.condition(*views[:2]))
    assert not gradient.requires_grad and latent.grad_fn is not None
    latent.backward(gradient, retain_graph=True)
    guided = network.final_layer.bias.grad.clone()
    torch.testing.assert_close(guided, torch.autograd.grad((latent * gradient).sum(), network.final_layer.bias)[0])


def test_the_condition_and_its_scale_decide_where_the_latent_is_pulled(guidance, frozen, views):
    latent, t, noise = torch.rand(1, 4, 64, 64), torch.tensor([500]), torch.randn(1, 4, 8, 8)
    pictures, source_rays, _ = views
    embeddings = [guidance.condition(shown, source_rays) for shown in (pictures, 1 - pictures)]
    first, second = (guidance.gradient(latent, embedding, t, noise) for embedding in embeddings)
    assert (first - second).abs().max() > 1e-3 * first.abs().max()
    unet = frozen[0]
    unguided = Distillation(unet, unet.alphas_cumprod, unet.size, guidance_scale=0.0)
    first, second = (unguided.gradient(latent, embedding, t, noise) for embedding in embeddings)
    assert torch.equal(first, second)
