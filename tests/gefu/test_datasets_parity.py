"""Loaders on the fixtures' trees against the stored answers of the paper's loaders."""

import cv2
import numpy as np
import pytest

from gefu.config import load_config
from gefu.data.datasets import build_dataset
from gefu.data.scenes import find_layout, read_scenes, splits

CONFIGS = {
    "llff": "configs/gefu/llff_eval.yaml",
    "nerf": "configs/gefu/nerf_eval.yaml",
    "dtu": "configs/gefu/dtu_pretrain.yaml",
}
SCENES = {"llff": "fern", "nerf": "lego", "dtu": "scan1"}
SIZES = {"llff": "[96,128]", "nerf": "[64,64]", "dtu": "[]"}


@pytest.fixture(scope="module")
def trees(tmp_path_factory, golden, golden_module):
    """The fixtures' trees; pictures that no stored item shows are blank, which saves most of the rendering."""
    root = tmp_path_factory.mktemp("trees")
    golden_module("gefu/scene.py")
    writer = golden_module("gefu/trees.py")
    stored, pairs = golden("gefu/datasets"), splits()["pairs"]

    def shown(kind, numbers):
        targets, sources = stored[f"{kind}/test/targets"], stored[f"{kind}/test/sources"]
        return {int(index) for number in numbers for index in (targets[number], *sources[number])}

    writer.make_llff(str(root / "llff"), "fern", 20, 120, 168, 0.3)
    writer.make_nerf(str(root / "nerf"), "lego", shown("nerf", (0, 3)), 0.6)
    writer.make_dtu(str(root / "dtu"), "scan1", shown("dtu", (1,)), [24], 0.5)
    for index in pairs["lego_train"] + pairs["lego_val"]:
        fill(root / "nerf" / "lego" / "train" / f"r_{index}.png", (800, 800, 4))
    for index in pairs["dtu_train"] + pairs["dtu_val"]:
        fill(root / "dtu" / "Rectified" / "scan1_train" / f"rect_{index + 1:03d}_3_r5000.png", (512, 640, 3))
    return root


def fill(path, shape):
    if not path.exists():
        cv2.imwrite(str(path), np.zeros(shape, np.uint8))


def dataset(trees, kind, training=False):
    section = "train_dataset" if training else "test_dataset"
    words = {"data_root": trees / kind, "scene": SCENES[kind], "input_h_w": SIZES[kind]}
    overrides = [str(word) for key, value in words.items() for word in (f"{section}.{key}", value)]
    cfg = load_config(CONFIGS[kind], overrides)
    layout = find_layout(cfg.test_dataset_module)
    return build_dataset(layout, read_scenes(layout, cfg[section]), cfg, training)


@pytest.mark.parametrize("kind", ["llff", "nerf", "dtu"])
@pytest.mark.parametrize("split", ["test", "train"])
def test_targets_and_candidate_sources_are_the_papers(trees, golden, kind, split):
    items = dataset(trees, kind, training=split == "train").items
    stored = golden("gefu/datasets")
    assert [target for _, target, _ in items] == stored[f"{kind}/{split}/targets"].tolist()
    assert [list(sources) for _, _, sources in items] == stored[f"{kind}/{split}/sources"].tolist()


@pytest.mark.parametrize(("kind", "index"), [("llff", 0), ("llff", 3), ("nerf", 0), ("nerf", 3), ("dtu", 1)])
def test_items_are_the_papers(trees, golden, kind, index):
    prefix = f"{kind}/item{index}/"
    stored = {
        name.removeprefix(prefix): value for name, value in golden("gefu/datasets").items() if name.startswith(prefix)
    }
    item = dataset(trees, kind)[index, 3]
    coarse, fine = (499, 4999) if kind == "dtu" else (17, 101)
    seen = {name: item[name] for name in ("src_exts", "src_ixts", "tar_ext", "tar_ixt", "near_far")}
    seen["src_inps"] = item["src_inps"][:, :, ::32, ::40] if kind == "dtu" else item["src_inps"][:, :, ::5, ::7]
    for level, stride in ((0, coarse), (1, fine)):
        seen |= {f"{name}_{level}": item[f"{name}_{level}"][::stride] for name in ("rays", "rgb", "msk")}
        seen[f"msk_{level}_sum"] = item[f"msk_{level}"].sum()
    if kind == "dtu":
        seen["tar_dpt"] = item["tar_dpt"][::32, ::40]
        for level in (0, 1):
            seen[f"tar_dpt_{level}"] = item[f"tar_dpt_{level}"][::16, ::16]
            seen[f"tar_dpt_{level}_shape"] = np.array(item[f"tar_dpt_{level}"].shape)
    assert set(stored) == set(seen)
    for name, value in stored.items():
        # Images may differ by a rounding of the resize; the rest is relative to its largest value, rays per column.
        scale = np.abs(value).max(axis=0 if name.startswith("rays") else None)
        tolerance = 1 / 255 if name.startswith(("src_inps", "rgb")) else 1e-5 * scale
        assert np.all(np.abs(seen[name] - value) <= tolerance + 1e-7), name
        if name in item:
            assert item[name].dtype == (np.uint8 if name.startswith("msk") else np.float32), name
