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
