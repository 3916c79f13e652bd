import numpy as np
import pytest
import torch
from torch.testing import assert_close
from torch.utils.data import DataLoader

from neuray_mrvm.config import dataset_settings
from neuray_mrvm.database_names import database
from neuray_mrvm.training_data import TrainingData, ValidationData
from neuray_mrvm.training_views import choose_views, usable_ids

TYPES = ["gso", "real_iconic", "space", "real_estate", "dtu_train"]
SMALL = {"train_ray_num": 40, "min_wn": 4, "max_wn": 5, "aug_forward_crop_size": [32, 48]}


@pytest.fixture(scope="module")
def data(neuray_tree):
    def build(**given):
        return TrainingData(dataset_settings({"train_database_types": TYPES, **SMALL, **given}), neuray_tree)

    return build


def only(kind, **given):
    return {"train_database_types": [kind], "type2sample_weights": {kind: 1}, **given}


def as_numbers(item):
    parts = (item.references, item.query, item.sources)
    return [v for part in parts if part for v in vars(part).values() if isinstance(v, torch.Tensor)]


def keep(item):
    return item


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than this machine has cores
def test_an_item_is_a_function_of_seed_and_step_whoever_makes_it(data):
    keys = [(7, step) for step in range(4)]
    alone = [data()[key] for key in keys]
    for workers in (0, 3):
        loader = DataLoader(data(), batch_size=None, sampler=keys, num_workers=workers, collate_fn=keep)
        for item, expected in zip(loader, alone, strict=True):
            assert (item.scene_name, item.step) == (expected.scene_name, expected.step)
            assert all(torch.equal(a, b) for a, b in zip(as_numbers(item), as_numbers(expected), strict=True))
    assert not torch.equal(data()[8, 0].query.coords, alone[0].query.coords)


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_gives_complete_items(data, kind):
    item = data(**only(kind))[3, 1]
    height, width = item.query.size
    assert item.scene_name.startswith(kind) and item.sources is None and item.step == 1
    assert len(item.references) == 4 and len(item.query) == 1
    assert all(side % 16 == 0 for side in item.references.size)
    assert item.query.imgs.shape[-2:] == (height, width)
    x, y = item.query.coords[0].unbind(dim=1)
    assert item.query.coords.shape == (1, 40, 2)
    assert (x >= 0).all() and (x < width).all() and (y >= 0).all() and (y < height).all()
    assert (item.references.true_depth is not None) == (kind == "gso")
    lengths = torch.cat([batch.depth_range[:, 1] - batch.depth_range[:, 0] for batch in (item.references, item.query)])
    assert_close(lengths, lengths[:1].expand_as(lengths), atol=1e-4, rtol=0)
    assert all(torch.isfinite(value).all() for value in as_numbers(item))


def test_a_cost_volume_has_sources_and_needs_depth_of_objects_only(data):
    settings = {"use_src_imgs": True, "ref_pad_interval": 32}
    item = data(**only("real_iconic", **settings))[0, 2]
    assert item.references.depth is None
    assert all(side % 32 == 0 for side in item.sources.size)
    for row, own in zip(item.references.nn_ids, item.references.poses, strict=True):
        assert len(set(row.tolist())) == 3
        assert not any(torch.equal(item.sources.poses[i], own) for i in row)
    assert data(**only("gso", **settings))[0, 2].references.true_depth is not None


def test_depth_noise_differs_between_steps(data):
    clean = [data(**only("gso"))[0, step].references for step in (1, 2)]
    noise = [(views.depth - views.true_depth).abs().max() for views in clean]
    assert noise[0] != noise[1]


def test_references_are_near_and_seldom_the_query(neuray_tree):
    scene = database("gso/obj0/black_raw", neuray_tree)
    ids, cfg = usable_ids(scene, needs_depth=True), dataset_settings({"min_wn": 2, "max_wn": 3})
    assert len(ids) == 12
    own = 0
    for seed in range(300):
        chosen = choose_views(scene, ids, cfg, np.random.default_rng(seed))
        own += chosen.query in chosen.references
        assert len(set(chosen.references)) == 2 and set(chosen.references) <= set(chosen.candidates[:6])
    assert own <= 12


def test_frames_of_a_clip_come_from_around_the_query(neuray_tree):
    scene = database("real_estate/clip0/450_800", neuray_tree)
    ids = [str(number) for number in range(200)]
    for seed in range(100):
        chosen = choose_views(scene, ids, dataset_settings({}), np.random.default_rng(seed))
        query, others = int(chosen.query), [int(frame) for frame in chosen.references]
        assert 4 <= query < 195 and len(set(others)) == 8
        # 32 frames before and after; near the end of the clip more before.
        assert query - 64 <= min(others) and max(others) <= query + 32


def test_a_type_without_scenes_or_weight_is_named(neuray_tree, tmp_path):
    with pytest.raises(FileNotFoundError, match="no scene of type gso in"):
        TrainingData(dataset_settings(only("gso")), tmp_path)
    with pytest.raises(ValueError, match=r"type2sample_weights lacks \['space'\]"):
        TrainingData(dataset_settings({**only("gso"), "train_database_types": ["gso", "space"]}), neuray_tree)


@pytest.mark.parametrize("name", ["lego", "fern_cv"])
def test_validation_items_are_the_papers(name, neuray_tree, reference):
    wanted = {key.removeprefix(f"val_{name}_"): v for key, v in reference("imgs_info").items() if f"val_{name}_" in key}
    settings = {
        "lego": {"val_database_name": "nerf_synthetic/lego/black_800"},
        "fern_cv": {"val_database_name": "llff_colmap/fern/low", "use_src_imgs": True, "ref_pad_interval": 32},
    }
    data = ValidationData(dataset_settings({**settings[name], "min_wn": 4}), neuray_tree)
    assert len(data) == int(wanted["len"])
    item = data[1]
    assert list(item.references.imgs.shape) == wanted["ref_shape"].tolist()
    assert_close(item.references.Ks, wanted["ref_Ks"], atol=1e-3, rtol=0)
    assert_close(item.references.poses, wanted["ref_poses"], atol=1e-4, rtol=0)
    assert_close(item.references.depth_range, wanted["ref_depth_range"], atol=1e-4, rtol=0)
    assert item.references.nn_ids.tolist() == wanted["ref_nn_ids"].tolist()
    assert list(item.query.imgs.shape) == wanted["que_shape"].tolist()
    assert_close(item.query.depth_range, wanted["que_range"], atol=1e-4, rtol=0)
    assert_close(item.query.coords[0, [1, -1]], wanted["coords_ends"])
    if "src_shape" in wanted:
        assert list(item.sources.imgs.shape) == wanted["src_shape"].tolist()
        assert_close(item.sources.depth_range, wanted["src_range"], atol=1e-4, rtol=0)
