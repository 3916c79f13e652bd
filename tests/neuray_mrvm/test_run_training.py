"""Training on small generated scenes in the true layouts: pre-training, across scenes, on one scene."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from common.checkpoints import load_checkpoint
from common.datasets.writers.layouts import LAYOUTS
from common.synthetic import generate
from neuray_mrvm.networks.build import build_generalization
from neuray_mrvm.run_training import main
from neuray_mrvm.training_settings import parse_arguments, training_settings
from tests.nested import assert_equal

ROOT = Path(__file__).parents[2]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
SCENE = "dtu_test/val1/black_32"
SMALL = {
    "use_hierarchical_sampling": True,
    "depth_sample_num": 8,
    "fine_depth_sample_num": 4,
    "ray_mask_point_num": 2,
    "val_metric": ["psnr_ssim", "vis_img"],
    "key_metric_name": "psnr_nr_fine",
    "use_nr_fine_loss": True,
    "train_log_step": 2,
    "val_interval": 100,
    "save_interval": 2,
    "extra_save_interval": 2,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A training scene of each of two kinds, and a test scene of eight views, one of which is rendered."""
    folder = tmp_path_factory.mktemp("data")
    for place, layout, name, seed, size in (
        (folder, "dtu_neuray_train", "scan1", 1, (32, 24)),
        (folder / "google_scanned_objects", "google_scanned_objects", "thing", 2, (32, 32)),
        (folder, "dtu_neuray_test", "val1", 3, (32, 24)),
    ):
        LAYOUTS[layout].write(place, generate(seed, LAYOUTS[layout].rig, size, num_views=8, name=name))
    return folder


@pytest.fixture(scope="module")
def general(tmp_path_factory):
    """`general(kind)` is a config for any scene."""
    folder = tmp_path_factory.mktemp("configs")

    def write(kind: str, **more) -> str:
        dataset = {"train_database_types": ["dtu_train", "gso"], "type2sample_weights": {"dtu_train": 1, "gso": 1}}
        dataset |= {"min_wn": 3, "max_wn": 5, "train_ray_num": 12, "use_src_imgs": kind == "cost_volume"}
        values = SMALL | {"name": f"small_{kind}", "network": "neuray_gen", "init_net_type": kind, "worker_num": 3}
        values |= {"use_depth_loss": True, "loss": ["render", "depth", "feat"], "train_dataset_cfg": dataset}
        chosen = {"min_wn": 3, "use_src_imgs": kind == "cost_volume", "val_database_name": SCENE}
        values["val_set_list"] = [{"name": "val1", "type": "gen", "cfg": chosen}]
        path = folder / f"{kind}.yaml"
        path.write_text(yaml.safe_dump(values | more), encoding="utf8")
        return str(path)

    return write


@pytest.fixture(scope="module")
def scene(general, tmp_path_factory):
    """`scene(kind)` is a config for the test scene."""
    folder = tmp_path_factory.mktemp("scene_configs")

    def write(kind: str) -> str:
        values = SMALL | {"name": f"scene_{kind}", "network": "neuray_ft", "gen_cfg": general(kind)}
        values |= {"database_name": SCENE, "train_ray_num": 12, "neighbor_view_num": 3, "init_view_num": 3}
        values |= {"use_self_hit_prob": True, "loss": ["render", "consist"], "train_dataset_type": "ft"}
        dataset = {"database_name": SCENE, "database_split": "val_all"}
        values |= {"train_dataset_cfg": dataset, "val_set_list": [{"name": "val1", "type": "ft", "cfg": dataset}]}
        path = folder / f"{kind}.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf8")
        return str(path)

    return write


def flags(data, output, cfg, *more) -> list[str]:
    return ["--base_data_dir", str(data), "--save_dir", str(output), "--cfg", cfg, "--no_cuda", *map(str, more)]


PRETRAINING = ("--pre_stageone", "--mask_ratio", 0.5, "--stage_two_begin", 1, "--stage_two_warmup", 2)


@pytest.fixture(scope="module")
def pretrained(data, general, tmp_path_factory, one_thread):
    """The output folder of a run of steps 0 to 3 with three data workers."""
    output = tmp_path_factory.mktemp("pretrained")
    main(flags(data, output, general("depth"), *PRETRAINING, "--total_step", 3))
    return output


def test_a_run_leaves_what_the_specification_says(pretrained, manifest):
    folder = pretrained / "model" / "small_depth_pre"
    names = {path.name for path in folder.iterdir()}
    assert names >= {"model.pth", "model.previous.pth", "model_best.pth", "model_0.pth", "model_2.pth"}
    content = load_checkpoint(folder / "model.pth")
    assert {n: list(v.shape) for n, v in content["network_state_dict"].items()} == manifest["gen_depth"]
    assert content["step"] == 3
    logs = pretrained / "logs" / "small_depth_pre"
    lines = (logs / "train.txt").read_text(encoding="utf8").splitlines()
    assert len(lines) == 2  # steps 0 and 2
    words = lines[1].split()
    assert words[0] == "train" and "feats_not_weighted" in words and float(words[words.index("lr") + 1]) == 1e-4
    assert (logs / "val.txt").read_text(encoding="utf8").startswith("val val1-loss_rgb_nr ")
    assert list(logs.glob("events.out.tfevents.*"))
    shown = sorted(path.name for path in (pretrained / "vis_val" / "small_depth_pre-val1").iterdir())
    assert shown == ["step-0-index-0.png", "step-3-index-0.png"]


def test_the_target_projector_follows_from_its_first_step_on(pretrained):
    folder = pretrained / "model" / "small_depth_pre"
    before, after = (load_checkpoint(folder / name)["network_state_dict"] for name in ("model_0.pth", "model.pth"))
    assert not torch.equal(before["target_projector.0.weight"], after["target_projector.0.weight"])
    assert not torch.equal(before["fine_agg_net.agg_impl.mask_token"], after["fine_agg_net.agg_impl.mask_token"])


@pytest.mark.slow
def test_a_killed_run_ends_like_one_that_was_left_alone(pretrained, data, general, tmp_path):
    words = flags(data, tmp_path, general("depth"), *PRETRAINING, "--resume", "--total_step", 3)
    latest = tmp_path / "model" / "small_depth_pre" / "model.pth"
    command = [sys.executable, "-m", "neuray_mrvm.run_training", *words]
    process = subprocess.Popen(command, cwd=ROOT, env=ONE_THREAD, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 240
        while not latest.is_file() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert load_checkpoint(latest)["step"] < 3, "killed too late to show anything"
    main(words)
    expected = load_checkpoint(pretrained / "model" / "small_depth_pre" / "model.pth")
    assert_equal(expected, load_checkpoint(latest))


def test_without_resume_an_earlier_run_is_moved_aside(data, general, tmp_path, one_thread):
    words = flags(data, tmp_path, general("depth", worker_num=0), "--total_step", 1)
    main(words)
    main(words)
    assert len(list((tmp_path / "model").glob("small_depth_ft.before-*"))) == 1


@pytest.mark.parametrize("kind", ["depth", "cost_volume"])
def test_across_scenes_then_on_one_scene_continued(kind, pretrained, data, general, scene, tmp_path, one_thread):
    start = pretrained / "model" / "small_depth_pre" / "model.pth"
    if kind == "cost_volume":
        start = tmp_path / "random.pth"
        state = build_generalization({**SMALL, "init_net_type": kind}).state_dict()
        torch.save({"step": 0, "best_para": 0, "network_state_dict": state}, start)
    across = flags(data, tmp_path, general(kind), "--ft_load_path", start, "--resume", "--total_step")
    main([*across, "1"])
    trained = tmp_path / "model" / f"small_{kind}_ft" / "model.pth"
    state = load_checkpoint(trained)["network_state_dict"]
    head = "projector.0.weight"
    assert torch.equal(state[head], load_checkpoint(start)["network_state_dict"][head])  # no masks: the heads rest

    words = ["--ft_load_path", str(trained), "--resume", "--total_step"]
    main([*flags(data, tmp_path / "whole", scene(kind)), *words, "2"])
    main([*flags(data, tmp_path / "parts", scene(kind)), *words, "1"])
    main([*flags(data, tmp_path / "parts", scene(kind)), *words, "2"])
    name = f"scene_{kind}_ft"
    whole, parts = (load_checkpoint(tmp_path / run / "model" / name / "model.pth") for run in ("whole", "parts"))
    whole.pop("best_para"), parts.pop("best_para")  # the first part was validated once more
    assert_equal(whole, parts)
    moved = whole["network_state_dict"]
    assert {len(moved[f"ray_feats.{index}"]) for index in range(7)} == {1}
    assert not any(name.startswith("init_net") for name in moved)


def test_fine_tuning_on_a_scene_needs_weights(data, scene, tmp_path):
    with pytest.raises(ValueError, match=r"fine-tuning on dtu_test/val1/black_32 .* --ft_load_path"):
        main(flags(data, tmp_path, scene("depth")))


def test_a_missing_kind_of_data_is_one_sentence(data, general, tmp_path):
    words = {"train_dataset_cfg": {"train_database_types": ["space"], "type2sample_weights": {"space": 1}}}
    with pytest.raises(FileNotFoundError, match="no scene of type space in"):
        main(flags(data, tmp_path, general("depth", **words)))


def test_the_flags_write_what_the_specification_says(caplog):
    base = {"network": "neuray_gen", "name": "a", "stage_two_begin": 1, "total_step": 9, "seed": 0}
    words = ["--pre_stageone", "--ft_load_path", "x.pth", "--stage_two_begin", "20000", "--lambda_feat", "0.2"]
    pre = training_settings(base, parse_arguments(words))
    assert (pre.stage, pre.ft_load_path, pre.mask_ratio, pre.lambda_feat) == ("pretrain", None, 0.5, 0.2)
    assert "--ft_load_path x.pth is not read" in caplog.text
    assert (pre.name, pre.stage_two_begin, pre.stage_two_warmup, pre.ray_batch_num) == ("a_pre", 20000, 3, 4096)
    ft = training_settings(base, parse_arguments(words[1:]))
    assert (ft.stage, ft.ft_load_path, ft.mask_ratio, ft.lambda_feat) == ("ft", "x.pth", 0.0, 0.0)
    assert (ft.name, ft.total_step) == ("a_ft", 9)
    scene = training_settings(base | {"network": "neuray_ft"}, parse_arguments([*words, "--total_step", "5"]))
    assert (scene.stage, scene.name, scene.total_step) == ("ft", "a_ft", 5)


def test_several_gpus_are_refused(data, general, tmp_path):
    with pytest.raises(NotImplementedError, match="multi_gpus: true is not supported"):
        main(flags(data, tmp_path, general("depth", multi_gpus=True)))
