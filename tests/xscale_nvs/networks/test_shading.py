"""The shading network against stored results of the paper's implementation, and what initialisation promises."""

import math

import numpy as np
import pytest
import torch

from xscale_nvs.networks.film import FilmLayer, MappingNetwork
from xscale_nvs.networks.shading import ShadingMachine

PREFIX = "open/mod/"


@pytest.fixture
def machine(golden_state):
    machine = ShadingMachine(128, 64, 8, 4)
    machine.load_state_dict(golden_state(machine, PREFIX + "shading_machine."))
    return machine


@pytest.fixture
def inputs(golden, deterministic):
    stored = golden("xscale_nvs/shading_modules")
    views, rays, features, levels, _ = stored["sizes"].tolist()
    shapes = {"s_feat": (features * levels, 0.3), "l_emb": (8, 0.3), "x_emb": (4, 0.4)}
    made = {
        name: torch.from_numpy(deterministic.array(PREFIX + name, (views, rays, length), scale))
        for name, (length, scale) in shapes.items()
    }
    return stored, made, torch.from_numpy(stored["view"])


def assert_golden(got, want):
    np.testing.assert_allclose(got.detach().numpy(), want, rtol=0, atol=1e-5)


def test_film_layer_equals_the_papers(golden, deterministic):
    layer = FilmLayer(5, 7)
    layer.load_state_dict(
        {
            key: torch.from_numpy(deterministic.weight(f"{PREFIX}film.{key}", value.shape))
            for key, value in layer.state_dict().items()
        }
    )
    want = golden("xscale_nvs/shading_modules")["film_out"]
    sizes = {"x": 5, "freq": 7, "phase": 7}
    arguments = [deterministic.array(f"{PREFIX}film.{name}", (*want.shape[:2], size)) for name, size in sizes.items()]
    assert_golden(layer(*map(torch.from_numpy, arguments)), want)


def test_mapping_network_equals_the_papers(golden, deterministic):
    network = MappingNetwork(6, 10, 24)
    network.load_state_dict(
        {
            key: torch.from_numpy(deterministic.weight(f"{PREFIX}mapping.{key}", value.shape))
            for key, value in network.state_dict().items()
        }
    )
    stored = golden("xscale_nvs/shading_modules")
    code = deterministic.array(PREFIX + "mapping.z", (*stored["mapping_freq"].shape[:2], 6))
    frequencies, phases = network(torch.from_numpy(code))
    assert_golden(frequencies, stored["mapping_freq"])
    assert_golden(phases, stored["mapping_phase"])


def test_every_step_of_the_shading_network_equals_the_papers(machine, inputs):
    stored, made, view = inputs
    network = machine.render_net_c
    spatial = network.spatial(made["s_feat"], made["l_emb"])
    assert_golden(spatial, stored["spatial"])
    exposed = network.expose(spatial, made["x_emb"])
    assert_golden(exposed, stored["d_feat"])
    assert_golden(network.directional(exposed, view), stored["directional"])
    assert_golden(network(made["s_feat"], view, made["l_emb"], made["x_emb"]), stored["linear_rgb"])
    assert_golden(network(made["s_feat"], view, made["l_emb"]), stored["linear_rgb_no_exposure_input"])


def test_its_gradients_equal_the_papers(machine, inputs, deterministic):
    stored, made, view = inputs
    linear = machine.render_net_c(made["s_feat"], view, made["l_emb"], made["x_emb"])
    (linear * torch.from_numpy(deterministic.array(PREFIX + "G", linear.shape))).sum().backward()
    parameters = {name: value for name, value in machine.named_parameters()}
    names = [
        name.strip() for name in bytes(stored["grad_names"]).decode().replace(",", "\n").splitlines() if name.strip()
    ]
    got = [
        next(v for k, v in parameters.items() if name.endswith(k) or k.endswith(name)).grad.norm().item()
        for name in names
    ]
    np.testing.assert_allclose(got, stored["grad_norms"], rtol=1e-4)


def test_one_code_for_all_rays_is_the_same_code_for_each(machine, inputs):
    _, made, view = inputs
    light, exposure = made["l_emb"][:, :1], made["x_emb"][:1, :1]
    network = machine.render_net_c
    each = network(made["s_feat"], view, light.expand(2, 37, 8), exposure.expand(2, 37, 4))
    torch.testing.assert_close(network(made["s_feat"], view, light, exposure), each)


def test_initial_weights_have_the_papers_spread():
    torch.manual_seed(0)
    network = ShadingMachine(128, 64, 8, 4).render_net_c
    bound = math.sqrt(6 / 64) / 25
    for weight, limit in (
        (network.network[0].layer.weight, 1 / 128),
        (network.network_dir[0].layer.weight, 1 / 3),
        (network.network[1].layer.weight, bound),
        (network.network_dir[1].layer.weight, bound),
        (network.layer_sl[0].weight, bound),
    ):
        assert 0.9 * limit < weight.abs().max() <= limit
    for mapping, fan_in in ((network.mapping_network, 8), (network.mapping_network_dir, 64)):
        deviation = math.sqrt(2 / (1 + 0.2**2) / fan_in)
        assert mapping.network[0].weight.std().item() == pytest.approx(deviation, rel=0.15)
        assert mapping.network[2].weight.std().item() == pytest.approx(math.sqrt(2 / 1.04 / 64) / 4, rel=0.1)
