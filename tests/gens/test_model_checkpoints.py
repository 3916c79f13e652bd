import logging

import numpy as np
import pytest
import torch

from common.checkpoints import save_checkpoint
from gens.model_checkpoints import RunState, load_finetuned, load_generic
from gens.networks.network import build_network
from gens.optimization import WarmupCosine

MODEL = {"volume": {"volume_dims": [64, 32, 16, 8, 4]}}


@pytest.fixture
def network():
    return build_network(MODEL)


@pytest.fixture(scope="module")
def state(weights):
    return weights(sphere=False)


def test_released_generic_files_load(network, state, tmp_path):
    """As the release wrote them: `module.` or not, NumPy numbers as learning rates."""
    content = {"epoch": np.int64(49), "model": {f"module.{name}": value for name, value in state.items()}}
    content["optimizer"] = {"state": {}, "param_groups": [{"lr": np.float64(1e-5), "params": [0]}]}
    torch.save(content, tmp_path / "a.ckpt")
    load_generic(network, tmp_path / "a.ckpt")
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_differences_are_reported_name_by_name(network, state, tmp_path, caplog):
    changed = dict(state)
    del changed["implicit_surface.sdf_network.lin0.bias"]
    changed["implicit_surface.extra"] = torch.zeros(1)
    torch.save({"model": changed}, tmp_path / "a.ckpt")
    before = network.state_dict()["implicit_surface.sdf_network.lin0.bias"].clone()
    with caplog.at_level(logging.WARNING):
        load_generic(network, tmp_path / "a.ckpt")
    assert "missing in" in caplog.text
    assert "implicit_surface.sdf_network.lin0.bias (it keeps its initial value)" in caplog.text
    assert "implicit_surface.extra (it is not used)" in caplog.text
    assert torch.equal(network.state_dict()["implicit_surface.sdf_network.lin0.bias"], before)


def test_without_the_matching_network_the_features_are_copied(network, state, tmp_path):
    torch.save({"model": {n: v for n, v in state.items() if not n.startswith("match_")}}, tmp_path / "a.ckpt")
    load_generic(network, tmp_path / "a.ckpt")
    for name, value in network.match_feature_network.state_dict().items():
        assert torch.equal(value, state[f"feature_network.{name}"])


def test_the_wrong_kind_is_one_sentence(network, state, tmp_path):
    torch.save({"epoch": 1, "model": state}, tmp_path / "generic.ckpt")
    with pytest.raises(RuntimeError, match=r"is a generic one, .* leave out --load_vol"):
        load_finetuned(network, tmp_path / "generic.ckpt")
    lists = {name: torch.nn.ParameterList() for name in ("volumes", "mask_volmes", "features")}
    torch.save({"epoch": 1, "model": lists | {"implicit_surface": {}}}, tmp_path / "fine.ckpt")
    with pytest.raises(RuntimeError, match=r"is a fine-tuned one .*; add --load_vol"):
        load_generic(network, tmp_path / "fine.ckpt")
    torch.save({"state_dict": state}, tmp_path / "other.ckpt")
    with pytest.raises(RuntimeError, match="has no network under 'model'"):
        load_generic(network, tmp_path / "other.ckpt")
    torch.save({"model": {"conv.weight": torch.zeros(1)}}, tmp_path / "foreign.ckpt")
    with pytest.raises(RuntimeError, match=r"lacks 703 of 703 entries"):
        load_generic(network, tmp_path / "foreign.ckpt")


def test_another_shape_is_one_sentence(network, state, tmp_path):
    changed = state | {"implicit_surface.sdf_network.lin0.bias": torch.zeros(64)}
    torch.save({"model": changed}, tmp_path / "a.ckpt")
    with pytest.raises(RuntimeError, match=r"of another shape, first implicit_surface\.sdf_network\.lin0\.bias"):
        load_generic(network, tmp_path / "a.ckpt")


def test_parameter_lists_are_covered_by_the_checksum(tmp_path):
    from common.checkpoints import checksum

    one, other = (torch.nn.ParameterList([torch.full((2,), value)]) for value in (1.0, 2.0))
    assert checksum({"volumes": one}) != checksum({"volumes": other})
    save_checkpoint(tmp_path / "a.ckpt", {"volumes": one})


def test_an_optimiser_of_another_run_is_refused(network, tmp_path):
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    state = RunState(network, optimizer, WarmupCosine(optimizer, 2, 1, 0.02), 0, "train")
    with pytest.raises(RuntimeError, match="its optimiser or schedule does not fit"):
        state.restore({"epoch": 1, "optimizer": {"state": {}, "param_groups": []}, "lr_scheduler": {}}, tmp_path)
