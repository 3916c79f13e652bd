import numpy as np
import pytest
import torch
from torch import nn

from idnerf.optimization import (
    build_optimizer,
    build_scheduler,
    clip_encoder,
    iterations_of,
    learning_rates,
    steps_every_iteration,
)
from idnerf.options import load_options


def options(*words):
    return load_options(["--yaml=train", *words])


@pytest.fixture
def network():
    """Three children with the network's names, one number each."""
    children = {name: nn.Linear(1, 1, bias=False) for name in ("feat_enc", "latent_inference", "nerf_dec")}
    return nn.ModuleDict(children)


@pytest.fixture(autouse=True)
def _children_are_attributes(network):
    for name, child in network.items():
        setattr(network, name, child)


def test_rates_of_the_one_cycle_schedule_are_the_papers(golden, network):
    expected = golden("idnerf/schedule")
    steps, epochs = expected["in_steps"].tolist()
    opt = options(f"--max_epoch={epochs}")
    optimizer = build_optimizer(opt, network)
    scheduler = build_scheduler(opt, optimizer, steps)
    rates = []
    for _ in range(steps * epochs):
        rates.append(learning_rates(optimizer)["feat_enc"])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(rates, expected["out_lr_f64"], atol=1e-12)
    assert steps_every_iteration(scheduler)


def test_the_latent_network_is_trained_at_its_own_rate(network):
    optimizer = build_optimizer(options(), network)
    assert learning_rates(optimizer) == {"feat_enc": 5e-5, "nerf_dec": 5e-5, "latent_inference": 1e-3}
    assert type(optimizer) is torch.optim.AdamW and optimizer.defaults["weight_decay"] == 1e-4
    before = network.latent_inference.weight.clone()
    network.latent_inference(torch.ones(1, 1)).sum().backward()
    optimizer.step()
    assert not torch.equal(network.latent_inference.weight, before)


@pytest.mark.parametrize("word", ["--parity=released", "--optim.lr_other=0"])
def test_the_released_behaviour_never_moves_the_latent_network_nor_clears_its_gradients(network, word):
    optimizer = build_optimizer(options(word), network)
    assert list(learning_rates(optimizer)) == ["feat_enc", "nerf_dec"]
    before = network.latent_inference.weight.clone()
    for _ in range(2):
        optimizer.zero_grad()
        (network.latent_inference(torch.ones(1, 1)) + network.nerf_dec(torch.ones(1, 1))).sum().backward()
        optimizer.step()
    assert torch.equal(network.latent_inference.weight, before)
    assert network.latent_inference.weight.grad.item() == 2 and network.nerf_dec.weight.grad.item() == 1


def test_a_rate_that_is_not_positive_freezes_its_network(network):
    optimizer = build_optimizer(options("--optim.lr_enc=0"), network)
    assert list(learning_rates(optimizer)) == ["nerf_dec", "latent_inference"]
    assert not network.feat_enc.weight.requires_grad and network.nerf_dec.weight.requires_grad


def test_only_the_gradient_of_the_encoder_is_shortened(network):
    for child in network.values():
        child.weight.grad = torch.full((1, 1), 3.0)
    assert clip_encoder(options(), network).item() == 3.0
    assert network.feat_enc.weight.grad.item() == pytest.approx(1.0, abs=1e-5)
    assert network.nerf_dec.weight.grad.item() == 3.0
    assert clip_encoder(options("--optim.clip_enc="), network) is None


def test_a_warm_up_of_one_step_does_not_divide_by_zero(network):
    opt = options("--max_epoch=2")
    optimizer = build_optimizer(opt, network)
    scheduler = build_scheduler(opt, optimizer, 10)  # 0.05 * 20 = 1
    rates = []
    for _ in range(20):
        rates.append(learning_rates(optimizer)["feat_enc"])
        optimizer.step()
        scheduler.step()
    assert rates[0] == pytest.approx(2e-6) and rates[1] > rates[2] > rates[-1] and np.isfinite(rates).all()


def test_other_schedules_step_by_epoch_and_ignore_what_they_do_not_take(network, caplog):
    opt = options("--optim.sched.type=StepLR", "--optim.sched.step_size=2", "--optim.sched.gamma=0.5")
    optimizer = build_optimizer(opt, network)
    scheduler = build_scheduler(opt, optimizer, 10)
    assert not steps_every_iteration(scheduler) and "StepLR does not take pct_start" in caplog.text
    for _ in range(2):
        optimizer.step()
        scheduler.step()
    assert learning_rates(optimizer)["nerf_dec"] == 2.5e-5
    assert build_scheduler(options("--optim.sched="), optimizer, 10) is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--optim.algo.type=AdamX"], "optim.algo.type is 'AdamX', which PyTorch does not have; did you mean 'Adam"),
        (["--optim.algo.momentun=1"], "optim.algo does not suit AdamW: .*momentun"),
        (["--optim.sched.type=OneCycle"], "did you mean 'OneCycleLR'"),
        (["--optim.lr_enc=0", "--optim.lr_dec=0", "--optim.lr_other=0"], "nothing would be trained"),
        (["--optim.sched.pct_start=1.5"], "optim.sched does not suit OneCycleLR"),
    ],
)
def test_what_pytorch_does_not_have_gets_a_sentence(network, words, sentence):
    opt = options(*words)
    with pytest.raises(ValueError, match=sentence):
        build_scheduler(opt, build_optimizer(opt, network), 10)


def test_fractions_of_an_epoch_are_rounded_up():
    assert [iterations_of(fraction, 30184) for fraction in (0.1, 0.5, -1, 0)] == [3019, 15092, None, None]
