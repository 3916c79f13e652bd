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
