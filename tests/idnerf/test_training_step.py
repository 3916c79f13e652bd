"""Single steps: parity with the released program, and what the prior does to the networks and to the picture."""

from types import SimpleNamespace

import pytest
import torch

from common.settings import to_config
from idnerf.guidance.distillation import Distillation
from idnerf.guidance.prior import Guidance
from idnerf.networks.network import build_network
from idnerf.optimization import build_optimizer, build_scheduler, clip_encoder, learning_rates
from idnerf.training_step import GuidedRendering, backward, train_step

pytestmark = pytest.mark.usefixtures("one_thread")
OPTIM = {
    "lr_enc": 5e-5,
    "lr_dec": 5e-5,
    "lr_other": 1e-3,
    "clip_enc": 1.0,
    "algo": {"type": "AdamW", "weight_decay": 1e-4},
    "sched": {"type": "OneCycleLR", "pct_start": 0.05, "cycle_momentum": False, "anneal_strategy": "cos"},
}
CHILDREN = ("feat_enc", "nerf_dec", "latent_inference")


@pytest.fixture(scope="module")
def inputs(golden_module):
    return golden_module("idnerf/inputs.py")


@pytest.fixture(scope="module")
def expected(tensors):
    return tensors("train_step")


@pytest.fixture(scope="module")
def batch(expected, pictures):
    height, width = expected["in_size"].tolist()
    cameras = {name: expected[f"in_{name}"] for name in ("extrinsics", "intrinsics", "near_fars")}
    return {"images": pictures(4, height, width)[None], **cameras}


@pytest.fixture
def options(network_options, expected):
    """`options(parity="ours")`: all that a step reads."""

    def build(parity="released", **optim):
        changes = {"parity.base": parity, "nerf.rand_rays_train": int(expected["in_rays"])}
        opt = network_options(changes | {"nerf.sample_intvs": int(expected["in_samples"])})
        return to_config(as_mapping(opt) | {"optim": OPTIM | optim, "loss_weight": {"render": 1}, "max_epoch": 1})

    return build


def as_mapping(options):
    """Nested namespaces as dictionaries."""
    return {
        name: as_mapping(value) if isinstance(value, SimpleNamespace) else value
        for name, value in vars(options).items()
    }


@pytest.fixture
def network(options, golden_weights):
    """`network(opt)`: with the fixtures' weights, in train mode."""

    def build(opt):
        network = build_network(opt)
        network.load_state_dict(golden_weights())
        return network.train()

    return build


@pytest.fixture(scope="module")
def prior(inputs):
    """`prior(scale)`: the fixtures' stand-ins for diffusion model, text encoder and CLIP."""
    beta = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64).square()
    alphas = (1 - beta).cumprod(0).float()
    empty = torch.from_numpy(inputs.stub_text_embedding(inputs.EMPTY_PROMPT_IDS))

    def build(scale=100.0):
        return Guidance(Distillation(inputs.closed_form_noise, alphas, 64, scale), inputs.stub_image_embedding, empty)

    return build


class FixedDraws(Guidance):
    """A prior with given time step and noise; it notes the gradient of the latent network once it has pulled."""

    def gradient(self, latent, embedding, t=None, noise=None):
        pull = super().gradient(latent, embedding, *self.draws)
        parameters = list(self.network.latent_inference.parameters())
        gradients = torch.autograd.grad(latent, parameters, pull, retain_graph=True)
        sums = [new if p.grad is None else new + p.grad for p, new in zip(parameters, gradients, strict=True)]
        self.seen.append(dict(zip(dict(self.network.latent_inference.named_parameters()), sums, strict=True)))
        return pull

    def set(self, **values):
        for name, value in values.items():
            object.__setattr__(self, name, value)


def norm(gradients):
    return torch.stack([gradient.norm() for gradient in gradients]).norm()


def test_two_iterations_are_the_released_programs(
    options, network, prior, inputs, batch, expected, made, deterministic, assert_near
):
    opt = options()
    trained = network(opt)
    guidance = FixedDraws(**vars(prior()))
    guidance.set(network=trained, seen=[])
    optimizer = build_optimizer(opt, trained)
    scheduler = build_scheduler(opt, optimizer, int(expected["in_total_steps"]))
    rendering = GuidedRendering(trained, guidance)
    rays, samples = int(expected["in_rays"]), int(expected["in_samples"])
    for i in range(2):
        tight = 2e-4 if i == 0 else 2e-2
        guidance.set(draws=(expected["in_t"][i : i + 1], made(f"train/{i}/noise", (1, 4, 64, 64))))
        order = torch.from_numpy(inputs.permutation(f"open/train/{i}/rays", int(expected["in_size"].prod())))[:rays]
        u = torch.from_numpy(inputs.unit(f"open/train/{i}/u", (1, rays, samples, 1)))[0, ..., 0]
        trained.draw_rays = lambda *_, order=order, u=u: (order, u)
        rates = torch.tensor(list(learning_rates(optimizer).values()), dtype=torch.float64)
        assert_near(rates, expected[f"out_{i}_lr_f64"], 1e-12)
        optimizer.zero_grad()
        outputs = backward(rendering, batch)
        assert_near(outputs["rgb"][None], expected[f"out_{i}_rgb"], 1e-4 if i == 0 else 1e-2)
        assert_near(outputs["depth"][None], expected[f"out_{i}_depth"], 1e-4 if i == 0 else 1e-2, relative=True)
        assert_near(outputs["loss_render"], expected[f"out_{i}_loss"], 2e-4 if i == 0 else 1e-3, relative=True)
        after_guidance = norm(guidance.seen[i].values())
        assert_near(after_guidance, expected[f"out_{i}_latent_grad_norm_after_guidance"], tight, relative=True)
        for child in CHILDREN:
            size = norm([p.grad for p in getattr(trained, child).parameters()])
            assert_near(size, expected[f"out_{i}_grad_norm_{child}"], tight, relative=True)
        if i == 0:
            check_gradients(trained, guidance.seen[0], expected, assert_near)
        clip_encoder(opt, trained)
        optimizer.step()
        scheduler.step()
    state = trained.state_dict()
    for key, value in expected.items():
        if key.startswith("out_after/"):
            ours = state[key.removeprefix("out_after/")]
            assert_near(ours[: len(value)], value, 3e-4)


def check_gradients(network, guided, expected, assert_near):
    """Those of the first iteration that the fixture holds."""
    parameters = dict(network.named_parameters())
    for key, value in expected.items():
        if key.startswith("out_0_grad/"):
            assert_near(parameters[key.removeprefix("out_0_grad/")].grad, value, 2e-4, relative=True)
    for key, name in {
        "final_layer_weight": "final_layer.weight",
        "final_layer_bias": "final_layer.bias",
        "mix_1_first_conv": "mix_1.0.weight",
    }.items():
        assert_near(guided[name], expected[f"out_0_guidance_grad_{key}"], 2e-4, relative=True)


def weights_after(opt, network, guidance, batch, steps=2):
    """State of the network after some steps with the same random numbers."""
    trained = network(opt)
    optimizer = build_optimizer(opt, trained)
    rendering = GuidedRendering(trained, guidance)
    for step in range(steps):
        torch.manual_seed(step)
        train_step(rendering, trained, optimizer, batch, opt)
    return trained


def changed(first, second):
    first, second = first.state_dict(), second.state_dict()
    return {name for name in first if not torch.equal(first[name], second[name])}


def test_as_released_the_prior_changes_no_weight_and_ours_trains_the_latent_network(options, network, prior, batch):
    released = options("released", sched=None)
    assert not changed(*(weights_after(released, network, prior(scale), batch) for scale in (0.0, 100.0)))
    opt = options("ours", sched=None)
    start, trained = network(opt), weights_after(opt, network, prior(), batch)
    latent = {f"latent_inference.{name}" for name, _ in start.latent_inference.named_parameters()}
    assert latent <= changed(start, trained)
    assert latent <= changed(weights_after(opt, network, None, batch), trained)


def test_guidance_changes_what_is_rendered(options, network, prior, batch):
    opt = options("ours", sched=None)
    plain, guided = (weights_after(opt, network, guidance, batch).eval() for guidance in (None, prior()))
    with torch.no_grad():
        plain, guided = (trained(dict(batch), "val")["rgb"] for trained in (plain, guided))
    assert (plain - guided).abs().max() > 1e-4


def test_without_a_prior_the_gradient_is_that_of_the_colours_alone(options, network, batch):
    opt = options("ours")
    trained = network(opt)
    torch.manual_seed(0)
    outputs = backward(GuidedRendering(trained, None), batch, weight=2.0)
    assert "pull" not in outputs
    expected = [parameter.grad.clone() for parameter in trained.parameters()]
    trained.load_state_dict(network(opt).state_dict())
    torch.manual_seed(0)
    rendering = GuidedRendering(trained, None)
    loss = rendering(batch)["loss_render"]
    torch.testing.assert_close(expected, list(torch.autograd.grad(2.0 * loss, list(trained.parameters()))))
