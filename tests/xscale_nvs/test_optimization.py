"""Training steps against stored results of the paper's implementation."""

import numpy as np
import pytest
import torch

from common.ops.hash_grid import HashGridLayout
from xscale_nvs import optimization
from xscale_nvs.networks.model import XscaleModel
from xscale_nvs.optimization import Optimizers, RayBatch, backpropagate, train_step

CASES = {"default": 5, "ss2_no_exposure": None}


@pytest.fixture
def open_case(golden, golden_state):
    def open_(name):
        stored = golden(f"xscale_nvs/train_{name}")
        _, _, _, log2_size, levels, features = stored["sizes"].tolist()
        layout = HashGridLayout(levels, features, log2_size, 16, 1.4768261459394993)
        model = XscaleModel(layout, num_exposures=CASES[name])
        model.load_state_dict(golden_state(model, f"open/train_{name}/"))
        model.set_box(torch.from_numpy(stored["center"]), torch.from_numpy(stored["scale"]))
        return model, stored, [make_batch(stored, step) for step in range(4)]

    return open_


def make_batch(stored, step):
    xyz, viewdr, colour = (torch.from_numpy(stored[f"in_{key}"][step]) for key in ("xyz", "viewdr", "colour"))
    views = torch.from_numpy(stored["views"][step].astype(np.int64))
    return RayBatch(xyz, viewdr, colour, views, torch.zeros_like(views))


def in_stored_order(model, stored):
    parameters = dict(model.named_parameters())
    return [parameters[name] for name in bytes(stored["param_names"]).decode().split()]


@pytest.mark.parametrize("name", CASES)
def test_the_gradients_of_the_first_step_equal_the_papers(name, open_case):
    model, stored, batches = open_case(name)
    optimizers = Optimizers(model, 2e-4, 2e-4)
    optimizers.zero_grad()
    assert backpropagate(model, batches[0]) == pytest.approx(stored["losses_rgb"][0], abs=1e-5)
    grid = model.spatial_encoding.spatial_enc.params
    for parameter, norm in zip(in_stored_order(model, stored), stored["grad_norms_step0"], strict=True):
        if parameter is not grid:
            assert parameter.grad.norm().item() == pytest.approx(norm, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_four_steps_of_all_optimisers_equal_the_papers(name, open_case):
    model, stored, batches = open_case(name)
    optimizers = Optimizers(model, 2e-4, 2e-4)
    for step, batch in enumerate(batches):
        assert train_step(model, optimizers, batch) == pytest.approx(stored["losses_rgb"][step], abs=1e-5)
        if step in (0, 3):
            optimizers.catch_up()
            compare_weights(model, stored, step + 1)


def compare_weights(model, stored, step):
    norms = [parameter.norm().item() for parameter in in_stored_order(model, stored)]
    np.testing.assert_allclose(norms, stored[f"param_norms_after{step}"], rtol=1e-4)
    shading = model.shading_machine.render_net_c
    tables = {"l_table": model.l_embeddings_list, "x_table": model.x_embeddings_list}
    found = {"layer_sl": shading.layer_sl[0].weight, "film0": shading.network[0].layer.weight[:8]}
    found |= {key: table[0].weight for key, table in tables.items() if len(table)}
    for key, weight in found.items():
        difference = np.abs(weight.detach().numpy() - stored[f"{key}_after{step}"])
        assert np.mean(difference <= 2e-5) >= 0.99, key


@pytest.mark.parametrize(("chunk", "cpu_slice"), [(40, (256, 2048)), (10**6, (3, 30)), (7, (3, 3))])
def test_chunks_and_slices_add_up_to_the_plain_loss(open_case, monkeypatch, chunk, cpu_slice):
    plain, _, batches = open_case("default")
    batch = batches[1]
    rgb = plain(batch.xyz, batch.viewdr, plain.light_code(batch.lights), plain.exposure_code(batch.positions))
    loss = 3.0 * (rgb - batch.colour).abs().mean()
    loss.backward()
    monkeypatch.setattr(optimization, "CPU_SLICE", cpu_slice)
    parts, _, _ = open_case("default")
    assert backpropagate(parts, batch, 3.0, chunk) == pytest.approx(loss.item() / 3, rel=1e-5)
    for (name, one), other in zip(plain.named_parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-6, msg=name)


def test_states_of_other_optimisers_are_refused(open_case):
    model, _, _ = open_case("default")
    bare, _, _ = open_case("ss2_no_exposure")
    with pytest.raises(ValueError, match="the stored optimisers are network"):
        Optimizers(model, 1e-3, 1e-3).load_state_dict(Optimizers(bare, 1e-3, 1e-3).state_dict())
