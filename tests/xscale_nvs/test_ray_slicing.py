import logging

import numpy as np
import pytest
import torch

from xscale_nvs import ray_slicing
from xscale_nvs.graphs.warping import slice as slice_command
from xscale_nvs.parameters import load_params
from xscale_nvs.ray_cache import RayCache, cached_folder, open_ray_cache, read_record, sliced_folder
from xscale_nvs.ray_caching import cache_rays
from xscale_nvs.ray_slicing import slice_rays


@pytest.fixture
def stored(golden):
    return golden("xscale_nvs/ray_cache_ss2")


@pytest.fixture
def settings(stored, scene_settings):
    return scene_settings(stored, ss_ratio=2, ultra_cache_batch_size=5, seed=3)


@pytest.fixture
def params(settings):
    params = load_params(overrides=settings)
    cache_rays(params)
    return params


def sliced(folder, view):
    return np.load(sliced_folder(folder, view) / "barycentric.npy")


def rows_of(values):
    return sorted(map(bytes, values.reshape(len(values), -1)))


def test_blocks_are_a_random_order_of_the_views_rays_without_the_remainder(stored, params):
    slice_rays(params)
    cache = open_ray_cache(params)
    assert cache.view_ids == (1, 2, 4, 5) and cache.num_blocks == 5
    for view, count in zip(cache.view_ids, stored["counts"].tolist(), strict=True):
        assert cache.num_rays(view) == count // 5
        assert all(len(cache.load(view, block)) == count // 5 for block in range(5))
    rays = [cache.load(1, block).gather(np.arange(cache.num_rays(1))) for block in range(5)]
    together = {part: torch.cat([getattr(block, part) for block in rays]).numpy() for part in ("xyz", "colour")}
    whole = np.concatenate([stored["xyz_1"].reshape(-1, 12), stored["colour_1"]], axis=1)
    found = np.concatenate([together["xyz"].reshape(-1, 12), together["colour"]], axis=1)
    order = [np.abs(whole - row).max(axis=1).argmin() for row in found]
    assert len(set(order)) == len(order) == 5 * (1193 // 5)
    np.testing.assert_allclose(found, whole[order], atol=5e-6)
    positions = np.array(order[: 1193 // 5])
    assert abs(positions.mean() / 1193 - 0.5) < 0.1 and (np.diff(positions) > 0).mean() < 0.6


def test_training_reads_what_the_paper_stores(stored, params):
    slice_rays(params)
    cache = open_ray_cache(params)
    np.testing.assert_array_equal(cache.mesh.center.numpy(), stored["center"])
    np.testing.assert_array_equal(cache.mesh.scale.numpy(), stored["scale"])
    assert cache.lights == dict.fromkeys((1, 2, 4, 5), 0)
    rays = cache.load(2, 3).gather(np.array([7, 0, 7]))
    match = np.abs(stored["xyz_2"] - rays.xyz[0].numpy()).max(axis=(1, 2)).argmin()
    for part in ("xyz", "normal", "viewdr", "colour"):
        values = getattr(rays, part)
        assert torch.equal(values[0], values[2])
        np.testing.assert_allclose(values[0].numpy(), stored[f"{part}_2"][match], atol=2e-5)


def test_a_ray_has_the_same_bits_whatever_it_is_gathered_with(params):
    slice_rays(params)
    block = open_ray_cache(params).load(1, 0)
    everything = block.gather(np.arange(len(block)))
    for row in (0, 17, len(block) - 1):
        alone = block.gather(np.array([row]))
        for part in ("xyz", "normal", "viewdr", "colour"):
            assert torch.equal(getattr(alone, part)[0], getattr(everything, part)[row])


def test_views_that_do_not_fit_into_memory_are_shuffled_through_files(params, monkeypatch):
    folder, view = params.attribute_cache_path, 4
    slice_rays(params)
    before = sliced(folder, view)
    monkeypatch.setattr(ray_slicing, "BYTES_IN_MEMORY", 51 * 200)  # 200 rays of 4 * (4 + 8) + 3 bytes
    params.seed = 4
    slice_rays(params)
    after = sliced(folder, view)
    source = np.load(cached_folder(folder, view) / "barycentric.npy")
    assert not np.array_equal(before, after) and len(after) == 1190
    assert not set(rows_of(after)) - set(rows_of(source)) and len(rows_of(after)) == len(after)
    kept, parts = rows_of(after), rows_of(source)
    assert len(parts) - len(kept) == 1190 % 5
    assert {path.name for path in sliced_folder(folder, view).iterdir()} == {
        "face.npy", "barycentric.npy", "colour.npy", "record.json"
    }  # fmt: skip
    order = [parts.index(row) for row in map(bytes, after[:300].reshape(300, -1))]
    assert abs(np.mean(order) / 1190 - 0.5) < 0.1


def test_the_same_seed_gives_the_same_order_and_no_seed_keeps_what_is_there(params, settings):
    folder = params.attribute_cache_path
    slice_rays(params)
    first, time = sliced(folder, 1), (sliced_folder(folder, 1) / "face.npy").stat().st_mtime_ns
    params.seed = None
    slice_rays(params)
    assert (sliced_folder(folder, 1) / "face.npy").stat().st_mtime_ns == time
    params.seed = 8
    slice_rays(params)
    assert not np.array_equal(sliced(folder, 1), first)
    slice_command.main(settings)  # with the first seed
    np.testing.assert_array_equal(sliced(folder, 1), first)


def test_no_seed_draws_a_fresh_order_for_every_view(params):
    params.seed = None
    slice_rays(params)
    seeds = {read_record(sliced_folder(params.attribute_cache_path, view))["seed"] for view in (1, 2, 4, 5)}
    assert len(seeds) == 4


def test_a_torn_block_is_said_when_it_is_read_and_made_again_by_the_command(params, caplog):
    slice_rays(params)
    path = sliced_folder(params.attribute_cache_path, 2) / "face.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5] + b"\xff" + whole[-4:])
    cache = open_ray_cache(params)
    cache.load(2, 0)
    with pytest.raises(ValueError, match=r"block 4 of .*view_00002.face.npy is damaged; run bash"):
        cache.load(2, 4)
    path.write_bytes(whole[:-5])
    with pytest.raises(ValueError, match=r"face.npy is torn"):
        open_ray_cache(params)
    with caplog.at_level(logging.WARNING):
        slice_rays(params)
    assert path.read_bytes() == whole and "face.npy is torn" in caplog.text
    cache = open_ray_cache(params)
    assert len(cache.load(2, 4)) == cache.num_rays(2)


def test_rays_cached_anew_are_sliced_anew(params):
    slice_rays(params)
    params.z_near = 2.9  # cuts something off
    cache_rays(params)
    slice_rays(params)
    for view in (1, 2, 4, 5):
        count = read_record(cached_folder(params.attribute_cache_path, view))["rays"]
        assert len(sliced(params.attribute_cache_path, view)) == count // 5 * 5


def test_a_view_with_fewer_rays_than_blocks_has_none_and_is_said(stored, scene_settings, caplog):
    away = dict(stored, E=stored["E"].copy())
    away["E"][2] = np.diag([-1.0, 1.0, -1.0, 1.0]) @ away["E"][2]
    params = load_params(overrides=scene_settings(away))
    cache_rays(params)
    with caplog.at_level(logging.WARNING):
        slice_rays(params)
    assert "view 2 has fewer rays than the 4 blocks" in caplog.text
    cache = open_ray_cache(params)
    assert cache.num_rays(2) == 0 and len(cache.load(2, 3)) == 0 and cache.num_rays(1) > 0
    assert cache.load(2, 3).gather(np.zeros(0, dtype=np.int64)).xyz.shape == (0, 1, 3)


def test_what_is_missing_is_named(params, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"view 1 is not sliced into blocks .*run bash"):
        open_ray_cache(params)
    slice_rays(params)
    with pytest.raises(FileNotFoundError, match="no rays of view 3 are cached"):
        RayCache(params.attribute_cache_path, [1, 3], 5)
    with pytest.raises(ValueError, match="has 5 blocks but ultra_cache_batch_size is 4"):
        RayCache(params.attribute_cache_path, [1, 2], 4)
    with pytest.raises(FileNotFoundError, match=r"no ray cache in .*warp.sh"):
        RayCache(tmp_path / "elsewhere", [1], 5)
    params.training_view_list = [1, 3]
    with pytest.raises(FileNotFoundError, match="no rays of view 3 are cached"):
        slice_rays(params)
    damaged = cached_folder(params.attribute_cache_path, 1) / "colour.npy"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    params.training_view_list, params.ultra_cache_batch_size = [1], 4
    with pytest.raises(ValueError, match=r"colour.npy is torn.*run giga_warping.py again"):
        slice_rays(params)
