"""The whole network against stored results of the paper's implementation."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gefu.networks.network import Network
from gefu.networks.settings import COARSE, NetworkSettings

MANIFEST = json.loads((Path(__file__).parent.parent / "golden/gefu/manifest.json").read_text())["gefu"]
CASES = {
    "a": (
        dict(
            height=64, width=96, views=3, distance=650, focal=110, spread=0.25, phase=0.4, near=425, far=905, size=250
        ),
        NetworkSettings(),
    ),
    "b": (
        dict(height=64, width=64, views=2, distance=4, focal=80, spread=0.2, phase=1.3, near=2.5, far=5.5, size=1.6),
        NetworkSettings(coarse=replace(COARSE, num_planes=32), reweighting=True),
    ),
}


def assert_within_golden_tolerance(got: torch.Tensor, want: np.ndarray) -> None:
    np.testing.assert_allclose(got.detach().numpy(), want, rtol=1e-4, atol=1e-5)


def test_state_dict_has_exactly_the_released_names_and_shapes_in_order():
    state = Network().state_dict()
    assert [(name, list(value.shape)) for name, value in state.items()] == list(MANIFEST.items())


@pytest.mark.parametrize("case", CASES)
def test_forward_pass_equals_the_papers_implementation(case, golden, load_golden_weights, make_batch):
    rig, settings = CASES[case]
    network = load_golden_weights(Network(settings), gained=True).eval()
    with torch.no_grad():
        outputs = network(make_batch(**rig))
    for name, want in golden(f"gefu/forward_{case}").items():
        if name.startswith("out/"):
            assert_within_golden_tolerance(outputs[name.removeprefix("out/")], want)


def test_the_loaders_rays_are_those_of_the_camera(load_golden_weights, make_batch):
    rig, settings = CASES["b"]
    network = load_golden_weights(Network(settings), gained=True).eval()
    batch = make_batch(**rig)
    with torch.no_grad():
        want = network(batch)
        got = network({name: value for name, value in batch.items() if not name.startswith("rays")})
    assert_within_golden_tolerance(got["rgb_level1"], want["rgb_level1"].numpy())


def test_a_joint_batch_equals_its_items_one_by_one(load_golden_weights, make_batch):
    rig, settings = CASES["b"]
    network = load_golden_weights(Network(settings), gained=True).eval()
    items = [make_batch(**rig), make_batch(**{**rig, "phase": 0.2})]
    joint = {name: torch.cat([item[name] for item in items]) for name in items[0]}
    with torch.no_grad():
        together = network(joint)
        apart = [network(item) for item in items]
    for name, value in together.items():
        torch.testing.assert_close(value, torch.cat([out[name] for out in apart]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_one_forward_pass_with_gradients_equals_the_papers(mode, golden, load_golden_weights, make_batch):
    rig = dict(
        height=64, width=64, views=3, distance=650, focal=80, spread=0.25, phase=0.9, near=425, far=905, size=250
    )
    network = load_golden_weights(Network(), gained=mode == "eval").double().train(mode == "train")
    outputs = network({name: value.double() for name, value in make_batch(**rig).items()})
    for name, want in golden("gefu/train_step").items():
        if name.startswith(f"{mode}/out/"):
            got = outputs[name.split("/")[-1]].float()
            torch.testing.assert_close(got, torch.from_numpy(want), rtol=1e-5, atol=1e-6)
        if name.startswith(f"{mode}/bn/"):
            got = network.state_dict()[name.split("/")[-1]].float()
            torch.testing.assert_close(got, torch.from_numpy(want), rtol=0, atol=1e-4 * np.abs(want).max())


def test_parameters_come_in_the_order_of_the_released_optimiser(golden):
    assert [name for name, _ in Network().named_parameters()] == list(golden("gefu/train_step")["names"])


def test_a_single_source_view_is_refused():
    with pytest.raises(ValueError, match="at least 2 source views"):
        Network().encode(torch.zeros(1, 1, 3, 32, 32))


def test_a_size_that_is_no_multiple_of_32_is_refused():
    with pytest.raises(ValueError, match="multiples of 32, got 40 x 64"):
        Network().encode(torch.zeros(1, 2, 3, 40, 64))
