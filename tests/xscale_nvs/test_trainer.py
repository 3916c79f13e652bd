import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from common.checkpoints import load_checkpoint
from xscale_nvs.agents import base
from xscale_nvs.parameters import load_params
from xscale_nvs.ray_cache import open_ray_cache
from xscale_nvs.ray_caching import cache_rays
from xscale_nvs.ray_slicing import slice_rays
from xscale_nvs.trainer import Trainer

ROOT = Path(__file__).parents[2]
SMALL = {
    "hash_n_levels": 4,
    "log2_hashmap_size": 8,
    "z_length_s": 2,
    "hash_base_resol": 4,
    "descriptor_dim": 8,
    "training_batch_size": 32,
    "random_view_batch_size": 3,
    "ultra_cache_batch_size": 2,
    "change_batches_iter": 2,
    "shuffle_batches_iter": 2,
    "save_checkpoint_iter": 2,
    "draw_cubic_iter": 3,
    "max_epoch": 6,
    "seed": 5,
    "device": "cpu",
    "exp_id": "run",
}


@pytest.fixture
def words(golden, scene_settings):
    """Settings of a scene whose rays are cached; they fit a small network."""
    stored = golden("xscale_nvs/render_ss1")
    images = np.random.default_rng(0).integers(0, 256, (len(stored["K"]), *stored["size"], 3), dtype=np.uint8)
    found = scene_settings(stored | {"images": images}, **SMALL)
    prepare(found)
    return found


def prepare(words):
    params = load_params(overrides=words)
    cache_rays(params)
    slice_rays(params)


def make_trainer(words, *more):
    params = load_params(overrides=[*words, *map(str, more)])
    return Trainer(params, open_ray_cache(params), Path(params.checkpoint_dir), Path(params.summary_dir))


def read_states(folder):
    return {
        path.name: load_checkpoint(path) for path in sorted(Path(folder).glob("*.p*")) if "previous" not in path.name
    }


def assert_equal(one, other, name=""):
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), name
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), name
        for key in one:
            assert_equal(one[key], other[key], f"{name}/{key}")
    else:
        assert one == other, name


def test_a_run_leaves_the_papers_files(words, tmp_path):
    model = make_trainer(words).run()
    folder = tmp_path / "record/experiment/train/state/run"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *(f"epoch:{epoch:05d}.pth.tar" for epoch in (0, 2, 4, 6)),
        *("best.pth.tar", "resume.pth", "resume.previous.pth"),
    }
    last = load_checkpoint(folder / "best.pth.tar")
    assert (last["epoch"], last["iteration"]) == (6, 12)  # four views in steps of three
    assert_equal(last["shading_machine_dict"], dict(model.shading_machine.state_dict()))
    assert list((tmp_path / "record/experiment/train/log/run").glob("events.out.tfevents.*"))


def test_scalars_have_the_papers_names_and_steps(words, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    make_trainer(words).run()
    events = EventAccumulator(str(tmp_path / "record/experiment/train/log/run"))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["epoch/loss_nrm", "epoch/loss_rgb"]
    assert [event.step for event in events.Scalars("epoch/loss_rgb")] == [0, 1, 3, 4]  # iterations 0, 3, 6, 9
    assert all(event.value == 0 for event in events.Scalars("epoch/loss_nrm"))


def test_a_run_that_is_continued_equals_one_that_was_not_stopped(words, tmp_path):
    make_trainer(words, "exp_id", "whole").run()
    make_trainer(words, "exp_id", "parts", "max_epoch", 3, "seed", 5).run()
    continued = make_trainer(words, "exp_id", "parts", "seed", 77)
    assert (continued.epoch, continued.seed) == (3, 5)
    continued.run()
    state = tmp_path / "record/experiment/train/state"
    whole, parts = read_states(state / "whole"), read_states(state / "parts")
    assert parts.pop("epoch:00003.pth.tar")["epoch"] == 3
    assert_equal(whole, parts)


def test_a_killed_run_continues_exactly(words, tmp_path):
    make_trainer(words, "exp_id", "whole", "max_epoch", 20).run()
    command = [sys.executable, "-m", "xscale_nvs.agents.base", *words, "exp_id", "killed", "max_epoch", "20"]
    folder = tmp_path / "record/experiment/train/state"
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "2"}, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if (folder / "killed/epoch:00006.pth.tar").is_file():
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stderr.read().decode()
    process.stderr.close()
    make_trainer(words, "exp_id", "killed", "max_epoch", 20).run()
    assert_equal(read_states(folder / "whole"), read_states(folder / "killed"))


def test_a_run_of_other_views_is_not_continued(words):
    make_trainer(words, "max_epoch", 1).run()
    more = ["training_view_list", "[2, 1, 4, 5]"]
    with pytest.raises(ValueError, match="was trained on other views; restore training_view_list"):
        make_trainer(words, *more)
    assert make_trainer(words, *more, "resume", "False").epoch == 0


def test_weights_to_start_from_count_from_epoch_0(words, tmp_path):
    model = make_trainer(words, "exp_id", "first").run()
    best = tmp_path / "record/experiment/train/state/first/best.pth.tar"
    trainer = make_trainer(words, "exp_id", "second", "load_checkpoint_dir", best)
    assert (trainer.epoch, trainer.iteration) == (0, 0)
    assert_equal(dict(trainer.model.state_dict()), dict(model.state_dict()))


def test_a_missing_checkpoint_is_one_sentence(words):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint /nowhere.pth.tar"):
        make_trainer(words, "load_checkpoint_dir", "/nowhere.pth.tar")


def test_another_mode_builds_everything_and_stops(words, tmp_path):
    base.main([*words, "mode", "test"])
    assert not list((tmp_path / "record/experiment/train/state/run").glob("epoch*"))


def test_a_loss_that_is_no_number_ends_the_run_with_its_last_checkpoint_intact(words, tmp_path):
    trainer = make_trainer(words)
    with torch.no_grad():
        trainer.model.l_embeddings_list[0].weight.fill_(math.nan)
    with pytest.raises(RuntimeError, match="the loss became nan in epoch 0; lower lr_net_2d"):
        trainer.run()


def test_each_view_trains_its_own_light_and_its_own_exposure(words, tmp_path):
    np.savez(tmp_path / "data/scene/lit.npz", V001=0, V002=2, V004=0, V005=2)
    words += ["num_lit", "3"]
    prepare(words)
    trainer = make_trainer(words, "max_epoch", 1)
    before = trainer.model.l_embeddings_list[0].weight.detach().clone()
    trainer.run()
    moved = (trainer.model.l_embeddings_list[0].weight != before).any(dim=1)
    assert moved.tolist() == [True, False, True]
    assert len(trainer.model.x_embeddings_list[0].weight) == 4


@pytest.mark.parametrize("setting", [("use_exp_emb", "False"), ("use_lit_emb", "False")])
def test_models_without_a_kind_of_code_train(words, setting):
    trainer = make_trainer(words, *setting, "max_epoch", 1)
    trainer.run()
    assert trainer.iteration == 2


def test_small_views_make_the_batch_smaller_and_say_so(words, caplog):
    trainer = make_trainer(words, "training_batch_size", 10**6, "max_epoch", 1)
    assert "training_batch_size is 1000000 but view" in caplog.text
    trainer.run()


def test_training_loses_as_the_papers_does(golden, scene_settings):
    """The first epochs of the stored run, whose three seeds differ by about 0.003."""
    stored = golden("xscale_nvs/training_run")
    log2_size, batch, views, blocks, _ = stored["config"].tolist()
    epochs = 30
    words = scene_settings(
        stored,
        log2_hashmap_size=log2_size,
        training_batch_size=batch,
        random_view_batch_size=views,
        ultra_cache_batch_size=blocks,
        max_epoch=epochs,
        seed=1,
        device="cpu",
    )
    prepare(words)
    trainer, losses = make_trainer(words), []
    step = trainer._step
    trainer._step = lambda batch, writer: losses.append(step(batch, writer)) or losses[-1]
    trainer.run()
    found = np.mean(losses[-30:])
    per_seed = stored["loss_per_epoch"][:, epochs - 10 : epochs].mean(axis=1)
    assert abs(found - per_seed.mean()) < 2 * np.ptp(per_seed) + 0.004
    assert found < 0.8 * np.mean(losses[:9])
