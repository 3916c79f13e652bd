import json
from pathlib import Path

import pytest
import yaml

from common.settings import to_config
from idnerf.option_defaults import NULLABLE, SETTINGS, Setting
from idnerf.options import load_options, merge_options, parse_arguments
from idnerf.parity import is_released
from idnerf.run_folder import prepare_run_folder

CASES = json.loads((Path(__file__).parents[1] / "golden/idnerf/config_cases.json").read_text())
# The paper's files have placeholders here; ours have the folders of its README.
FOLDERS = {"/your_data_path/DTU": "data/DTU", "/your_data_path/llff": "data/nerf_llff_data"}


def leaves(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@pytest.mark.parametrize("case", CASES["parse"], ids=lambda case: " ".join(case["args"]))
def test_command_lines_are_read_as_the_paper_reads_them(case):
    if "error" in case:
        with pytest.raises(ValueError):
            parse_arguments(case["args"])
    else:
        assert parse_arguments(case["args"]) == case["parsed"]


@pytest.mark.parametrize("command", CASES["merged"])
def test_the_files_hold_the_papers_options_and_the_readmes_folders(command):
    expected = {
        name: FOLDERS.get(value, value) if isinstance(value, str) else value
        for name, value in leaves(CASES["merged"][command])
    }
    assert dict(leaves(merge_options([command]))) == expected


@pytest.mark.parametrize("case", CASES["processed"], ids=lambda case: str(case["given"]))
def test_names_folders_and_lengths_are_derived_as_in_the_paper(case, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    words = ["--yaml=train", *(f"--{key}={json.dumps(value)}" for key, value in case["given"].items())]
    opt = load_options(words)
    for name in ("name", "output_path", "gpu_ids", "device", "max_epoch"):
        assert opt[name] == case[name]
    sections = (opt.data_train, opt.data_val, opt.data_test.dtu, opt.data_test.llff)
    assert [section.max_len for section in sections] == case["max_len"]
    prepare_run_folder(opt, ["train.py", "--yaml=train"])
    assert (tmp_path / case["output_path"] / "run.bash").read_text() == case["run_bash"] + "\n"


def test_defaults_are_those_of_the_files():
    merged = merge_options(["--yaml=train"])
    for name, value in leaves(merged):
        section, _, leaf = name.rpartition(".")
        known = SETTINGS
        for key in section.split(".") if section else []:
            known = known[key]
        if isinstance(known.get(leaf), Setting) and not section.startswith("data") and name != "yaml":
            if name in ("tb", "nerf.rand_rays_test"):
                continue  # on in training only; the whole picture at once where no file speaks of it
            assert known[leaf].default == value, name


def test_a_run_without_name_and_seed_gets_four_letters():
    name = load_options(["--yaml=train", "--seed="]).name
    assert name[-5] == "_" and name[-4:].isupper() and name[-4:].isalpha()


def test_earlier_parents_lie_over_later_ones_and_the_file_over_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    for name, content in {
        "a": "max_epoch: 1\n",
        "b": "max_epoch: 2\nguidance_scale: 7\noptim: {lr_enc: 1}\n",
        "mine": "_parent_: [configs/a.yaml, configs/b.yaml]\nlambda_guidance: 3\noptim: {lr_dec: 2}\n",
    }.items():
        (tmp_path / "configs" / f"{name}.yaml").write_text(content)
    assert merge_options(["--yaml=mine", "--optim.lr_other=4"]) == {
        "yaml": "mine", "max_epoch": 1, "guidance_scale": 7, "lambda_guidance": 3,
        "optim": {"lr_enc": 1, "lr_dec": 2, "lr_other": 4},
    }  # fmt: skip


def test_a_file_that_is_its_own_parent_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/mine.yaml").write_text("_parent_: configs/mine.yaml\n")
    with pytest.raises(ValueError, match="its own parent"):
        load_options(["--yaml=mine"])


def test_texts_and_numbers_are_what_their_option_is():
    opt = load_options(["--yaml=train", "--sd_version=2.0", "--optim.lr_enc=1e-4", "--gpu_ids=2", "--name=7"])
    assert (opt.sd_version, opt.optim.lr_enc, opt.gpu_ids, opt.name) == ("2.0", 1e-4, [2], "7")


def test_optional_options_need_no_permission_and_have_their_defaults():
    opt = load_options(["--yaml=test", "--nerf.video_n_frames=60", "--data_test.llff.eval_mode=gpnr"])
    assert (opt.nerf.video_n_frames, opt.nerf.video_rads_scale, opt.nerf.video_pts_rates) == (60, 0.1, 2.0)
    assert (opt.data_test.llff.eval_mode, opt.data_test.llff.scene_list) == ("gpnr", None)
    assert (opt.data_test.dtu.n_add_train_views, opt.data_train, opt.data_test.colmap) == (2, None, None)


def test_constructors_take_keys_of_their_own():
    opt = load_options(["--yaml=train", "--optim.algo.amsgrad", "--optim.algo.eps=1e-6", "--optim.sched="])
    assert opt.optim.algo.amsgrad is True and opt.optim.algo.eps == 1e-6 and opt.optim.sched is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], set()),
        (["--parity=released"], {"optimizer", "guidance_sum", "ray_pictures", "tokens", "window", "video_latent"}),
        (["--parity.released_window"], {"window"}),
        (
            ["--parity.base=released", "--parity.released_optimizer!"],
            {"guidance_sum", "ray_pictures", "tokens", "window", "video_latent"},
        ),
    ],
)
def test_one_word_or_single_switches_choose_the_released_behaviour(words, expected):
    opt = load_options(["--yaml=train", *words])
    switches = [name for name in opt.parity if name != "base"]
    assert {name for name in switches if is_released(opt, name)} == {f"released_{name}" for name in expected}


@pytest.mark.parametrize("name", ["train", "test", "test_colmap", "synthetic"])
def test_every_shipped_file_is_accepted(name):
    assert load_options([f"--yaml={name}"]).yaml == name


def test_a_null_data_set_is_not_used():
    data = load_options(["--yaml=test_colmap"]).data_test
    assert data.dtu is None and data.llff is None and data.colmap.dataset_name == "colmap"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "--yaml=NAME is required"),
        (["--yaml=tran"], "there are base, "),
        (["--yaml=train", "--optim.lr_encoder=1"], "on the command line; did you mean 'optim.lr_enc'"),
        (["--yaml=train", "--rand_rays_test=1"], "did you mean 'nerf.rand_rays_test'"),
        (["--yaml=train", "--data_test.bledner.root_dir=x"], "unknown option 'data_test.bledner'"),
        (["--yaml=train", "--optim=3"], "'optim' on the command line is a section"),
        (["--yaml=train", "--max_epoch=many"], "'max_epoch' must be a whole number, got 'many'"),
        (["--yaml=train", "--cpu=3"], "'cpu' must be true or false"),
        (["--yaml=train", "--max_epoch="], "'max_epoch' must be a whole number"),
        (["--yaml=train", "--name=[1"], "is not YAML"),
        (["--yaml=train", "--parity=releasd"], "parity must be ours or released, got 'releasd'"),
        (["--yaml=train", "--guidance=nnoe"], "did you mean 'none'"),
        (["--yaml=train", "--latent_inference.latent_dim=8"], "latent_inference.latent_dim is 8 and must be 4"),
        (["--yaml=train", "--decoder.net_width=64"], "decoder.net_width is 64 and must be 128"),
        (["--yaml=train", "--nerf.view_dep!"], "nerf.view_dep is False and must be True"),
        (["--yaml=train", "--batch_size=2"], "torchrun"),
        (["--yaml=train", "--n_src_views=1"], "needs at least 2"),
        (["--yaml=train", "--encoder.attn_splits_list=2,8"], "exactly one number"),
        (["--yaml=train", "--encoder.cos_n_group=2"], "two divisors of 128"),
        (["--yaml=train", "--encoder.feature_upsampler=none"], "is 'none' and must be 'network'"),
        (["--yaml=train", "--encoder.upsample_factor=3"], "power of two"),
        (["--yaml=train", "--decoder.raytrans_act=Linear"], "activation of torch.nn"),
        (["--yaml=train", "--decoder.skip=5"], "layers from 0 to 4"),
        (["--yaml=train", "--t_range=[0.9, 0.1]"], "t_range"),
        (["--yaml=train", "--data_train.img_wh=600,512"], "multiples of 32"),
        (["--yaml=test", "--data_test.llff.img_wh=1000,756"], "multiples of 16"),
        (["--yaml=train", "--data_train.lights=7"], "0 to 6"),
        (["--yaml=train", "--data_train.dataset_name=llff"], "must be dtu"),
        (["--yaml=train", "--data_test.colmap.root_dir=x"], "data_test.colmap.img_wh is not given"),
        (["--yaml=train", "--loss_weight.render="], "no loss"),
    ],
)  # fmt: skip
def test_wrong_options_get_one_sentence(words, sentence):
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=sentence) as caught:
        load_options(words)
    assert "\n" not in str(caught.value)


def test_the_options_of_a_run_are_stored_and_changes_are_told(tmp_path, caplog):
    caplog.set_level("INFO")
    opt = load_options(["--yaml=train", f"--output_root={tmp_path}", "--name=run"])
    folder = prepare_run_folder(opt, ["train.py", "--yaml=train"])
    stored = yaml.safe_load((folder / "options.yaml").read_text())
    assert to_config(stored) == opt and not caplog.records
    prepare_run_folder(to_config({**opt, "max_epoch": 3}), ["train.py", "--yaml=train", "--max_epoch=3"])
    assert "-max_epoch: 25" in caplog.text and "+max_epoch: 3" in caplog.text
    assert len((folder / "run.bash").read_text().splitlines()) == 2


def test_sections_that_may_be_null_exist():
    for name in NULLABLE:
        known = SETTINGS
        for key in name.split("."):
            known = known[key]
        assert isinstance(known, dict)
