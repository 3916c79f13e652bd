import logging

import numpy as np
import pytest
import torch

from neuray_mrvm.model_checkpoints import RunState, load_network, ray_feature_shapes
from neuray_mrvm.networks.build import build_generalization
from neuray_mrvm.networks.per_scene import PerSceneNetwork
from neuray_mrvm.optimization import build_optimizer

CFG = {"init_net_type": "depth", "use_hierarchical_sampling": True, "optimizer_type": "adam", "lr_type": "exp_decay"}
CFG["lr_cfg"] = {"lr_init": 4e-4, "decay_step": 100000, "decay_rate": 0.5}
SHAPES = [(1, 32, 4, 5)] * 3


def write(path, state, **more):
    """As the release wrote files: the best value is a NumPy number."""
    torch.save({"step": 1234, "best_para": np.float64(21.5), "network_state_dict": state, **more}, path)
    return path


@pytest.fixture(scope="module")
def network():
    return build_generalization(CFG)


@pytest.fixture
def state(weights):
    return weights("gen_depth")


def test_released_files_load(network, state, tmp_path):
    path = write(tmp_path / "depth.pth", state, optimizer_state_dict={"state": {}, "param_groups": []})
    assert load_network(network, path) == 1234
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_a_plain_neuray_file_loads_with_one_line_of_warning(network, state, tmp_path, caplog):
    heads = ("projector.", "target_projector.", "predictor.")
    plain = {n: v for n, v in state.items() if not n.startswith(heads) and not n.endswith("mask_token")}
    plain["dist_decoder.vis_decoder.0.weight"] = torch.zeros(32, 32)
    with caplog.at_level(logging.WARNING):
        load_network(network, write(tmp_path / "plain.pth", plain))
    (record,) = caplog.records
    assert "nothing of mask-based modelling" in record.message
    assert "1 tensors are not used" in record.message
    assert torch.equal(network.state_dict()["agg_net.prob_embed.0.weight"], state["agg_net.prob_embed.0.weight"])


def test_files_of_older_batch_norms_load(weights, tmp_path, caplog):
    cv = build_generalization(CFG | {"init_net_type": "cost_volume"})
    counter = "init_net.mvsnet.feature.conv0.0.bn.num_batches_tracked"
    state = weights("gen_cost_volume")
    without = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    without |= {name: value for name, value in state.items() if not name.startswith("init_net.mvsnet")}
    load_network(cv, write(tmp_path / "without.pth", without))
    load_network(cv, write(tmp_path / "with.pth", without | {counter: torch.tensor(3)}))


def test_other_differences_are_refused(network, state, tmp_path):
    del state["vis_encoder.out_conv.3.weight"]
    with pytest.raises(RuntimeError, match=r"lacks 1 of 324 entries, first vis_encoder.out_conv.3.weight"):
        load_network(network, write(tmp_path / "a.pth", state))
    with pytest.raises(RuntimeError, match="no network under 'network_state_dict'"):
        torch.save({"net": state}, tmp_path / "b.pth")
        load_network(network, tmp_path / "b.pth")


def test_a_file_of_the_other_kind_is_one_sentence(network, state, tmp_path):
    scene = PerSceneNetwork(CFG, SHAPES)
    own = scene.state_dict()
    assert ray_feature_shapes(own) == SHAPES
    with pytest.raises(RuntimeError, match=r"was trained on one scene .* 3 views"):
        load_network(network, write(tmp_path / "scene.pth", own))
    with pytest.raises(RuntimeError, match="is for any scene, without ray features"):
        load_network(scene, write(tmp_path / "any.pth", state))
    del own["ray_feats.2"]
    with pytest.raises(RuntimeError, match="of 2 views but the scene has 3"):
        load_network(scene, write(tmp_path / "two.pth", own))


def test_the_names_of_a_scene_s_network_are_the_release_s(manifest):
    shapes = {name: list(value.shape) for name, value in PerSceneNetwork(CFG, SHAPES).state_dict().items()}
    expected = manifest["ft_without_ray_feats"] | {f"ray_feats.{i}": list(shape) for i, shape in enumerate(SHAPES)}
    assert shapes == expected


def test_a_run_continues_from_its_own_file_and_from_a_released_one(tmp_path):
    first, second = (PerSceneNetwork(CFG, SHAPES) for _ in range(2))
    run = RunState(first, build_optimizer(CFG, first), seed=7, step=12, best=20.5)
    first.ray_feats[1].grad = torch.ones(SHAPES[1])
    run.optimizer.step()
    run.save(tmp_path / "own.pth")
    again = RunState(second, build_optimizer(CFG, second), seed=0)
    assert again.restore(tmp_path / "own.pth")
    assert (again.seed, again.step, again.best) == (7, 12, 20.5)
    released = write(tmp_path / "r.pth", first.state_dict(), optimizer_state_dict=run.optimizer.state_dict())
    assert not again.restore(released)
    assert (again.step, again.best) == (1234, 21.5)
