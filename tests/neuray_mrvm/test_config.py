import pytest
import yaml

from neuray_mrvm.config import (
    METHOD_FOLDER,
    complete_config,
    dataset_settings,
    load_config,
    rendering_settings,
    write_config,
)

SCENES = {
    "dtu": ("dtu_test/{}/black_800", ["birds", "bricks", "snowman", "tools"]),
    "llff": ("llff_colmap/{}/high", ["fern", "flower", "fortress", "horns", "leaves", "orchids", "room", "trex"]),
    "nerf_synthetic": (
        "nerf_synthetic/{}/black_800",
        ["chair", "drums", "ficus", "hotdog", "lego", "materials", "mic", "ship"],
    ),
}


@pytest.mark.parametrize("kind", ["cv", "depth"])
@pytest.mark.parametrize("folder", SCENES)
def test_every_file_of_the_paper_resolves(kind, folder):
    """Spec 2.4: identical but for name, scene and initialisation."""
    form, scenes = SCENES[folder]
    for scene in scenes:
        cfg = load_config(f"configs/ft/{kind}/{folder}/neuray_ft_{kind}_{scene}.yaml")
        assert cfg.name == f"neuray_ft_{kind}_{scene}" and cfg.network == "neuray_ft"
        initial = {"cv": "cost_volume", "depth": "depth"}[kind]
        assert cfg.gen_cfg == f"configs/gen/neuray_gen_{initial}.yaml"
        assert load_config(cfg.gen_cfg).init_net_type == initial
        database = {"database_name": form.format(scene), "database_split": "val_all"}
        assert {key: cfg[key] for key in database} == database == cfg.train_dataset_cfg
        assert cfg.val_set_list == [{"name": scene, "type": "ft", "cfg": database}]
        assert (cfg.use_self_hit_prob, cfg.use_depth_loss, cfg.total_step) == (True, False, 200000)
        assert (cfg.loss, cfg.val_interval, cfg.save_interval) == (["render", "consist"], 5000, 5000)
        assert cfg.lr_cfg == {"lr_init": 1e-4, "decay_step": 100000, "decay_rate": 0.5}


def test_the_files_across_scenes_are_the_papers():
    depth, volume = (load_config(f"configs/gen/neuray_gen_{kind}.yaml") for kind in ("depth", "cost_volume"))
    for cfg in (depth, volume):
        assert (cfg.use_hierarchical_sampling, cfg.use_depth_loss, cfg.use_nr_fine_loss) == (True, True, True)
        assert (cfg.ray_batch_num, cfg.total_step, cfg.key_metric_name) == (8192, 400000, "psnr_nr_fine")
        assert cfg.lr_cfg == {"lr_init": 4e-4, "decay_step": 100000, "decay_rate": 0.5}
        weights = dataset_settings(cfg.train_dataset_cfg).type2sample_weights
        assert weights == {"gso": 80, "dtu_train": 20, "real_iconic": 10, "space": 20, "real_estate": 40}
        assert (cfg.agg_net_cfg.sample_num, cfg.fine_agg_net_cfg.sample_num) == (64, 96)
        assert [entry.name for entry in map(dataset_like, cfg.val_set_list)] == ["llff_fern", "nerf_lego"]
    assert rendering_settings(depth) == {
        "min_wn": 8,
        "ref_pad_interval": 16,
        "use_src_imgs": False,
        "cost_volume_nn_num": 3,
        "use_depth": False,
    }
    assert (rendering_settings(volume).ref_pad_interval, rendering_settings(volume).use_src_imgs) == (32, True)


def dataset_like(entry):
    from types import SimpleNamespace

    return SimpleNamespace(**entry)


def test_the_excluded_scans_are_the_papers():
    scans = (METHOD_FOLDER / "configs" / "dtu_test_scans.txt").read_text().split()
    assert scans == [f"scan{n}" for n in (24, 40, 37, 114, 122, 110, 65, 55, 106, 83, 97, 118, 105, 63, 69)]


def test_what_is_written_is_read_again(tmp_path):
    cfg = load_config("configs/gen/neuray_gen_cost_volume.yaml")
    (tmp_path / "again.yaml").write_text(write_config(cfg))
    assert load_config(tmp_path / "again.yaml") == cfg


def test_a_file_in_the_place_of_a_template_wins(tmp_path, monkeypatch):
    place = tmp_path / "configs" / "ft" / "cv" / "dtu"
    place.mkdir(parents=True)
    (place / "neuray_ft_cv_birds.yaml").write_text(yaml.safe_dump({"name": "mine", "network": "neuray_ft"}))
    monkeypatch.chdir(tmp_path)
    assert load_config("configs/ft/cv/dtu/neuray_ft_cv_birds.yaml").name == "mine"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"total_stpe": 3}, r"unknown setting 'total_stpe' in the settings; did you mean 'total_step'\?"),
        ({"dist_decoder_cfg": {"use_viz": True}}, r"did you mean 'dist_decoder_cfg\.use_vis'\?"),
        ({"train_dataset_cfg": {"min_w": 3}}, r"did you mean 'train_dataset_cfg\.min_wn'\?"),
        ({"init_net_type": "depths"}, "init_net_type in the settings is 'depths'; there are depth, cost_volume"),
        ({"loss": ["render", "deph"]}, "loss in the settings is 'deph'"),
        ({"val_set_list": [{"name": "x", "cfg": {}}]}, "needs a name, a type"),
        (
            {"train_dataset_type": "ft", "train_dataset_cfg": {"min_wn": 3}},
            "unknown setting .train_dataset_cfg",
        ),
    ],
)
def test_wrong_settings_are_one_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        complete_config(settings)


def test_values_of_another_kind_are_one_sentence(tmp_path):
    with pytest.raises(TypeError, match="'total_step' in the settings must be a whole number, got 'many'"):
        complete_config({"total_step": "many"})
    with pytest.raises(TypeError, match="must be a section"):
        complete_config({"agg_net_cfg": 3})
    (tmp_path / "broken.yaml").write_text("name: [")
    with pytest.raises(ValueError, match=r"broken\.yaml is not a YAML file"):
        load_config(tmp_path / "broken.yaml")
    (tmp_path / "unsafe.yaml").write_text("name: !!python/object/apply:os.getcwd []")
    with pytest.raises(ValueError, match=r"unsafe\.yaml is not a YAML file"):
        load_config(tmp_path / "unsafe.yaml")
    with pytest.raises(FileNotFoundError, match=r"no file or folder nothing\.yaml"):
        load_config("nothing.yaml")
