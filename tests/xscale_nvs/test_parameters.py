import textwrap

import pytest
import torch

from xscale_nvs.parameters import load_params, parse_params, require_folders


def write(folder, body):
    path = folder / "mine.py"
    path.write_text(textwrap.dedent(body))
    return path


def test_the_shipped_values_are_the_papers():
    params = load_params()
    assert (params.hash_n_levels, params.z_length_s, params.log2_hashmap_size) == (16, 8, 22)
    assert params.hash_per_level_scale == 1.4768261459394993
    assert (params.training_batch_size, params.infer_batch_size) == (49152, 1036800)
    assert len(params.test_view_list) == 97 and len(params.training_view_list) == 578
    assert params.image_size_single.tolist() == [[[1920.0, 1080.0]]]
    assert params.imgNamePattern == "/Your/path/to/dataset/SCENE_NAME/images_4/*.JPG"


def test_derived_values_follow_an_override():
    words = ["root_file", "/r", "modelName", "castle", "ss_ratio", "2", "all_view_list", "0:10", "exp_id", "1"]
    params = load_params(overrides=words)
    assert params.attribute_cache_path == "/r/experiment/caches/castle/ss_2"
    assert params.checkpoint_dir == "/r/experiment/train/state/1"
    assert params.test_view_list == [0, 7]
    assert params.training_view_list == [1, 2, 3, 4, 5, 6, 8, 9]


def test_an_overridden_derived_value_wins_over_its_formula():
    params = load_params(overrides=["test_view_list", "[3]", "all_view_list", "0:8:2", "poseFolder", "/cams"])
    assert params.test_view_list == [3]
    assert params.training_view_list == [0, 2, 4, 6]
    assert params.poseFolder == "/cams"


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("use_exp_emb", "false", False),
        ("max_epoch", "1e3", 1000),
        ("lr_net_2d", "1", 1.0),
        ("seed", "7", 7),
        ("splitName", "3", "3"),
        ("undistort_crop_iter", "None", None),
        ("undistort_crop_rate_h", "0.1", 0.1),
        ("hold_out_list", "4", [4]),
        ("device", "cpu", torch.device("cpu")),
    ],
)
def test_an_override_takes_the_kind_of_the_value_it_replaces(key, text, value):
    found = getattr(load_params(overrides=[key, text]), key)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trainig_batch_size", "4"], "did you mean 'training_batch_size'"),
        (["seed"], "'seed' has no value"),
        (["max_epoch", "many"], "'max_epoch' must be a whole number, got 'many'"),
        (["max_epoch", "None"], "must be a whole number"),
        (["seed", "1", "--params", "x"], "flags go before the settings"),
        (["device", "tpu9"], "must be a device"),
        (["z_length_s", "3"], "must be 1, 2, 4 or 8"),
        (["training_batch_size", "0"], "must be a positive number"),
        (["test_view_list", "[1, 1]"], "must name different views"),
        (["test_view_list", "['a']"], "must be a list of view numbers"),
        (["use_sparse_embedding", "True"], "must be False"),
    ],
)
def test_wrong_overrides_are_refused_with_one_sentence(words, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        load_params(overrides=words)


def test_an_authors_file_without_our_keys_gets_them_computed_from_its_own_values(tmp_path):
    file = write(
        tmp_path,
        """
        class Params:
            def __init__(self):
                self.load_params()

            def load_params(self):
                self.datasetFolder, self.modelName = "/data", "castle"
                self.all_view_list = list(range(3))
                self.use_lit_emb = False
        """,
    )
    params = load_params(file, ["modelName", "keep", "seed", "5"])
    assert params.litsFolder == "/data/keep"
    assert params.seed == 5 and params.full_intrinsics is False
    assert params.training_view_list == [1, 2]
    assert params.use_lit_emb is False and params.z_length_l == 8


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("class Params:\n def __init__(self):\n  self.a = 1 / 0", "the class Params .* fails: ZeroDivisionError"),
        ("class Params(", "line 1"),
        ("import no_such_package", "no_such_package"),
        ("Parameters = 1", "has no class Params"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path, body, sentence):
    with pytest.raises(ValueError, match=sentence):
        load_params(write(tmp_path, body))


def test_placeholders_are_refused_before_anything_is_written():
    with pytest.raises(ValueError, match="root_file is still '/Your/path/to/record'"):
        require_folders(load_params(), "root_file")
    require_folders(load_params(overrides=["root_file", "/tmp"]), "root_file")


def test_a_command_names_its_file_before_its_settings(tmp_path):
    file = write(tmp_path, "class Params:\n def __init__(self):\n  self.exp_id = 'mine'")
    params = parse_params(["--params", str(file), "dsp_factor", "2"], "test")
    assert params.exp_id == "mine" and params.dsp_factor == 2 and params.poseFolder.endswith("cams_2")
