"""The whole model against stored results of the paper's implementation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from common.ops.hash_grid import HashGridLayout, module
from xscale_nvs.networks.model import XscaleModel, build_model
from xscale_nvs.parameters import load_params

MANIFEST = Path(__file__).parent.parent.parent / "golden/xscale_nvs/manifest.json"
CASES = ("default", "ss2", "no_exposure")


def make_model(log2_size, levels, features, lights, exposures):
    layout = HashGridLayout(levels, features, log2_size, 16, 1.4768261459394993)
    return XscaleModel(layout, num_lights=lights, num_exposures=exposures)


@pytest.fixture
def open_case(golden, golden_state):
    def open_(name):
        stored = golden(f"xscale_nvs/model_{name}")
        _, _, _, log2_size, levels, features, lights, has_exposure = stored["sizes"].tolist()
        model = make_model(log2_size, levels, features, lights, 5 if has_exposure else None)
        model.load_state_dict(golden_state(model, f"open/model_{name}/"))
        tensors = {key: torch.from_numpy(value) for key, value in stored.items() if value.ndim}
        model.set_box(tensors["center"], tensors["scale"])
        return model, stored, tensors

    return open_


@pytest.mark.parametrize("name", CASES)
def test_the_model_equals_the_papers(name, open_case):
    model, stored, given = open_case(name)
    light, exposure = model.light_code(given["lits"]), model.exposure_code(given["views"])
    rgb = model(given["xyz"], given["viewdr"], light, exposure)
    found = {
        "l_emb": light[:, 0],
        "xyz_normalised": model.normalised(given["xyz"]),
        "view_dir": model.view_direction(given["viewdr"]),
        "features": model.features(given["xyz"]),
        "loss_rgb": (rgb - given["colour"]).abs().mean(),
    }
    if exposure is not None:
        found["x_emb"] = exposure[:, 0]
    for key, value in found.items():
        np.testing.assert_allclose(value.detach().numpy(), stored[key], rtol=0, atol=1e-5, err_msg=key)
    np.testing.assert_allclose(rgb.detach().numpy(), stored["rgb"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", CASES[:2])
def test_rendering_takes_the_mean_exposure_of_limited_rows(name, open_case):
    model, stored, given = open_case(name)
    model.exposure_code(given["views"])
    exposure = model.exposure_code()
    np.testing.assert_allclose(exposure.detach().numpy(), stored["x_emb_mean"], rtol=0, atol=1e-6)
    rgb = model(given["xyz"][:1], given["viewdr"][:1], model.light_code(given["lits"][:1]), exposure)
    np.testing.assert_allclose(rgb.detach().numpy(), stored["rgb_test"], rtol=0, atol=2e-5)
    np.testing.assert_allclose(
        model.x_embeddings_list[0].weight.detach().numpy(), stored["x_table_after_lookup"], rtol=0, atol=1e-6
    )


def test_points_are_not_changed(open_case):
    model, stored, given = open_case("default")
    model(given["xyz"], given["viewdr"], model.light_code(given["lits"]), model.exposure_code(given["views"]))
    np.testing.assert_array_equal(given["xyz"].numpy(), stored["xyz"])


def test_without_light_codes_every_view_takes_row_0():
    model = make_model(8, 2, 2, 3, None)
    model.use_light_codes = False
    codes = model.light_code(torch.tensor([0, 2]))
    torch.testing.assert_close(codes[0], codes[1])


def test_a_code_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no row 3 in a table of 3 codes"):
        make_model(8, 2, 2, 3, None).light_code(torch.tensor([3]))


@pytest.mark.parametrize(("variant", "overrides"), [("default", []), ("no_exposure", ["use_exp_emb", "False"])])
def test_names_and_shapes_are_the_released_ones_in_order(variant, overrides, monkeypatch):
    manifest = json.loads(MANIFEST.read_text())[variant]
    # The shipped table has 1.4 GB, of which only the length matters here.
    monkeypatch.setattr(module, "zeros_on_demand", lambda length: torch.empty(length, device="meta"))
    model = build_model(load_params(overrides=overrides))
    assert [(name, list(value.shape)) for name, value in model.state_dict().items()] == list(manifest.items())
