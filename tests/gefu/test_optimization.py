import pytest
import torch
from torch import nn

from gefu.config import load_config
from gefu.experiment import TrainingState, continue_training
from gefu.optimization import build_optimizer, build_scheduler

CONFIG = "configs/gefu/dtu_pretrain.yaml"


def rates(cfg, count):
    optimizer = build_optimizer(cfg, nn.Linear(2, 1))
    scheduler = build_scheduler(cfg, optimizer)
    seen = []
    for _ in range(count):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_a_fresh_run_decays_as_stored(golden):
    assert rates(load_config(CONFIG), 300) == pytest.approx(golden("gefu/schedule")["fresh"].tolist(), rel=1e-6)


def test_continuing_from_another_experiment_gives_the_stored_rates(golden, tmp_path):
    stored = golden("gefu/schedule")
    first = int(stored["resumed_first_epoch"])
    cfg = load_config(CONFIG)
    network = nn.Linear(2, 1)
    optimizer = build_optimizer(cfg, network)
    state = TrainingState(network, optimizer, build_scheduler(cfg, optimizer), seed=0)
    for _ in range(first):
        optimizer.step()
        state.scheduler.step()
        state.epoch += 1
    folder = tmp_path / "gefu" / "dtu_ft_scan1"
    folder.mkdir(parents=True)
    torch.save(state.payload("gefu/dtu_pretrain"), folder / "latest.pth")

    rate = float(stored["finetune_lr"])
    words = ["trained_model_dir", str(tmp_path), "train.lr", str(rate)]
    cfg = load_config("configs/gefu/dtu/scan1.yaml", words)
    optimizer = build_optimizer(cfg, network)
    state = TrainingState(network, optimizer, build_scheduler(cfg, optimizer), seed=0)
    continue_training(cfg, state)
    assert state.epoch == first
    seen = []
    for _ in stored["resumed"]:
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        state.scheduler.step()
    assert seen == pytest.approx(stored["resumed"].tolist(), rel=1e-6)


def test_multi_step_multiplies_at_each_milestone():
    words = "train.scheduler.type multi_step train.scheduler.milestones 2,4 train.scheduler.gamma 0.1 train.lr 1.0"
    assert rates(load_config(CONFIG, words.split()), 6) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("radam", "RAdam"), ("sgd", "SGD")])
def test_every_optimiser_has_one_group_per_tensor(name, kind):
    optimizer = build_optimizer(load_config(CONFIG, ["train.optim", name]), nn.Linear(2, 1))
    assert type(optimizer).__name__ == kind
    assert len(optimizer.param_groups) == 2


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="adam, radam or sgd, got 'lion'"):
        build_optimizer(load_config(CONFIG, ["train.optim", "lion"]), nn.Linear(2, 1))
    cfg = load_config(CONFIG, ["train.scheduler.type", "cosine"])
    with pytest.raises(ValueError, match="exponential or multi_step, got 'cosine'"):
        build_scheduler(cfg, build_optimizer(load_config(CONFIG), nn.Linear(2, 1)))
