import pytest
import torch

from idnerf.guidance.diffusion import encode_empty_prompt, load_unet, load_vae, picture_gradient
from idnerf.guidance.distillation import Distillation

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def unet(golden_model):
    return load_unet(golden_model, CPU)


@pytest.fixture(scope="module")
def embedding(golden_model, made):
    return torch.stack([encode_empty_prompt(golden_model)[:9], made("diffusion/condition", (1, 9, 1024), 0.3)[0]])


def test_prompt_noise_and_gradient_are_the_released_programs(unet, embedding, made, tensors, assert_near):
    expected = tensors("diffusion_tiny")
    t, noise = expected["in_t"].reshape(1), made("diffusion/noise", (1, 4, 64, 64))
    latent = made("diffusion/latent", (1, 4, 64, 64), 0.5) + 0.5
    assert_near(embedding[:1, :, ::8], expected["out_uncond"], 1e-4, relative=True)
    alpha = unet.alphas_cumprod[t]
    noisy = alpha.sqrt() * (2 * latent - 1) + (1 - alpha).sqrt() * noise
    assert_near(noisy[..., ::4, ::4], expected["out_noisy"], 1e-4, relative=True)
    predicted = unet(noisy.repeat(2, 1, 1, 1), t.repeat(2), embedding)
    assert_near(predicted[..., ::2, ::2], expected["out_noise_prediction"], 1e-4, relative=True)
    gap = (predicted[1] - predicted[0]).square().mean().sqrt()
    assert_near(gap, expected["out_prediction_gap_rms"], 1e-4, relative=True)
    gradient = Distillation(unet, unet.alphas_cumprod, unet.size).gradient(latent, embedding, t, noise)
    assert_near(gradient[..., ::2, ::2], expected["out_grad"], 1e-4, relative=True)


def test_a_picture_gets_its_gradient_through_the_picture_encoder(
    golden_model, unet, embedding, made, pictures, tensors, assert_near
):
    expected = tensors("diffusion_tiny")
    gradient = picture_gradient(
        Distillation(unet, unet.alphas_cumprod),
        load_vae(golden_model, CPU),
        pictures(1, 48, 64),
        embedding,
        expected["in_t"].reshape(1),
        made("diffusion/noise", (1, 4, 64, 64)),
        made("diffusion/vae_noise", (1, 4, 64, 64)),
    )
    assert_near(gradient, expected["out_grad_picture"], 1e-4, relative=True)


def test_velocity_models_answer_with_the_noise_that_their_velocity_means(small_model):
    unet = load_unet(small_model, CPU)
    noisy, t, prompts = torch.randn(2, 4, 8, 8), torch.tensor([200, 900]), torch.rand(2, 6, 768)
    with torch.no_grad():
        velocity = unet.unet(noisy, t, encoder_hidden_states=prompts).sample
    alpha = unet.alphas_cumprod[t].reshape(-1, 1, 1, 1)
    expected = alpha.sqrt() * velocity + (1 - alpha).sqrt() * noisy
    torch.testing.assert_close(unet(noisy, t, prompts), expected)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"in_channels": 9}, "takes 9 channels and gives 4, but the imaginative latent has 4"),
        ({"class_embed_type": "timestep"}, r"wants more than a text \(Stable Diffusion XL does\)"),
    ],
)
def test_models_that_need_other_input_are_refused(change, sentence, make_model, small_unet, tmp_path):
    folder = make_model(tmp_path / "model", unet=small_unet | change, text={"hidden_size": 768})
    with pytest.raises(ValueError, match=sentence):
        load_unet(folder, CPU)
