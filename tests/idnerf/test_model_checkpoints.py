import json
from pathlib import Path

import numpy as np
import pytest
import torch

from common.checkpoints import load_checkpoint
from idnerf.model_checkpoints import RunState, find_latest, gmflow_parts, load_gmflow, load_weights
from idnerf.networks.network import build_network
from idnerf.optimization import build_optimizer, build_scheduler
from idnerf.options import load_options

GOLDEN = Path(__file__).parents[1] / "golden/idnerf"
RULES = json.loads((GOLDEN / "checkpoint_rules.json").read_text())
STEPS = 3


def options(*words):
    """The smallest network: one transformer layer."""
    return load_options(["--yaml=train", "--encoder.num_transformer_layers=1", *words])


def network_of(opt):
    torch.manual_seed(0)
    return build_network(opt)


def run_state(opt, **place):
    network = network_of(opt)
    optimizer = build_optimizer(opt, network)
    return RunState(network, optimizer, build_scheduler(opt, optimizer, STEPS), seed=7, **place)


def steps(state, count):
    """Steps with gradients that depend on the weights alone."""
    for _ in range(count):
        for parameter in state.network.parameters():
            parameter.grad = parameter.detach().sin()
        state.optimizer.step()
        state.scheduler.step()
        state.iteration += 1
        state.position += 1


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.fixture(scope="module")
def shipped():
    """A network and its weights under the released names."""
    network = network_of(options())
    return network, {
        name: torch.rand_like(value.float()).to(value.dtype) for name, value in network.state_dict().items()
    }


def test_a_save_leaves_the_papers_files(tmp_path):
    state = run_state(options(), epoch=3, iteration=500)
    state.save(tmp_path, backup=True)
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == sorted(RULES["files"])
    for name, expected in RULES["files"].items():
        content = load_checkpoint(tmp_path / "models" / name)
        assert list(content) == [*list(expected)[:1], "epoch", "iter", "polyview", *list(expected)[1:-2]]
        assert content["epoch"] == expected["epoch"] and content["iter"] == expected["iter"]
        assert same(content["model"], state.network.state_dict())


def test_a_continued_run_is_the_run_itself(tmp_path):
    whole, first = run_state(options()), run_state(options())
    steps(whole, 3)
    steps(first, 2)
    first.save(tmp_path)
    second = run_state(options())
    second.seed = 0
    second.restore(find_latest(tmp_path), STEPS)
    assert (second.seed, second.epoch, second.iteration, second.position) == (7, 0, 2, 2)
    steps(second, 1)
    assert same(second.network.state_dict(), whole.network.state_dict())
    assert second.optimizer.param_groups[0]["lr"] == whole.optimizer.param_groups[0]["lr"]


def test_a_run_can_be_made_longer(tmp_path):
    state = run_state(options("--max_epoch=1"))
    steps(state, 3)
    state.save(tmp_path)
    longer = run_state(options("--max_epoch=2"))
    longer.restore(find_latest(tmp_path), STEPS)
    steps(longer, 2)
    assert longer.scheduler.total_steps == 6


def test_a_file_without_its_place_is_continued_from_its_numbers(tmp_path):
    state = run_state(options(), epoch=2, iteration=7)
    content = {"model": state.network.state_dict(), "epoch": 2, "iter": 7, "optim": state.optimizer.state_dict()}
    torch.save(content, tmp_path / "latest.pth")
    other = run_state(options())
    other.restore(tmp_path / "latest.pth", STEPS)
    assert (other.epoch, other.iteration, other.position) == (2, 7, 1)


def test_another_runs_optimiser_is_refused(tmp_path):
    run_state(options()).save(tmp_path)
    with pytest.raises(RuntimeError, match=r"its optimiser is another one's .*--load"):
        run_state(options("--parity.released_optimizer")).restore(find_latest(tmp_path), STEPS)


def test_there_is_nothing_to_continue_in_an_empty_folder(tmp_path):
    assert find_latest(tmp_path) is None


@pytest.mark.parametrize("rename", [
    lambda name: name,
    lambda name: f"module.{name}",
    lambda name: name.replace("feat_enc.", "feat_enc.module.").replace("nerf_dec.", "nerf_dec.module."),
], ids=["plain", "all in parallel", "two children in parallel"])  # fmt: skip
@pytest.mark.parametrize("bare", [True, False])
def test_weights_load_under_every_name_they_were_written_with(shipped, tmp_path, rename, bare):
    network, state = shipped
    content = {rename(name): value for name, value in state.items()}
    torch.save(content if bare else {"model": content, "epoch": 1, "iter": 2}, tmp_path / "a.pth")
    load_weights(network, tmp_path / "a.pth")
    assert same(network.state_dict(), state)


def test_children_that_a_file_lacks_keep_their_values_and_are_told(shipped, tmp_path, caplog):
    _, state = shipped
    torch.save({"model": {n: v for n, v in state.items() if not n.startswith("latent_")}}, tmp_path / "a.pth")
    network = network_of(options())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_weights(network, tmp_path / "a.pth")
    after = network.state_dict()
    assert all(torch.equal(after[n], before[n] if n.startswith("latent_") else state[n]) for n in after)
    assert "latent_inference: not in the file and left as before" in caplog.text


def test_single_children_can_be_asked_for(shipped, tmp_path):
    """As for an encoder that another program trained, whose other parts are of other shapes."""
    _, state = shipped
    wrong = {name: value if name.startswith("feat_enc.") else torch.zeros(3) for name, value in state.items()}
    torch.save({"model": wrong}, tmp_path / "a.pth")
    network = network_of(options())
    load_weights(network, tmp_path / "a.pth", parts=["feat_enc"])
    assert same({n: v for n, v in network.state_dict().items() if n.startswith("feat_enc.")}, state)
    with pytest.raises(RuntimeError, match=r"\(latent_inference\) has 72 of another shape"):
        load_weights(network, tmp_path / "a.pth")
    torch.save({"model": {n: v for n, v in state.items() if n.startswith("feat_enc.")}}, tmp_path / "b.pth")
    with pytest.raises(RuntimeError, match="has no nerf_dec; it has feat_enc"):
        load_weights(network, tmp_path / "b.pth", parts=["nerf_dec"])


def test_a_child_is_loaded_whole_or_not_at_all(shipped, tmp_path):
    network, state = shipped
    torch.save({n: v for n, v in state.items() if n != "nerf_dec.rgb_linear.bias"}, tmp_path / "a.pth")
    with pytest.raises(RuntimeError, match=r"\(nerf_dec\) lacks 1 of 56 entries, first rgb_linear.bias"):
        load_weights(network, tmp_path / "a.pth")


def test_foreign_files_are_refused(shipped, tmp_path):
    network, _ = shipped
    torch.save({"model": {"backbone.conv1.weight": torch.zeros(1)}}, tmp_path / "a.pth")
    with pytest.raises(RuntimeError, match="nothing of feat_enc, latent_inference, nerf_dec; is it one of ID-NeRF"):
        load_weights(network, tmp_path / "a.pth")
    torch.save({"model": [1, 2]}, tmp_path / "b.pth")
    with pytest.raises(RuntimeError, match="has no network under 'model'"):
        load_weights(network, tmp_path / "b.pth")


def test_weights_for_another_number_of_views_are_refused_and_other_switches_told(tmp_path, caplog):
    run_state(options("--parity=released")).save(tmp_path)
    with pytest.raises(RuntimeError, match="is for 3 source views, but n_src_views is 2; add --n_src_views=3"):
        load_weights(network_of(options("--n_src_views=2")), find_latest(tmp_path))
    load_weights(network_of(options("--parity.released_tokens")), find_latest(tmp_path))
    told = [record.message for record in caplog.records if "was trained with" in record.message]
    assert len(told) == 2 and told[0].endswith("parity.released_ray_pictures true; add --parity.released_ray_pictures")


@pytest.mark.parametrize("layers", [6, 3])
def test_gmflows_entries_go_where_the_paper_puts_them(layers):
    names = json.loads((GOLDEN / "manifest.json").read_text())["gmflow_sintel-0c07dcb3"]
    parts = gmflow_parts({name: torch.zeros(0) for name in names}, layers)
    assert {child: sorted(part) for child, part in parts.items()} == RULES[f"layers_{layers}"]


@pytest.mark.parametrize("bare", [True, False])
def test_gmflows_file_loads_and_leaves_the_upsampler(tmp_path, deterministic, bare):
    shapes = json.loads((GOLDEN / "manifest.json").read_text())["gmflow_sintel-0c07dcb3"]
    state = {name: torch.from_numpy(np.asarray(deterministic.weight(name, shape))) for name, shape in shapes.items()}
    torch.save(state if bare else {"model": state}, tmp_path / "gmflow.pth")
    network = network_of(options())
    upsampler = {name: value.clone() for name, value in network.feat_enc.featup_net.state_dict().items()}
    load_gmflow(network.feat_enc, tmp_path / "gmflow.pth", 1)
    loaded = network.feat_enc.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in loaded.items() if not name.startswith("featup_net"))
    assert same(network.feat_enc.featup_net.state_dict(), upsampler)


def test_a_missing_or_wrong_gmflow_file_gets_a_sentence(tmp_path):
    encoder = network_of(options()).feat_enc
    with pytest.raises(FileNotFoundError, match=r"github.com/haofeixu/gmflow.*--encoder.pretrain_weight="):
        load_gmflow(encoder, tmp_path / "gmflow.pth", 1)
    torch.save({"model": {"feat_enc.backbone.conv1.weight": torch.zeros(1)}}, tmp_path / "gmflow.pth")
    with pytest.raises(RuntimeError, match=r"\(backbone\) lacks 19 of 19 entries"):
        load_gmflow(encoder, tmp_path / "gmflow.pth", 1)


def test_weights_in_half_precision_load_into_single(shipped, tmp_path):
    network, state = shipped
    halves = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    torch.save({"model": halves}, tmp_path / "a.pth")
    load_weights(network, tmp_path / "a.pth")
    assert all(value.dtype == state[name].dtype for name, value in network.state_dict().items())
