import numpy as np
import pytest
import torch

from idnerf.guidance.distillation import Distillation, as_noise


def alpha_table(settings):
    """alpha_bar of the scaled-linear schedule, as in the latent diffusion paper."""
    beta = np.linspace(settings["beta_start"] ** 0.5, settings["beta_end"] ** 0.5, settings["num_train_timesteps"]) ** 2
    return torch.from_numpy(np.cumprod(1 - beta)).float()


@pytest.fixture(scope="module")
def inputs(golden_module):
    return golden_module("idnerf/inputs.py")


@pytest.fixture(scope="module")
def embedding(inputs, made):
    empty = torch.from_numpy(inputs.stub_text_embedding(inputs.EMPTY_PROMPT_IDS[:9]))
    return torch.stack([empty, made("distillation/condition", (1, 9, 1024), 0.3)[0]])


def test_gradient_is_the_released_programs(inputs, embedding, made, tensors, assert_near):
    expected = tensors("distillation")
    alphas = alpha_table(inputs.SCHEDULER)
    assert_near(alphas, expected["out_alphas_cumprod"], 1e-6)
    assert_near(embedding[:1, :, ::64], expected["out_uncond"], 0)
    latent, noise = made("distillation/latent", (1, 4, 64, 64), 0.5) + 0.5, made("distillation/noise", (1, 4, 64, 64))
    for t, scale in expected["in_cases"].reshape(-1, 2).tolist():
        distillation = Distillation(inputs.closed_form_noise, alphas, guidance_scale=scale)
        assert list(distillation.step_range) == expected["out_steps"].tolist()
        gradient = distillation.gradient(latent, embedding, torch.tensor([int(t)]), noise)
        assert_near(gradient[..., ::2, ::2], expected[f"out_grad_t{t:.0f}_s{scale:g}"], 2e-5, relative=True)


def test_latents_of_another_size_get_the_gradient_through_the_resizing(inputs, embedding, made, tensors, assert_near):
    distillation = Distillation(inputs.closed_form_noise, alpha_table(inputs.SCHEDULER))
    small = made("distillation/small", (1, 4, 24, 40), 0.5) + 0.5
    noise = made("distillation/noise", (1, 4, 64, 64))
    gradient = distillation.gradient(small, embedding, torch.tensor([437]), noise)
    assert_near(gradient, tensors("distillation")["out_grad_resized"], 2e-5, relative=True)


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_gradient_is_the_formula_on_a_linear_predictor(weight):
    """eps_u = a z_t, eps_c = a z_t + b: the gradient is then a line in z, computed here in NumPy."""
    torch.manual_seed(0)
    latent, noise = torch.rand(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    alphas, t = torch.linspace(0.99, 0.01, 50), torch.tensor([3, 30])

    def predict(noisy, times, prompts):
        return 0.3 * noisy + prompts.mean((1, 2)).reshape(-1, 1, 1, 1)

    embedding = torch.stack([torch.zeros(6, 5), torch.full((6, 5), 0.2)])
    distillation = Distillation(predict, alphas, 8, 7.0, weight)
    alpha = alphas[t].numpy().reshape(-1, 1, 1, 1)
    z = 2 * latent.numpy() - 1
    noisy = np.sqrt(alpha) * z + np.sqrt(1 - alpha) * noise.numpy()
    expected = 2 * weight * np.sqrt(alpha) * (1 - alpha) * (0.3 * noisy + 7.0 * 0.2 - noise.numpy())
    np.testing.assert_allclose(distillation.gradient(latent, embedding, t, noise), expected, atol=1e-5)


def test_a_predictor_that_sees_exactly_the_noise_changes_nothing():
    noise = torch.randn(1, 4, 8, 8)
    distillation = Distillation(lambda noisy, t, prompts: noise.repeat(2, 1, 1, 1), torch.linspace(0.99, 0.01, 50), 8)
    gradient = distillation.gradient(torch.rand(1, 4, 8, 8), torch.rand(2, 6, 5), torch.tensor([20]), noise)
    assert gradient.abs().max() == 0


def test_following_the_gradient_leads_to_the_latent_that_the_predictor_believes_in():
    """A predictor for which only one latent is clean: noise = (z_t - sqrt(alpha) target) / sqrt(1 - alpha)."""
    torch.manual_seed(0)
    target, alphas = torch.rand(1, 4, 8, 8) * 2 - 1, torch.linspace(0.99, 0.01, 50)

    def predict(noisy, t, prompts):
        alpha = alphas[t].reshape(-1, 1, 1, 1)
        return (noisy - alpha.sqrt() * target) / (1 - alpha).sqrt()

    distillation, latent = Distillation(predict, alphas, 8, 1.0), torch.rand(1, 4, 8, 8)
    for _ in range(60):
        latent -= 0.5 * distillation.gradient(latent, torch.zeros(2, 6, 5))
    assert (2 * latent - 1 - target).abs().max() < 0.02


def test_time_steps_are_drawn_from_the_whole_range_and_only_from_it():
    seen = []

    def predict(noisy, t, prompts):
        seen.extend(t.tolist())
        return noisy

    distillation = Distillation(predict, torch.linspace(0.99, 0.01, 10), 2, t_range=(0.2, 0.5))
    torch.manual_seed(0)
    for _ in range(40):
        distillation.gradient(torch.rand(1, 4, 2, 2), torch.zeros(2, 6, 5))
    assert set(seen) == {2, 3, 4, 5}


@pytest.mark.parametrize("t_range", [(0.5, 0.2), (-0.1, 0.5), (0.1, 1.0)])
def test_an_impossible_range_of_time_steps_is_refused(t_range):
    with pytest.raises(ValueError, match="t_range must be two growing fractions"):
        Distillation(lambda noisy, t, prompts: noisy, torch.linspace(0.99, 0.01, 10), t_range=t_range)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_models_of_every_kind_mean_the_same_noise(kind):
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 2, 4, 3, 3)
    alpha = torch.tensor([0.9, 0.2])
    signal, spread = alpha.sqrt().reshape(-1, 1, 1, 1), (1 - alpha).sqrt().reshape(-1, 1, 1, 1)
    answers = {"epsilon": noise, "v_prediction": signal * noise - spread * clean, "sample": clean}
    seen = as_noise(answers[kind], signal * clean + spread * noise, alpha, kind)
    torch.testing.assert_close(seen, noise, atol=1e-5, rtol=1e-5)


def test_a_model_that_predicts_something_else_is_refused():
    picture = torch.zeros(1, 4, 2, 2)
    with pytest.raises(ValueError, match="predicts 'flow_prediction'; expected epsilon, v_prediction or sample"):
        as_noise(picture, picture, torch.tensor([0.5]), "flow_prediction")
