import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from idnerf.data.loaders import build_dataset
from idnerf.options import load_options

GOLDEN = Path(__file__).parents[2] / "golden/idnerf"
LLFF = json.loads((GOLDEN / "llff_dataset.json").read_text())
COLMAP = json.loads((GOLDEN / "colmap_dataset.json").read_text())


def write_scene(folder, rows, inputs):
    (folder / "images").mkdir(parents=True)
    np.save(folder / "poses_bounds.npy", rows)
    for k in range(len(rows)):
        Image.fromarray(inputs.picture(k % 7, 40, 60, 0)).save(folder / f"images/image{k:03d}.png")


@pytest.fixture(scope="module")
def inputs(golden_module):
    return golden_module("idnerf/inputs.py")


@pytest.fixture(scope="module")
def llff(golden, inputs, tmp_path_factory):
    stored = golden("idnerf/llff_dataset")
    root = tmp_path_factory.mktemp("nerf_llff_data")
    write_scene(root / "fern", stored["in_poses_bounds_f64"], inputs)
    return root, stored


@pytest.fixture(scope="module")
def colmap(golden, inputs, tmp_path_factory):
    stored = golden("idnerf/colmap_dataset")
    root = tmp_path_factory.mktemp("colmap")
    for name in ("small", "table"):
        write_scene(root / name, stored[f"in_poses_bounds_{name}_f64"], inputs)
    return root, stored


def dataset(name, root, stored, *words, sources=3):
    width, height = stored["in_size"].tolist()
    section = f"--data_test.{name}"
    opt = load_options(
        ["--yaml=test", f"--n_src_views={sources}", f"{section}.root_dir={root}", f"{section}.img_wh={width},{height}"]
        + [f"{section}.{word}" for word in words]
    )
    return build_dataset(opt, f"data_test.{name}", "test")


def metas(found):
    return [[item.scene, item.view, list(item.candidates), list(item.listed)] for item in found.items]


LLFF_CASES = {"nearest": [], "fixed": ["test_views_method=fixed"], "gpnr": ["eval_mode=gpnr"]}


@pytest.mark.parametrize("case", LLFF_CASES)
def test_llff_items_are_the_papers(case, llff):
    root, stored = llff
    found = dataset("llff", root, stored, *LLFF_CASES[case])
    assert metas(found) == LLFF[f"{case}_metas"]
    item = found[1]
    assert sorted(item) == sorted(LLFF["keys"])
    assert item["view_ids"].tolist() == LLFF[f"{case}_sample_view_ids"]
    for name in ("extrinsics", "intrinsics", "near_fars", "c2ws_all"):
        np.testing.assert_allclose(item[name], stored[f"out_{case}_{name}"], atol=1e-5)
        assert item[name].dtype == np.float32
    if case == "nearest":
        np.testing.assert_allclose(item["images"][:2], stored["out_nearest_images"], atol=1e-5)


COLMAP_CASES = {"avg": ([], 3), "minmax": (["nf_mode=minmax"], 2), "fixed": (["test_views_method=fixed"], 3)}


@pytest.mark.parametrize("case", COLMAP_CASES)
def test_colmap_items_are_the_papers(case, colmap):
    root, stored = colmap
    words, sources = COLMAP_CASES[case]
    found = dataset("colmap", root, stored, "scene_list=table", *words, sources=sources)
    item = found[0]
    assert item["view_ids"].tolist() == COLMAP[f"{case}_sample_view_ids"]
    assert [meta[:3] for meta in metas(found)] == [meta[:3] for meta in COLMAP[f"{case}_metas"]]
    for name in ("extrinsics", "intrinsics", "near_fars", "c2ws_all"):
        np.testing.assert_allclose(item[name], stored[f"out_{case}_{name}"], atol=1e-5)


@pytest.mark.parametrize("scene", ["small", "table"])
def test_colmap_pairs_are_the_papers(scene, colmap):
    root, stored = colmap
    found = dataset("colmap", root, stored, f"scene_list={scene}")
    assert [item.view for item in found.items] == COLMAP["pairs"][f"{scene}_val"]
    assert list(found.items[0].listed) == COLMAP["pairs"][f"{scene}_train"]


def test_all_scenes_are_taken_in_order_unless_some_are_named(colmap):
    root, stored = colmap
    assert list(dataset("colmap", root, stored).scenes) == ["small", "table"]
    assert list(dataset("colmap", root, stored, "scene_list=table,small").scenes) == ["table", "small"]
    assert len(dataset("colmap", root, stored, "max_len=2")) == 2


def test_what_is_missing_gets_a_sentence(colmap, llff, tmp_path):
    root, stored = colmap
    with pytest.raises(FileNotFoundError, match=r"no scene folder .*chair; check scene_list"):
        dataset("colmap", root, stored, "scene_list=chair")
    with pytest.raises(FileNotFoundError, match=r"expected folders with poses_bounds\.npy"):
        dataset("colmap", tmp_path, stored)
    with pytest.raises(ValueError, match="the paper has no views for a scene 'small'"):
        dataset("llff", root, stored)
    with pytest.raises(ValueError, match="has 3 views to choose sources from, 4 are needed"):
        dataset("colmap", root, stored, "scene_list=small", sources=4)
    shutil.copytree(llff[0], tmp_path / "llff")
    (tmp_path / "llff/fern/images/image003.png").unlink()
    with pytest.raises(ValueError, match=r"20 rows but .* 19 pictures"):
        dataset("llff", tmp_path / "llff", stored)
    shutil.copytree(root / "small", tmp_path / "cut/fern")
    with pytest.raises(ValueError, match="scene fern has 3 pictures, but its list of views speaks of view 19"):
        dataset("llff", tmp_path / "cut", stored)


def test_smaller_copies_stand_in_for_the_pictures(llff, tmp_path):
    root, stored = llff
    shutil.copytree(root, tmp_path / "llff")
    (tmp_path / "llff/fern/images").rename(tmp_path / "llff/fern/images_4")
    (tmp_path / "llff/fern/images_8").mkdir()
    copy, whole = dataset("llff", tmp_path / "llff", stored)[0], dataset("llff", root, stored)[0]
    assert np.array_equal(copy["images"], whole["images"])
    assert np.array_equal(copy["intrinsics"], whole["intrinsics"])
    shutil.rmtree(tmp_path / "llff/fern/images_4")
    with pytest.raises(FileNotFoundError, match=r"no picture in .*images"):
        dataset("llff", tmp_path / "llff", stored)


def test_a_real_scene_is_read(real_data):
    words = [
        "--yaml=test",
        f"--data_test.llff.root_dir={real_data / 'nerf_llff_data'}",
        "--data_test.llff.img_wh=96,64",
    ]
    found = build_dataset(load_options([*words, "--data_test.llff.scene_list=fern"]), "data_test.llff", "test")
    item = found[0]
    assert [target.view for target in found.items] == [12, 13, 5, 19]
    near, far = item["near_fars"][0]
    assert 1 < near < 2 and far > 4  # the nearest bound of the scene is 1 / 0.75
    assert 0.1 < item["images"].mean() < 0.9
    assert np.abs(item["c2ws_all"][:, :3, 3].mean(axis=0)).max() < 0.5  # the average camera is the origin
