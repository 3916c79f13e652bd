"""The training command on tiny scenes: what it leaves, how it continues, what it says about wrong input."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.checkpoints import load_checkpoint, save_checkpoint
from common.entry_point import run_command
from gefu.train_net import main

ROOT = Path(__file__).parents[2]
CONFIG = "configs/gefu/dtu_pretrain.yaml"
EXPERIMENT = "gefu/dtu_pretrain"


@pytest.fixture
def train(training_words, tmp_path, monkeypatch):
    """`train(*overrides)` runs the command in an empty folder, one step per epoch; returns the experiment's folder."""
    monkeypatch.chdir(tmp_path)

    def run(*overrides, flags=(), config=CONFIG):
        words = ["ep_iter", "1", "train.epoch", "1", "log_interval", "1", "save_ep", "100"]
        main(["--cfg_file", config, *flags, *training_words, *words, *overrides])
        return tmp_path / "trained_model" / EXPERIMENT

    return run


@pytest.fixture(scope="module")
def pretrained(dtu_tree, tmp_path_factory, training_overrides):
    """The folder of an experiment that ran one epoch of one step."""
    root = tmp_path_factory.mktemp("pretrained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        words = ["ep_iter", "1", "train.epoch", "1", "save_ep", "100"]
        main(["--cfg_file", CONFIG, *training_overrides(dtu_tree, root), *words])
    return root / "trained_model" / EXPERIMENT


@pytest.fixture
def continued(pretrained, tmp_path):
    """A copy of that folder where `train` will continue it."""
    return Path(shutil.copytree(pretrained, tmp_path / "trained_model" / EXPERIMENT))


@pytest.fixture
def refuse(training_words, tmp_path, monkeypatch, capsys):
    """`refuse(*overrides)` runs the command, which must end with exit code 1, and returns its sentence."""
    monkeypatch.chdir(tmp_path)

    def run(*overrides, flags=("--cfg_file", CONFIG)):
        with pytest.raises(SystemExit) as stopped:
            run_command(main, [*flags, *training_words, "ep_iter", "1", "train.epoch", "1", *overrides])
        assert stopped.value.code == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1
        return lines[0]

    return run


def weights(path):
    return load_checkpoint(path)["net"]


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_training_leaves_the_papers_files(train, tmp_path, capsys):
    folder = train("ep_iter", "2", "train.epoch", "2", "save_ep", "2")
    assert sorted(path.name for path in folder.iterdir()) == ["1.pth", "latest.previous.pth", "latest.pth"]
    content = load_checkpoint(folder / "latest.pth")
    assert content["epoch"] == 1
    assert content["recorder"] == {"step": 4}
    assert len(content["net"]) == 436
    assert len(content["optim"]["param_groups"]) == 271
    events = EventAccumulator(str(tmp_path / "record" / EXPERIMENT)).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4]
    assert "eta: 0:00:00  epoch: 1  step: 4  color_mse_0:" in capsys.readouterr().err


def test_validation_stores_its_metrics_and_the_best_checkpoints(train, tmp_path, dtu_tree):
    words = ["skip_eval", "False", "eval_lpips", "False", "save_result", "False", "test_dataset.ann_file", ""]
    words += ["test_dataset.data_root", str(dtu_tree)]
    folder = train(*words)
    assert {"psnr_best.pth", "ssim_best.pth"} <= {path.name for path in folder.iterdir()}
    content = load_checkpoint(folder / "psnr_best.pth")
    events = EventAccumulator(str(tmp_path / "record" / EXPERIMENT)).Reload()
    (event,) = events.Scalars("val/psnr")
    assert (event.step, event.value) == (0, pytest.approx(content["polyview"]["best"]["psnr"]))
    assert {"val/ssim", "val/color_mse_0", "val/ssim_loss_1", "val/loss"} <= set(events.Tags()["scalars"])

    content["polyview"]["best"]["psnr"] = 99.0  # no later epoch reaches this, also not after a restart
    save_checkpoint(folder / "psnr_best.pth", content)
    train(*words, "train.epoch", "2")
    assert load_checkpoint(folder / "psnr_best.pth")["epoch"] == 0
    assert load_checkpoint(folder / "latest.pth")["epoch"] == 1


def test_training_goes_on_without_validation_data(train, capsys):
    train("skip_eval", "False")
    assert "training goes on without validation" in capsys.readouterr().err


def test_a_run_in_two_parts_equals_a_run_in_one(train, tmp_path):
    whole = weights(train("train.epoch", "2") / "latest.pth")
    shutil.rmtree(tmp_path / "trained_model")
    train("train.epoch", "1")
    parts = weights(train("train.epoch", "2") / "latest.pth")
    assert same(whole, parts)
    assert parts["feature_net.conv0.0.bn.num_batches_tracked"] == 2


def test_without_fix_random_every_run_has_its_own_seed(train, pretrained):
    assert not same(weights(pretrained / "latest.pth"), weights(train("fix_random", "False") / "latest.pth"))


def test_fine_tuning_continues_a_pretrained_checkpoint(train, pretrained, tmp_path):
    folder = tmp_path / "trained_model" / "gefu" / "dtu_ft_scan1"
    folder.mkdir(parents=True)
    shutil.copy(pretrained / "latest.pth", folder)
    train("train.epoch", "2", "train_dataset.scene", "scan2", config="configs/gefu/dtu/scan1.yaml")
    content = load_checkpoint(folder / "latest.pth")
    assert content["epoch"] == 1
    assert content["recorder"] == {"step": 2}
    assert content["scheduler"]["base_lrs"][0] == 5e-4


def test_resume_false_moves_the_old_run_aside(train, continued):
    train("resume", "False")
    aside = [path for path in continued.parent.iterdir() if path.name.startswith("dtu_pretrain.before-")]
    assert len(aside) == 1
    assert (aside[0] / "latest.pth").exists()
    assert load_checkpoint(continued / "latest.pth")["recorder"] == {"step": 1}


def test_testing_prints_the_metrics_of_the_checkpoint(train, continued, dtu_tree, capsys):
    words = ["test_dataset.data_root", str(dtu_tree), "test_dataset.ann_file", "", "eval_lpips", "False"]
    train(*words, flags=["--test"])
    assert "scan1_level1 psnr" in capsys.readouterr().out


@pytest.mark.parametrize("folder", [ROOT, ROOT / "gefu"])
def test_the_command_works_from_the_root_and_from_the_method_folder(training_words, folder):
    script = "gefu/train_net.py" if folder == ROOT else "train_net.py"
    command = [sys.executable, script, "--cfg_file", CONFIG, *training_words, "ep_iter", "1", "train.epoch", "1"]
    command += ["save_ep", "100"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (Path(training_words[training_words.index("trained_model_dir") + 1]) / EXPERIMENT / "latest.pth").exists()


def test_without_vgg16_training_warns_once_and_goes_on(train, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("POLYVIEW_VGG16", str(tmp_path / "none.pth"))
    train("gefu.perceptual_weight", "0.1", "train.batch_size", "2")
    warnings = [line for line in capsys.readouterr().err.splitlines() if "perceptual" in line]
    assert len(warnings) == 1
    assert "WITHOUT the perceptual loss" in warnings[0]
    assert "none.pth" in warnings[0]


def test_a_missing_config_and_data_and_scene_are_named(refuse):
    assert "configs/gefu/none.yaml" in refuse(flags=("--cfg_file", "configs/gefu/none.yaml"))
    assert "nowhere" in refuse("train_dataset.data_root", "nowhere")
    assert "scan99_train" in refuse("train_dataset.scene", "scan99")


def test_an_unknown_key_gets_a_suggestion(refuse):
    assert refuse("train.epohc", "3").endswith("did you mean 'train.epoch'?")


def test_one_source_view_is_refused(refuse):
    words = ("train.sampler_meta.input_views_num", "[1]", "train.sampler_meta.input_views_prob", "[1.0]")
    assert "needs at least 2 source views" in refuse(*words)


def test_a_wrong_checkpoint_is_named(refuse, tmp_path):
    folder = tmp_path / "trained_model" / EXPERIMENT
    folder.mkdir(parents=True)
    (folder / "latest.pth").write_bytes(b"PK\x03\x04 cut off")
    assert "latest.pth is damaged or not a PyTorch file" in refuse()
    torch.save({"net": {"a": torch.zeros(1)}}, folder / "latest.pth")
    assert "lacks 436 of 436 entries" in refuse()


def test_a_folder_of_another_layout_is_named(refuse, tmp_path):
    (tmp_path / "other" / "Rectified" / "scan1_train").mkdir(parents=True)
    assert "Cameras" in refuse("train_dataset.data_root", str(tmp_path / "other"))


def test_a_loss_that_is_no_number_stops_the_run_without_a_checkpoint(refuse, tmp_path):
    assert "lower train.lr" in refuse("train.lr", "1e30", "ep_iter", "3")
    assert not list((tmp_path / "trained_model" / EXPERIMENT).iterdir())


def test_another_optimiser_cannot_continue_a_run(refuse, continued):
    assert "another optimiser; restore train.optim" in refuse("train.optim", "sgd", "train.epoch", "2")


def test_distributed_needs_a_launcher(refuse, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert "torchrun" in refuse("distributed", "True")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "append 'distributed True'" in refuse()
