"""A network with the fixtures' weights, and the paper's three layouts written to disk."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gefu.config import load_config
from gefu.networks.network import build_network

MANIFEST = Path(__file__).parents[1] / "golden" / "gefu" / "manifest.json"


@pytest.fixture(scope="session")
def gained_network(deterministic, golden_module):
    """`gained_network(cfg)`: the network of a config with the weights of the end-to-end fixtures."""
    shapes = json.loads(MANIFEST.read_text())["gefu"]
    weights = golden_module("gefu/scene.py").apply_gains(deterministic.state_dict(shapes, "open/"))

    def build(cfg):
        network = build_network(cfg)
        network.load_state_dict({name: torch.from_numpy(np.asarray(value)) for name, value in weights.items()})
        return network.eval()

    return build


@pytest.fixture(scope="session")
def stand_in_vgg_lpips(deterministic):
    """LPIPS with the fixtures' stand-in weights."""
    from common.metrics.lpips import Lpips
    from common.models.vgg16 import Vgg16

    features = Vgg16(num_groups=5)
    shapes = json.loads(MANIFEST.read_text())["vgg16_features"]
    features.load_state_dict(
        {n: torch.from_numpy(deterministic.weight(f"open/vgg16.{n}", s)) for n, s in shapes.items()}
    )
    channels = (64, 128, 256, 512, 512)
    linear = [np.abs(deterministic.array(f"open/lpips.lin{i}", (c,), c**-0.5)) for i, c in enumerate(channels)]
    return Lpips("vgg", features, [torch.from_numpy(vector) for vector in linear])


@pytest.fixture(scope="session")
def fern_tree(tmp_path_factory, golden_module):
    """The LLFF tree of the fixtures."""
    root = tmp_path_factory.mktemp("llff")
    golden_module("gefu/scene.py")
    golden_module("gefu/trees.py").make_llff(str(root), "fern", 20, 120, 168, 0.3)
    return root


@pytest.fixture
def fern_config(fern_tree, tmp_path):
    """`fern_config(*overrides)`: the LLFF evaluation of the fixtures, its results under `tmp_path`."""

    def build(*overrides):
        words = [
            "test_dataset.data_root",
            str(fern_tree),
            "test_dataset.scene",
            "fern",
            "test_dataset.input_h_w",
            "[96,128]",
        ]
        words += ["train.num_workers", "0"]
        for name in ("result_dir", "trained_model_dir", "record_dir"):
            words += [name, str(tmp_path / name)]
        return load_config("configs/gefu/llff_eval.yaml", [*words, *overrides])

    return build


@pytest.fixture(scope="session")
def dtu_tree(tmp_path_factory, golden_module):
    """Two tiny scans in DTU's layout, 64 x 64 pixels, six views each, without depth."""
    import cv2

    root = tmp_path_factory.mktemp("dtu_tiny")
    scene, trees = golden_module("gefu/scene.py"), golden_module("gefu/trees.py")
    cameras = root / "Cameras" / "train"
    cameras.mkdir(parents=True)
    intrinsics = scene.intrinsics(64, 64, 90.0)
    quarter = intrinsics / np.array([[4.0], [4.0], [1.0]])
    poses = [trees.camera(index, 6, 650.0, 0.3, 0.5) for index in range(6)]
    for index, pose in enumerate(poses):
        rows = ["extrinsic", *(" ".join(map(repr, map(float, row))) for row in pose), "", "intrinsic"]
        rows += [*(" ".join(map(repr, map(float, row))) for row in quarter), "", "425.0 2.5", ""]
        (cameras / f"{index:08d}_cam.txt").write_text("\n".join(rows))
    for number, name in enumerate(("scan1", "scan2")):
        folder = root / "Rectified" / f"{name}_train"
        folder.mkdir(parents=True)
        for index, pose in enumerate(poses):
            image, _ = scene.render(pose, intrinsics, 64, 64, 250.0, 0.5 + number)
            cv2.imwrite(str(folder / f"rect_{index + 1:03d}_3_r5000.png"), trees.to_uint8(image)[..., ::-1])
    return root


@pytest.fixture
def training_words(dtu_tree, tmp_path):
    """Overrides that make the DTU config train on the tiny scans, with a small cost volume, below `tmp_path`."""
    return _training_overrides(dtu_tree, tmp_path)


@pytest.fixture(scope="session")
def training_overrides():
    """`training_overrides(tree, output)`: the same for any folders."""
    return _training_overrides


def _training_overrides(tree, output):
    words = {
        "train_dataset.data_root": tree,
        "train_dataset.ann_file": "",
        "train.num_workers": 0,
        "gefu.cas_config.volume_planes": "8,8",
        "gefu.perceptual_weight": 0.0,
        "skip_eval": True,
        "fix_random": True,
        "gpus": "[-1]",
        "trained_model_dir": output / "trained_model",
        "record_dir": output / "record",
        "result_dir": output / "result",
    }
    return [str(word) for pair in words.items() for word in pair]


@pytest.fixture
def training_config(training_words):
    """`training_config(*overrides)`: the DTU config on the tiny scans."""
    return lambda *overrides: load_config("configs/gefu/dtu_pretrain.yaml", [*training_words, *overrides])


@pytest.fixture(scope="session")
def load_golden_weights(deterministic, golden_module):
    """`load_golden_weights(network, gained)`: a network with the fixtures' weights, plain or gained."""
    shapes = json.loads(MANIFEST.read_text())["gefu"]

    def load(network, gained):
        arrays = deterministic.state_dict(shapes, "open/")
        if gained:
            arrays = golden_module("gefu/scene.py").apply_gains(arrays)
        network.load_state_dict({name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()})
        return network

    return load


@pytest.fixture(scope="session")
def make_batch(golden_module):
    """`make_batch(**rig)`: the fixtures' cameras and pictures as a batch of one."""

    def make(**rig):
        return {name: torch.from_numpy(array) for name, array in golden_module("gefu/scene.py").case(**rig)[0].items()}

    return make
