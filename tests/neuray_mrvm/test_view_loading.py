import shutil

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from common.io.depth_maps import write_colmap_array
from neuray_mrvm.database_names import database
from neuray_mrvm.view_loading import (
    consistent_ranges,
    load_views,
    nearest_ids,
    reference_set,
    with_consistent_ranges,
)

SETTINGS = {"min_wn": 5, "ref_pad_interval": 16, "use_src_imgs": False, "cost_volume_nn_num": 3}
WITH_SOURCES = {**SETTINGS, "ref_pad_interval": 32, "use_src_imgs": True}


@pytest.fixture(scope="module")
def snowman(neuray_tree):
    return database("dtu_test/snowman/black_80", neuray_tree)


def test_nearest_references_and_their_padded_batch_are_the_papers(snowman, reference):
    wanted = reference("imgs_info")
    ids, queries = snowman.splits("test")
    near = [[ids.index(other) for other in nearest_ids(snowman, view_id, ids)[:6]] for view_id in ids]
    assert near == wanted["dtu_nearest"].tolist()
    references, sources = reference_set(snowman, ids, queries[0], SETTINGS)
    assert sources is None
    assert_close(references.imgs[:2, :, 52:, ::3], wanted["dtu_imgs_pad"], atol=1.01 / 255, rtol=0)
    assert_close(references.depth[:2, :, 52:, ::3], wanted["dtu_depth_pad"], atol=1e-5, rtol=0)
    assert_close(references.masks[:2, :, 52:, ::3], wanted["dtu_masks_pad"])
    assert_close(references.Ks, wanted["dtu_Ks"], atol=1e-3, rtol=0)
    assert_close(references.poses, wanted["dtu_poses"], atol=1e-4, rtol=0)
    assert_close(references.depth_range, wanted["dtu_depth_range"], atol=1e-4, rtol=0)
    assert references.size == (64, 80)


def test_sources_of_the_cost_volume_are_the_papers(snowman, reference):
    wanted = reference("imgs_info")
    ids, queries = snowman.splits("test")
    references, sources = reference_set(snowman, ids, queries[0], WITH_SOURCES, use_depth=False)
    assert list(sources.imgs.shape) == wanted["src_n"].tolist()
    assert_close(sources.poses, wanted["src_poses"], atol=1e-4, rtol=0)
    assert references.nn_ids.tolist() == wanted["src_nn_ids"].tolist()
    assert_close(references.poses, sources.poses[wanted["src_real_idx"]])
    assert references.depth is None and sources.depth is None


def test_views_of_different_height_become_one_batch(neuray_tree, reference):
    wanted = reference("imgs_info")
    views = load_views(database("space/scene_000", neuray_tree), ["0-0", "1-2", "0-1"])
    assert_close(views.imgs[..., 56:, ::5], wanted["space_imgs"], atol=1e-6, rtol=0)
    assert_close(views.masks[..., 56:, ::5], wanted["space_masks"].float())
    assert_close(views.depth[..., 56:, ::5], wanted["space_depth"], atol=1e-5, rtol=0)


def test_ranges_become_equally_long(reference):
    wanted = reference("imgs_info")
    ranges = consistent_ranges(torch.tensor([[1.0, 4.0], [0.5, 6.0], [2.0, 2.5], [1.2, 3.0]]))
    assert_close(ranges, torch.cat([wanted["consistent_ref"], wanted["consistent_que"]]))
    assert_close(ranges[:, 1] - ranges[:, 0], torch.full((4,), 5.5))


def test_ranges_may_become_one_for_all(snowman):
    views = load_views(snowman, ["0", "1"], use_depth=False)
    (one,) = with_consistent_ranges(views, use_min_max=True)
    assert_close(one.depth_range, views.depth_range)


def test_a_small_scene_repeats_its_sources(snowman):
    references, sources = reference_set(snowman, ["0", "1"], "2", WITH_SOURCES, use_depth=False)
    assert len(sources) == 2
    for own, row in zip(references.poses, references.nn_ids, strict=True):
        assert len(set(row.tolist())) == 1 and not torch.equal(sources.poses[row[0]], own)


def test_a_free_camera_is_given_by_its_pose(snowman):
    ids, queries = snowman.splits("test")
    by_pose, _ = reference_set(snowman, ids, snowman.pose(queries[0]), SETTINGS, use_depth=False)
    by_id, _ = reference_set(snowman, ids, queries[0], SETTINGS, use_depth=False)
    assert_close(by_pose.imgs, by_id.imgs)


def test_depth_of_single_views_may_be_unknown_but_not_of_all(neuray_tree, tmp_path, monkeypatch):
    monkeypatch.setenv("POLYVIEW_DEPTH_CACHE", str(tmp_path / "cache"))
    lego = database("nerf_synthetic/lego/black_800", neuray_tree)
    views = load_views(lego, ["train-r_2", "train-r_3"])
    assert views.depth[0].any() and not views.depth[1].any()
    shutil.copytree(neuray_tree / "nerf_synthetic", tmp_path / "nerf_synthetic")
    shutil.rmtree(tmp_path / "nerf_synthetic" / "lego" / "colmap_depth")
    bare = database("nerf_synthetic/lego/black_800", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no depth map .*train-r_0.png.geometric.bin .*make_depth_cache.py"):
        load_views(bare, ["train-r_2"])
    assert load_views(bare, ["train-r_2"], use_depth=False).depth is None
    made = np.full((80, 80), 3.0, np.float32)
    write_colmap_array(bare.cached_depth_path("train-r_3"), made)
    assert bare.ids_with_depth() == ("train-r_3",)
    assert not load_views(bare, ["train-r_2"]).depth.any()
    assert_close(load_views(bare, ["train-r_3"]).depth[0, 0], torch.from_numpy(made))
    other_size = database("nerf_synthetic/lego/black_400", tmp_path)
    assert other_size.find_depth("train-r_3") is None  # maps of small pictures would be coarse for large ones


def test_a_missing_depth_map_of_dtu_is_named(neuray_tree, tmp_path, monkeypatch):
    monkeypatch.setenv("POLYVIEW_DEPTH_CACHE", str(tmp_path / "cache"))
    shutil.copytree(neuray_tree / "dtu_test", tmp_path / "dtu_test")
    (tmp_path / "dtu_test" / "snowman" / "colmap_depth" / "5.jpg.geometric.bin").unlink()
    broken = database("dtu_test/snowman/black_80", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no depth map .*colmap_depth/5.jpg.geometric.bin"):
        load_views(broken, ["4", "5"])
