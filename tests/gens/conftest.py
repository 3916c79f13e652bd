"""Weights and inputs of the reference outputs of GenS."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

PREFIX = "open/"


@pytest.fixture(scope="session")
def manifest():
    """Name to shape of the released checkpoint, generic and fine-tuned."""
    return json.loads((Path(__file__).parents[1] / "golden" / "gens" / "manifest.json").read_text(encoding="utf8"))


@pytest.fixture(scope="session")
def recipes(golden_module, deterministic):
    """The generator of the reference's weights and inputs."""
    return golden_module("gens/inputs.py")


@pytest.fixture(scope="session")
def weights(manifest, recipes):
    """`weights("reg_network.", sphere=False)` are the reference's entries under a prefix, which is removed."""

    def read(root: str = "", sphere: bool = False) -> dict[str, torch.Tensor]:
        everything = recipes.weights(manifest["gens"], PREFIX, sphere)
        return {
            name.removeprefix(root): torch.as_tensor(np.asarray(value))
            for name, value in everything.items()
            if name.startswith(root)
        }

    return read


@pytest.fixture(scope="session")
def reference(golden):
    """`reference("scene")` are the arrays of that file as tensors; 8-bit masks become float32."""

    def read(name: str) -> dict[str, torch.Tensor]:
        arrays = {key: torch.as_tensor(np.array(value)) for key, value in golden(f"gens/{name}").items()}
        return {key: value.float() if value.dtype == torch.uint8 else value for key, value in arrays.items()}

    return read


@pytest.fixture(scope="session")
def tensors():
    """The tensors of a list of arrays."""
    return lambda arrays: [torch.from_numpy(array) for array in arrays]


@pytest.fixture(scope="session")
def trees(tmp_path_factory, golden_module):
    """The reference's synthetic trees: `dtu` and `bmvs` below this folder."""
    folder = tmp_path_factory.mktemp("gens_trees")
    golden_module("gens/make_trees.py").main(str(folder), 0)
    return folder


@pytest.fixture(scope="session")
def settings():
    """`settings("DTUDataset", folder, key=value, ...)`: a dataset block at the size of the reference's."""
    from gens.config import load_config

    def build(name, folder, **values):
        values = {"dataset_name": name, "data_dir": folder, "img_hw": "[96,128]", "val_res_level": 4} | values
        words = [str(word) for key, value in values.items() for word in (f"val_dataset.{key}", value)]
        cfg = load_config("confs/gens_bmvs.conf", [*words, "train.epochs", "1"])
        for key in {"scene", "ref_view", "split"} - set(values):
            cfg.val_dataset[key] = None
        return cfg.val_dataset

    return build


@pytest.fixture(scope="session")
def tiny_dtu(tmp_path_factory, golden_module):
    """One scan in DTU's layout: four views of 160 x 120 pixels around a disc, with depth, masks and pseudo depth."""
    from common.io.images import write_image
    from common.io.masks import write_mask
    from common.io.pair_file import write_pair_file

    made = golden_module("gens/make_trees.py")
    root = tmp_path_factory.mktemp("tiny_dtu")
    poses = [made.pose(0, number, 640.0, (10.0, -5.0, 620.0)) for number in (16, 17, 23, 24)]
    intrinsics = np.array([[289.2, 0, 82.3], [0, 288.3, 61.9], [0, 0, 1]])
    folders = [root / name for name in ("Cameras", "Depths_raw/scan1", "pseudo_depths/scan1")]
    for folder in folders:
        folder.mkdir(parents=True)
    pairs = {view: [(other, 1.0) for other in range(4) if other != view] for view in range(4)}
    write_pair_file(folders[0] / "pair.txt", pairs)
    for view, pose in enumerate(poses):
        (folders[0] / f"{view:08d}_cam.txt").write_text(made.cam_text(pose, intrinsics, "425.0 2.5"))
        picture = made.blocks(120, 160, view, 0)
        write_image(root / "Rectified_raw" / "scan1" / f"rect_{view + 1:03d}_3_r5000.png", picture)
        depth = made.depth(120, 160, view, 640.0, 30.0)
        made.write_pfm(str(folders[1] / f"depth_map_{view:04d}.pfm"), depth)
        write_mask(folders[1] / f"depth_visual_{view:04d}.png", depth > 0)
        np.save(folders[2] / f"{view}_epoch0.npy", made.depth(60, 80, view, 2.4, 0.1))
    return root


@pytest.fixture(scope="session")
def sphere_checkpoint(weights, tmp_path_factory):
    """A generic checkpoint whose surface is a bumpy sphere."""
    path = tmp_path_factory.mktemp("checkpoint") / "model_049.ckpt"
    torch.save({"epoch": 49, "model": weights(sphere=True), "optimizer": {}, "lr_scheduler": {}}, path)
    return path


@pytest.fixture(scope="session")
def tiny_words():
    """`tiny_words(data, output)`: overrides for training on `tiny_dtu`, about a second a step."""

    def words(data, output):
        values = {"general.base_exp_dir": output, "model.volume.volume_dims": "[64,32,16,8,4]"}
        values |= {"train.num_workers": 0, "train.epochs": 2, "train.log_freq": 0.5}
        render = {"n_samples": 8, "n_importance": 8, "up_sample_steps": 2}
        values |= {f"model.implicit_surface.render.{key}": value for key, value in render.items()}
        for block in ("train", "val"):
            dataset = {"data_dir": data, "scene": "scan1", "img_hw": "[64,64]", "num_src_view": 2, "n_rays": 16}
            dataset |= {"ref_view": "[0,1]"} if block == "train" else {"ref_view": "[0]", "val_res_level": 8}
            values |= {f"{block}_dataset.{key}": value for key, value in dataset.items()}
        return [str(word) for pair in values.items() for word in pair]

    return words


@pytest.fixture(scope="session")
def tiny_finetuning():
    """`tiny_finetuning(data, output)`: the same for fine-tuning, three steps."""

    def words(data, output):
        values = {"general.base_exp_dir": output, "model.volume.volume_dims": "[64,32,16,8,4]"}
        values |= {"train.epochs": 3, "train.log_freq": 1, "train.save_freq": 2, "train.val_freq": 100}
        render = {"n_samples": 8, "n_importance": 8, "up_sample_steps": 2}
        values |= {f"model.implicit_surface.render.{key}": value for key, value in render.items()}
        dataset = {"data_dir": data, "scene": "scan1", "ref_view": 0, "img_hw": "[64,64]", "n_rays": 16}
        values |= {f"finetune_dataset.{key}": value for key, value in (dataset | {"val_res_level": 8}).items()}
        return [str(word) for pair in values.items() for word in pair]

    return words
