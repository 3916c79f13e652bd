"""`main.py` on the synthetic trees: validation against the reference, and every mode."""

import ast
import json

import cv2
import numpy as np
import pytest
from scipy.spatial import cKDTree

from common.io.meshes import read_mesh
from gens.main import main

SMALL = ["model.volume.volume_dims", "[64,32,16,8,4]", "train.num_workers", "0"]


def words_of(block, values):
    return [str(word) for key, value in values.items() for word in (f"{block}.{key}", value)]


@pytest.mark.slow
@pytest.mark.parametrize(("case", "conf"), [("dtu", "gens"), ("bmvs", "gens_bmvs")])
def test_validation_is_the_reference(case, conf, trees, golden, sphere_checkpoint, tmp_path):
    expected = {k.removeprefix(f"{case}_"): v for k, v in golden("gens/cli_val").items() if k.startswith(f"{case}_")}
    overrides = ast.literal_eval(str(expected["overrides"])) | {"data_dir": trees / case}
    words = [*SMALL, "model.implicit_surface.render.perturb", "0", "general.base_exp_dir", str(tmp_path)]
    words += words_of("val_dataset", overrides)
    flags = ["--conf", f"confs/{conf}.conf", "--mode", "val", "--resume", str(sphere_checkpoint), "--no_cuda"]
    main([*flags, "--mesh_resolution", "48", *words])

    means = json.loads((tmp_path / "val_epoch0.json").read_text())["mean"]
    for name, value in means.items():
        assert value == pytest.approx(float(expected[name]), rel=1e-3), name
    assert len(means) == 4
    for folder in ("val_img", "val_normal", "val_render_depth", "val_sdf_depth"):
        (path,) = (tmp_path / folder).iterdir()
        picture = cv2.imread(str(path))[..., ::-1].astype(int)
        near = np.abs(picture - expected[folder].astype(int)) <= 2
        assert near.mean() >= 0.97, folder
    (path,) = (tmp_path / "meshes").iterdir()
    vertices, faces = read_mesh(path)
    scale = np.ptp(expected["mesh_vertices"], axis=0).max()
    distance = cKDTree(vertices).query(expected["mesh_vertices"])[0]
    assert distance.max() < 1e-3 * scale
    assert abs(len(vertices) - expected["mesh_counts"][0]) <= 0.01 * expected["mesh_counts"][0]
    assert abs(len(faces) - expected["mesh_counts"][1]) <= 0.01 * expected["mesh_counts"][1]


def test_two_processes_validate_each_their_part(tmp_path):
    from common.item_order import ValidationOrder

    parts = [[key.index for key in ValidationOrder(5, process, 2)] for process in range(2)]
    assert parts == [[0, 2, 4], [1, 3]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--mode", "val"], "name their checkpoint with --resume"),
        (["--mode", "finetune"], "name their checkpoint with --resume"),
        (["--mode", "finetune", "--resume", "x"], "needs a finetune_dataset with scene and ref_view"),
        (["--mode", "val", "--resume", "x"], "still the placeholder '<your data path>'"),
        (["--mode", "train", "--load_vol"], "training across scenes takes a generic one"),
        (["--mode", "train", "train_dataset.dataset_name", "DTU"], "still the placeholder"),
        (["--mode", "train", "train_dataset.data_dir", "/nowhere"], "no folder /nowhere; data_dir names"),
        (["--mode", "val", "--resume", "x", "general.base_exp_dir", "<out>"], "base_exp_dir is still the placeholder"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        main([*words[:4], "--no_cuda", *words[4:]] if words[0] == "--mode" and len(words) > 4 else [*words])
