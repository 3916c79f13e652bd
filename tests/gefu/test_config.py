import json
import os
from pathlib import Path

import pytest

from gefu.config import DEFAULT_CONFIG, load_config, parse_arguments, select_gpus

STORED = json.loads((Path(__file__).parents[1] / "golden" / "gefu" / "configs.json").read_text())


def assert_holds(settings, wanted, prefix=""):
    for key, value in wanted.items():
        if isinstance(value, dict):
            assert_holds(settings[key], value, f"{prefix}{key}.")
        else:
            assert settings[key] == value, f"{prefix}{key}"
            assert type(settings[key]) is type(value), f"{prefix}{key}"


@pytest.mark.parametrize("path", STORED)
def test_every_shipped_config_resolves_as_stored(path):
    assert_holds(load_config(path), STORED[path])


def test_a_config_is_found_from_any_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config("configs/gefu/dtu/scan1.yaml").exp_name == "dtu_ft_scan1"


def test_a_file_of_the_working_directory_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("parent_cfg: configs/gefu/dtu_pretrain.yaml\ntrain: {lr: 5e-4, epoch: 3}\n")
    cfg = load_config("mine.yaml")
    assert (cfg.train.lr, cfg.train.epoch, cfg.train.eps) == (5e-4, 3, 1e-8)
    assert cfg.parent_cfg == "configs/gefu/dtu_pretrain.yaml"


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        ("gpus 0,1,2,3", "gpus", [0, 1, 2, 3]),
        ("gpus [-1]", "gpus", [-1]),
        ("gpus 0", "gpus", [0]),
        ("save_video True", "save_video", True),
        ("save_video true", "save_video", True),
        ("train.weight_decay 0", "train.weight_decay", 0.0),
        ("train.lr 5e-5", "train.lr", 5e-5),
        ("train.epoch 1e2", "train.epoch", 100),
        ("gefu.cas_config.volume_planes 48,8", "gefu.cas_config.volume_planes", [48, 8]),
        ("test_dataset.scene scan24", "test_dataset.scene", "scan24"),
        ("exp_name 007", "exp_name", "007"),
        ("save_tag 3", "save_tag", "3"),
        ("train.epoch 2 other_opts nonsense here and", "train.epoch", 2),
        ("train_dataset.batch_size 7", "train_dataset.batch_size", 7),
        ("gefu.chunk_size 4096", "gefu.chunk_size", 4096),
    ],
)
def test_overrides_are_read_as_what_they_stand_for(words, key, value):
    cfg = load_config(DEFAULT_CONFIG, words.split())
    for part in key.split("."):
        cfg = cfg[part]
    assert cfg == value
    assert type(cfg) is type(value)


@pytest.mark.parametrize(
    ("words", "error", "sentence"),
    [
        (
            "train.epohc 3",
            ValueError,
            r"unknown setting 'train.epohc' in the command line; did you mean 'train.epoch'\?",
        ),
        ("epoch 3", ValueError, r"unknown setting 'epoch' .* did you mean '.*epoch'"),
        ("qqqq 3", ValueError, "unknown setting 'qqqq' in the command line; see the files"),
        ("train.lr.x 3", ValueError, "unknown setting 'train.lr.x'"),
        ("train.epoch", ValueError, "'train.epoch' has no value"),
        ("train.epoch three", TypeError, "'train.epoch' in the command line must be a whole number, got 'three'"),
        ("train.epoch True", TypeError, "must be a whole number"),
        ("save_video maybe", TypeError, "must be True or False"),
        ("train 3", TypeError, "'train' in the command line must be a section"),
        ("save_video True --test x", ValueError, "flags go before the settings"),
        ("gefu.test_input_views 1", ValueError, "gefu.test_input_views is 1, but GeFu needs at least 2"),
        ("train.sampler_meta.input_views_num 1,2,3", ValueError, "input_views_num is 1, but GeFu needs at least 2"),
        ("train.sampler_meta.input_views_prob .5,.5", ValueError, "the same number of entries"),
        ("train.sampler_meta.input_views_prob .5,.5,.5", ValueError, "probabilities that sum to 1"),
        ("test_dataset.input_h_w 500,600", ValueError, "test_dataset.input_h_w must be .* multiples of 32"),
        ("gefu.train_input_views 3", ValueError, "needs two entries"),
        ("gefu.cas_config.train_img True,False", ValueError, "train_img must be True"),
        ("log_interval 0", ValueError, "log_interval must be at least 1"),
        ("train.batch_size 0", ValueError, "train.batch_size must be at least 1"),
    ],
)
def test_wrong_overrides_are_refused_with_a_sentence(words, error, sentence):
    with pytest.raises(error, match=sentence):
        load_config(DEFAULT_CONFIG, words.split())


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("train: {epohc: 3}", ValueError, "unknown setting 'train.epohc' in .*bad.yaml; did you mean 'train.epoch'"),
        ("trian: {epoch: 3}", ValueError, "unknown setting 'trian.epoch' in .*; did you mean 'train.epoch'"),
        ("train: 3", TypeError, "'train' in .* must be a section"),
        ("gpus: {a: 1}", TypeError, "'gpus' in .* is a section"),
        ("train: [", ValueError, "bad.yaml is not a YAML file"),
        ("- 1", ValueError, "found a list"),
        ("parent_cfg: bad.yaml", ValueError, "its own parent"),
        ("parent_cfg: none.yaml", FileNotFoundError, "none.yaml"),
        ("!!python/object/apply:os.system ['true']", ValueError, "not a YAML file"),
    ],
)
def test_wrong_files_are_refused_with_a_sentence(tmp_path, monkeypatch, text, error, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(error, match=sentence):
        load_config("bad.yaml")


def test_a_missing_file_names_both_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"configs/gefu/none.yaml in the working directory .* or in .*gefu"):
        load_config("configs/gefu/none.yaml")


def test_keys_of_older_projects_are_accepted(tmp_path):
    (tmp_path / "old.yaml").write_text("task_arg: {near: 1}\nlevel: 2\nrender_views: 3\nfps: 24\n")
    assert load_config(tmp_path / "old.yaml").task_arg.near == 1


def test_names_of_the_output_folders():
    words = ["exp_name_tag", "big", "result_dir", "/out", "save_tag", "first"]
    cfg = load_config(DEFAULT_CONFIG, words)
    assert cfg.trained_model_dir == "./trained_model/gefu/dtu_pretrain_big"
    assert cfg.result_dir == "/out/gefu/dtu_pretrain_big/first"


def test_git_words_in_the_name_are_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # not a repository
    assert load_config(DEFAULT_CONFIG, ["exp_name", "a_gitbranch_gitcommit"]).exp_name == "a__"


def test_only_the_listed_gpus_are_shown(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    select_gpus(load_config(DEFAULT_CONFIG, ["gpus", "[-1]"]))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
    select_gpus(load_config(DEFAULT_CONFIG, ["gpus", "1,3"]))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,3"


def test_the_command_line_takes_both_spellings_of_the_rank_and_leaves_settings_alone():
    args = parse_arguments(["--local-rank", "2", "--cfg_file", "x.yaml", "--test", "gpus", "[-1]", "train.lr", "-1"])
    assert (args.local_rank, args.cfg_file, args.test) == (2, "x.yaml", True)
    assert args.opts == ["gpus", "[-1]", "train.lr", "-1"]
    assert parse_arguments(["--local_rank=3"]).local_rank == 3
    assert parse_arguments([]).cfg_file == DEFAULT_CONFIG


def test_a_setting_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no setting 'epohc'"):
        _ = load_config(DEFAULT_CONFIG).train.epohc
