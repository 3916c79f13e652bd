"""Every layout against the stored arrays: the spec's section 3.1 to 3.3 on the trees of `make_trees.py`."""

import json
from pathlib import Path

import numpy as np
import pytest

from neuray_mrvm.database_names import database

GOLDEN = Path(__file__).parents[2] / "golden" / "neuray_mrvm"
EXPECTED = json.loads((GOLDEN / "datasets.json").read_text())
COMPLETE = [name for name, entry in EXPECTED.items() if isinstance(entry["picked"], list)]
ONE_VIEW = [name for name, entry in EXPECTED.items() if isinstance(entry["picked"], str)]
STEPS = {"dtu_train": 12, "llff_colmap": 24, "real_estate": 40, "gso": 3}
STEPS_OF_NAME = {"real_iconic/plant0/4": 5, "real_iconic/plant0/8": 3, "example/desk/48": 3}
RESIZED = {"dtu_test", "llff_colmap", "real_estate", "example"}


def step_of(name):
    return STEPS_OF_NAME.get(name, STEPS.get(name.split("/")[0], 4))


@pytest.fixture(scope="module")
def opened(neuray_tree):
    found = {}
    return lambda name: found.setdefault(name, database(name, neuray_tree)) if name not in found else found[name]


@pytest.mark.parametrize("name", COMPLETE)
def test_ids_and_splits_are_the_papers(opened, name):
    found, expected = opened(name), EXPECTED[name]
    assert (len(found.ids), list(found.ids[:40])) == (expected["n"], expected["img_ids"])
    with_depth = found.ids_with_depth()
    assert (len(with_depth), list(with_depth[:40])) == (expected["n_with_depth"], expected["with_depth"])
    for kind in ("val", "val_all", "test", "test_all"):
        if kind in expected:
            assert [list(ids) for ids in found.splits(kind)] == [expected[kind]["train"], expected[kind]["val"]]
    if "val" not in expected:
        with pytest.raises(ValueError, match="has no test views"):
            found.splits("val")


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("name", COMPLETE)
def test_pictures_cameras_masks_and_depths_are_the_papers(opened, golden, name, position):
    found, entry, arrays = opened(name), EXPECTED[name], golden("neuray_mrvm/datasets")
    view_id, step = entry["picked"][position], step_of(name)

    def expected(field):
        return arrays.get(f"{name.replace('/', '_')}_{field}{position}")

    image = found.image(view_id)
    assert image.shape == tuple(expected("shape"))
    levels = np.abs(image[::step, ::step].astype(int) - expected("img"))
    assert levels.max() <= (name.split("/")[0] in RESIZED)
    np.testing.assert_allclose(found.K(view_id), expected("K"), atol=1e-3)
    np.testing.assert_allclose(found.pose(view_id), expected("pose"), atol=1e-4)
    np.testing.assert_allclose(found.depth_range(view_id), expected("range"), atol=1e-4)
    mask = found.mask(view_id)
    assert list(mask.shape) == entry[f"mask_shape{position}"]
    assert int(mask.sum()) == entry[f"mask_sum{position}"]
    np.testing.assert_array_equal(mask[::step, ::step], expected("mask"))
    depth = found.depth(view_id)
    if expected("depth") is None:
        assert depth is None
    else:
        assert list(depth.shape) == entry[f"depth_shape{position}"]
        np.testing.assert_allclose(depth[::step, ::step], expected("depth"), atol=1e-5)


@pytest.mark.parametrize("name", ONE_VIEW)
def test_other_sizes_and_backgrounds_are_the_papers(opened, golden, name):
    found, arrays, view_id = opened(name), golden("neuray_mrvm/datasets"), EXPECTED[name]["picked"]
    key, step = name.replace("/", "_"), 36 if name.endswith("high") else 9
    image = found.image(view_id)
    assert image.shape == tuple(arrays[f"{key}_shape"])
    assert np.abs(image[::step, ::step].astype(int) - arrays[f"{key}_img"]).max() <= 1
    np.testing.assert_allclose(found.K(view_id), arrays[f"{key}_K"], atol=1e-3)


def test_a_view_without_depth_map_has_none(opened):
    assert opened("nerf_synthetic/lego/black_800").depth("train-r_3") is None
