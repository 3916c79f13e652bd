from pathlib import Path

import pytest
import torch
from torch import nn

from common.checkpoints import load_checkpoint, save_checkpoint
from common.seeding import seed_everything
from gefu.config import load_config
from gefu.experiment import (
    TrainingState,
    continue_training,
    experiment_name,
    find_checkpoint,
    load_trained,
    recall_best,
)
from gefu.optimization import build_optimizer, build_scheduler


@pytest.fixture
def config(tmp_path):
    def build(*words, file="configs/gefu/dtu_pretrain.yaml"):
        return load_config(file, ["trained_model_dir", str(tmp_path), *words])

    return build


def new_state(cfg, seed=0):
    network = nn.Linear(3, 2)
    optimizer = build_optimizer(cfg, network)
    return TrainingState(network, optimizer, build_scheduler(cfg, optimizer), seed)


def work(state, steps=3):
    """A few updates that depend on the weights, the optimiser, the schedule and the random states."""
    for _ in range(steps):
        state.optimizer.zero_grad()
        state.network(torch.rand(4, 3)).square().sum().backward()
        state.optimizer.step()
        state.step += 1
        state.position += 1
    return state


def finish_epoch(state):
    state.scheduler.step()
    state.epoch, state.position = state.epoch + 1, 0
    return state


def folder(cfg):
    return Path(cfg.trained_model_dir)


def save(cfg, state, name="latest.pth", experiment=None):
    save_checkpoint(folder(cfg) / name, state.payload(experiment or experiment_name(cfg)))


def test_the_own_experiment_continues_exactly_in_the_middle_of_an_epoch(config):
    seed_everything(3)
    cfg = config()
    whole = work(finish_epoch(work(new_state(cfg, seed=11))), 2)
    whole.best["psnr"] = 21.0
    save(cfg, whole)
    finish_epoch(work(whole))

    seed_everything(99)
    resumed = new_state(cfg, seed=5)
    continue_training(cfg, resumed)
    assert (resumed.epoch, resumed.position, resumed.step, resumed.seed) == (1, 2, 5, 11)
    assert resumed.best["psnr"] == 21.0
    finish_epoch(work(resumed))
    assert torch.equal(resumed.network.weight, whole.network.weight)
    assert resumed.optimizer.param_groups[0]["lr"] == whole.optimizer.param_groups[0]["lr"]


def test_another_experiments_checkpoint_gives_weights_schedule_and_epoch_but_no_optimiser(config):
    pretrained = finish_epoch(work(new_state(config())))
    cfg = config(file="configs/gefu/dtu/scan21.yaml")
    save(cfg, pretrained, experiment="gefu/dtu_pretrain")
    state = new_state(cfg, seed=5)
    continue_training(cfg, state)
    assert (state.epoch, state.position, state.step, state.seed) == (1, 0, 3, 5)
    assert torch.equal(state.network.weight, pretrained.network.weight)
    assert not state.optimizer.state
    assert state.optimizer.param_groups[0]["lr"] == 5e-6
    assert state.scheduler.base_lrs == [5e-4, 5e-4]


def test_a_checkpoint_of_the_papers_code_continues_as_the_paper_does(config):
    cfg = config()
    state = finish_epoch(work(new_state(cfg)))
    content = state.payload("x")
    del content["polyview"]
    folder(cfg).mkdir(parents=True)
    torch.save(content, folder(cfg) / "7.pth")
    fresh = new_state(cfg)
    continue_training(cfg, fresh)
    assert (fresh.epoch, fresh.step) == (1, 3)
    assert not fresh.optimizer.state


def test_weights_alone_start_a_new_run(config):
    cfg = config()
    network = nn.Linear(3, 2)
    save_checkpoint(folder(cfg) / "latest.pth", {"net": network.state_dict()})
    state = new_state(cfg)
    continue_training(cfg, state)
    assert torch.equal(state.network.weight, network.weight)
    assert (state.epoch, state.step) == (0, 0)


def test_pretrain_gives_weights_to_a_new_run_only(config):
    pretrained = finish_epoch(work(new_state(config())))
    save(config("exp_name", "first"), pretrained)
    (folder(config("exp_name", "first")) / "psnr_best.pth").write_bytes(b"must not be read")
    cfg = config("exp_name", "second", "pretrain", "first")
    state = new_state(cfg)
    continue_training(cfg, state)
    assert torch.equal(state.network.weight, pretrained.network.weight)
    assert (state.epoch, state.step) == (0, 0)

    save(cfg, finish_epoch(work(state)))
    later = new_state(cfg)
    continue_training(cfg, later)
    assert torch.equal(later.network.weight, state.network.weight)


def test_a_pretrain_experiment_without_checkpoint_is_an_error(config):
    with pytest.raises(FileNotFoundError, match="pretrain names the experiment 'none'"):
        cfg = config("pretrain", "none")
        continue_training(cfg, new_state(cfg))


def test_resume_false_starts_anew(config):
    save(config(), finish_epoch(work(new_state(config()))))
    cfg = config("resume", "False")
    state = new_state(cfg)
    continue_training(cfg, state)
    assert state.epoch == 0


def test_the_latest_checkpoint_wins_then_the_highest_number_and_other_files_do_not_matter(tmp_path):
    assert find_checkpoint(tmp_path / "none") is None
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "psnr_best.pth").touch()
    assert find_checkpoint(tmp_path) is None
    for name in ("9.pth", "10.pth"):
        (tmp_path / name).touch()
    assert find_checkpoint(tmp_path).name == "10.pth"
    (tmp_path / "latest.pth").touch()
    assert find_checkpoint(tmp_path).name == "latest.pth"
    assert find_checkpoint(tmp_path, 9).name == "9.pth"
    assert find_checkpoint(tmp_path, 8) is None


def test_evaluation_without_a_checkpoint_is_an_error(config):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint latest\.pth in .*train first"):
        load_trained(config(), nn.Linear(3, 2))
    with pytest.raises(FileNotFoundError, match=r"no checkpoint 5\.pth"):
        load_trained(config("test.epoch", "5"), nn.Linear(3, 2))


def test_a_checkpoint_of_something_else_is_refused(config):
    cfg = config()
    save_checkpoint(folder(cfg) / "latest.pth", {"state_dict": {}})
    with pytest.raises(RuntimeError, match=r"no entry 'net'"):
        load_trained(cfg, nn.Linear(3, 2))
    save_checkpoint(folder(cfg) / "latest.pth", {"net": nn.Linear(5, 2).state_dict()})
    with pytest.raises(RuntimeError, match="of another shape, first weight"):
        load_trained(cfg, nn.Linear(3, 2))
    save_checkpoint(folder(cfg) / "latest.pth", {"net": nn.Linear(3, 2).state_dict(), "optim": {}, "epoch": 3})
    with pytest.raises(RuntimeError, match="no usable schedule, step or epoch"):
        continue_training(cfg, new_state(cfg))


def test_best_metrics_are_remembered_from_their_own_files(config):
    cfg = config()
    state = new_state(cfg)
    state.best |= {"psnr": 25.0, "lpips": 0.2}
    save(cfg, state, "psnr_best.pth")
    save(cfg, state, "lpips_best.pth")
    best = {"psnr": 0.0, "ssim": 0.0, "lpips": 10.0}
    recall_best(cfg.trained_model_dir, best)
    assert best == {"psnr": 25.0, "ssim": 0.0, "lpips": 0.2}


def test_a_checkpoint_has_the_papers_entries(config):
    cfg = config()
    save(cfg, finish_epoch(work(new_state(cfg))))
    content = load_checkpoint(folder(cfg) / "latest.pth")
    assert {"net", "optim", "scheduler", "recorder", "epoch"} <= set(content)
    assert content["epoch"] == 0
    assert content["recorder"] == {"step": 3}
    assert {"decay_epochs", "gamma", "base_lrs", "last_epoch"} <= set(content["scheduler"])
    assert len(content["optim"]["param_groups"]) == 2
