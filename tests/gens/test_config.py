import pytest

from gens.config import load_config, parse_arguments, require_dataset, write_config

SHIPPED = ["gens", "gens_bmvs", "gens_finetune", "gens_bmvs_finetune", "synthetic"]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_are_read_and_written_back(name, tmp_path):
    cfg = load_config(f"confs/{name}.conf")
    (tmp_path / "again.conf").write_text(write_config(cfg))
    assert load_config(tmp_path / "again.conf") == cfg


def test_shipped_values_are_the_papers():
    """Spec 2.2 and 2.3, what differs between the files."""
    cfg = load_config("confs/gens.conf")
    assert cfg.train_dataset.num_src_view == 4
    assert cfg.val_dataset.ref_view == [23]
    assert cfg.train.loss.pseudo_depth_weight == 0.05
    cfg = load_config("confs/gens_bmvs.conf")
    assert cfg.val_dataset.scene == ["59f363a8b45be22330016cad"]
    assert cfg.val_dataset.img_hw == [576, 768]
    assert cfg.train_dataset is None
    cfg = load_config("confs/gens_finetune.conf")
    assert cfg.finetune_dataset.img_hw == [1152, 1600]
    assert cfg.finetune_dataset.factor == 1.1
    assert cfg.train.lr_confs.vol_lr == [1e-4, 1e-3, 1e-3, 1e-2, 1e-2]
    assert cfg.train.loss.pseudo_depth_weight == 0.0
    assert (cfg.train.epochs, cfg.train.save_freq, cfg.train.warmup) == (5000, 2500, 0)


def test_later_words_win():
    words = ["train.epochs", "3", "val_dataset.scene", "[scan24, scan37]", "train.loss.tv_weight", "1e-3"]
    cfg = load_config("confs/gens_finetune.conf", words, scene="scan5", ref_view=7)
    assert cfg.train.epochs == 3
    assert cfg.val_dataset.scene == ["scan24", "scan37"]
    assert cfg.train.loss.tv_weight == 1e-3
    assert cfg.finetune_dataset.scene == ["scan5"]
    assert cfg.finetune_dataset.ref_view == [7]


def test_flags_come_in_both_spellings():
    args = parse_arguments(["--mode", "val", "--local-rank", "1", "--dist-url", "file:///x", "train.epochs", "2"])
    assert (args.local_rank, args.dist_url, args.opts) == (1, "file:///x", ["train.epochs", "2"])
    assert parse_arguments(["--local_rank=1"]).local_rank == 1
    assert parse_arguments([]).mesh_resolution == 512
    later = parse_arguments(["--conf", "confs/gens.conf", "--conf", "confs/gens_bmvs.conf"])
    assert later.conf == "confs/gens_bmvs.conf"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train.epohcs", "3"], r"unknown setting 'train\.epohcs' in the command line; did you mean 'train\.epochs'\?"),
        (["train.mlp_lr", "1"], r"did you mean 'train\.lr_confs\.mlp_lr'"),
        (["train.epochs"], "has no value"),
        (["train.epochs", "3", "--mode", "val"], "flags go before the settings"),
        (["val_dataset.img_hw", "[100,128]"], r"img_hw in .*gens\.conf must be \[height, width\] in multiples of 32"),
        (["model.volume.volume_dims", "[64,32,16]"], "must be five sizes, each half"),
        (["train_dataset.num_src_view", "1"], r"train_dataset\.num_src_view in .* must be at least 2, got 1"),
    ],
)
def test_wrong_settings_are_one_sentence(words, sentence):
    with pytest.raises(ValueError, match=sentence):
        load_config("confs/gens.conf", words)


def test_values_of_another_kind_are_one_sentence():
    with pytest.raises(TypeError, match=r"'train\.epochs' in the command line must be a whole number, got 'many'"):
        load_config("confs/gens.conf", ["train.epochs", "many"])
    with pytest.raises(TypeError, match="must be a section"):
        load_config("confs/gens.conf", ["train", "3"])


def test_a_broken_file_is_one_sentence(tmp_path):
    (tmp_path / "broken.conf").write_text("general { base_exp_dir = ")
    with pytest.raises(ValueError, match=r"broken\.conf is not a HOCON file"):
        load_config(tmp_path / "broken.conf")


def test_placeholders_and_missing_blocks_are_explained():
    with pytest.raises(ValueError, match=r"still the placeholder '<your data path>'; .* 'val_dataset\.data_dir VALUE'"):
        require_dataset(load_config("confs/gens.conf"), "val_dataset")
    with pytest.raises(ValueError, match="the config has no train_dataset"):
        require_dataset(load_config("confs/gens_finetune.conf"), "train_dataset")


def test_splits_are_those_of_the_paper():
    from pathlib import Path

    import gens

    folder = Path(gens.__file__).parent / "datasets" / "dtu_split"
    lists = {path.stem: path.read_text().split() for path in folder.glob("*.txt")}
    assert {name: len(names) for name, names in lists.items()} == {"test": 15, "train": 75, "all": 90, "train_all": 104}
    assert lists["all"] == lists["train"] + lists["test"]
    assert not set(lists["train"]) & set(lists["test"])
    assert len(set(lists["train_all"])) == 104
