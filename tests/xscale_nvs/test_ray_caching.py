import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from common.entry_point import run_command
from common.io.npy_stream import read_rows
from xscale_nvs import ray_caching, view_caching
from xscale_nvs.graphs.warping import giga_warping, warping
from xscale_nvs.parameters import load_params
from xscale_nvs.ray_cache import cached_folder, read_mesh_arrays, read_record, read_scene_record
from xscale_nvs.ray_caching import cache_rays

WARPING = Path(giga_warping.__file__).parent


@pytest.fixture
def stored(golden):
    return golden("xscale_nvs/ray_cache_ss1")


def cached(settings):
    params = load_params(overrides=settings)
    cache_rays(params)
    return Path(params.attribute_cache_path)


def read_rays(cache, view):
    folder = cached_folder(cache, view)
    face, barycentric, colour = (
        torch.from_numpy(np.load(folder / f"{part}.npy")) for part in ("face", "barycentric", "colour")
    )
    center = torch.tensor(read_record(folder)["camera_center"])
    points = read_mesh_arrays(cache / "cache_list" / "mesh").points(face, barycentric, center)
    return points, colour.float() / 256


def contents(cache):
    return {path.relative_to(cache): path.read_bytes() for path in sorted(cache.rglob("*")) if path.is_file()}


def times(cache):
    return {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")}


@pytest.mark.parametrize("ss_ratio", [1, 2])
@pytest.mark.parametrize("command", [giga_warping, warping])
def test_golden_rays(golden, scene_settings, ss_ratio, command):
    stored = golden(f"xscale_nvs/ray_cache_ss{ss_ratio}")
    settings = scene_settings(stored, ss_ratio=ss_ratio)
    command.main(settings)
    cache = Path(load_params(overrides=settings).attribute_cache_path)
    scene = read_scene_record(cache)
    assert scene["views"] == stored["train"].tolist() and scene["lights"] == stored["lits_all"].tolist()
    assert (scene["num_facet"], scene["num_verts"]) == (stored["num_facet"], stored["num_verts"])
    np.testing.assert_array_equal(np.float32(scene["center"]), stored["center"])
    np.testing.assert_array_equal(np.float32(scene["scale"]), stored["scale"])
    counts = [read_record(cached_folder(cache, view))["rays"] for view in scene["views"]]
    assert counts == stored["counts"].tolist()
    for view in stored["cached_views"].tolist():
        points, colour = read_rays(cache, view)
        np.testing.assert_array_equal(colour.numpy(), stored[f"colour_{view}"])
        for part, tolerance in (("xyz", 5e-6), ("normal", 2e-5), ("viewdr", 5e-6)):  # normals turn within a face
            np.testing.assert_allclose(getattr(points, part).numpy(), stored[f"{part}_{view}"], atol=tolerance)


def test_bands_and_workers_change_nothing(stored, scene_settings, monkeypatch):
    settings = scene_settings(stored, ss_ratio=2)
    cache = cached([*settings, "num_workers", "1"])
    expected = {name: data for name, data in contents(cache).items() if "view_" in str(name)}
    for part in ("1", "2"):
        for path in cache.glob(f"cache_list/view_0000{part}/*"):
            path.unlink()
    monkeypatch.setattr("xscale_nvs.ray_buffers.SAMPLES_AT_ONCE", 3 * 48 * 4)
    cached([*settings, "num_workers", "3"])
    assert {name: data for name, data in contents(cache).items() if "view_" in str(name)} == expected


def test_cached_views_are_kept_and_a_damaged_one_is_made_again(stored, scene_settings, caplog):
    settings = scene_settings(stored)
    cache = cached(settings)
    expected, before = contents(cache), times(cache)
    cached(settings)
    assert times(cache) == before

    torn = cached_folder(cache, 2) / "barycentric.npy"
    torn.write_bytes(torn.read_bytes()[:-100])
    changed = cached_folder(cache, 4) / "face.npy"
    data = bytearray(changed.read_bytes())
    data[-3] ^= 1
    changed.write_bytes(data)
    (cached_folder(cache, 5) / "record.json").write_text('{"format": 1')
    with caplog.at_level(logging.WARNING):
        cached(settings)
    assert contents(cache) == expected
    said = caplog.text
    assert f"{torn} is torn" in said and f"{changed} is damaged" in said
    assert times(cache)[cached_folder(cache, 1) / "face.npy"] == before[cached_folder(cache, 1) / "face.npy"]


@pytest.mark.parametrize(
    "settings",
    [
        {"z_near": 2.5},
        {"full_intrinsics": True},
        {"undistort_crop_rate_h": 0.1, "undistort_crop_rate_w": 0.1, "undistort_crop_iter": 0},
    ],
)
def test_other_settings_make_every_view_again(stored, scene_settings, settings):
    words = scene_settings(stored)
    before = times(cached(words))
    cache = cached([*words, *(str(word) for pair in settings.items() for word in pair)])
    after = times(cache)
    assert all((after[path] != before[path]) == (path.parent.name != "mesh") for path in before)


def test_another_mesh_camera_or_photograph_makes_again_what_depends_on_it(stored, scene_settings, tmp_path):
    words = scene_settings(stored)
    before = times(cached(words))
    scene = tmp_path / "data" / "scene"
    camera = scene / "cams_4" / "V001_cam.txt"
    lines = camera.read_text().splitlines()
    lines[8] = lines[8].replace(lines[8].split()[1], "61.5")  # f_y
    camera.write_text("\n".join(lines))
    Image.new("RGB", (48, 36)).save(scene / "images_4" / "V004.JPG", format="png")
    after = times(cached(words))
    changed = {path.parent.name for path in before if after[path] != before[path]}
    assert changed == {"view_00001", "view_00004"}
    mesh = scene / "mesh.ply"
    mesh.write_bytes(mesh.read_bytes()[:-13] + mesh.read_bytes()[-26:-13])  # the last face becomes the one before
    last = times(cached(words))
    assert all(last[path] != before[path] for path in before)


def test_cropping_starts_at_a_position_and_needs_both_rates(stored, scene_settings):
    words = scene_settings(stored)
    whole = cached(words)
    expected = {view: np.load(cached_folder(whole, view) / "pixel.npy") for view in (1, 5)}
    rates = ["undistort_crop_rate_h", "0.12", "undistort_crop_rate_w", "0.1"]
    cache = cached([*words, *rates, "undistort_crop_iter", "3"])
    np.testing.assert_array_equal(np.load(cached_folder(cache, 1) / "pixel.npy"), expected[1])
    rows, columns = np.divmod(expected[5], 48)
    inside = (rows >= 4) & (rows < 32) & (columns >= 4) & (columns < 44)  # int(36 * 0.12), int(48 * 0.1)
    np.testing.assert_array_equal(np.load(cached_folder(cache, 5) / "pixel.npy"), expected[5][inside])
    cache = cached([*words, *rates[:2], "undistort_crop_iter", "0"])
    np.testing.assert_array_equal(np.load(cached_folder(cache, 5) / "pixel.npy"), expected[5])
    with pytest.raises(ValueError, match="cut everything off"):
        cached([*words, "undistort_crop_rate_h", "0.5", "undistort_crop_rate_w", "0.1", "undistort_crop_iter", "0"])


def test_the_debug_picture_lays_the_normals_over_the_photograph(stored, scene_settings, tmp_path):
    cache = cached(scene_settings(stored))
    path = tmp_path / "data" / "scene" / "normal" / "nrm_V002_1.jpg"  # the second training view
    picture = np.asarray(Image.open(path)).astype(float)
    points, _ = read_rays(cache, 2)
    pixels = np.load(cached_folder(cache, 2) / "pixel.npy")
    expected = stored["images"][2] * (0.7 * 255 / 256) + 0.3 * 0.5 * 255
    normals = points.normal[:, 0].numpy() * 0.3 * 0.5 * 255
    expected.reshape(-1, 3)[pixels] += normals[:, ::-1]
    assert np.abs(picture - expected).mean() < 8  # a JPEG of noise, with colour at half the resolution
    grey = picture.mean(axis=-1) - expected.mean(axis=-1)
    assert np.abs(grey).mean() < 4


def test_a_view_that_looks_away_is_said_and_has_no_rays(stored, scene_settings, caplog):
    away = dict(stored, E=stored["E"].copy())
    away["E"][2] = np.diag([-1.0, 1.0, -1.0, 1.0]) @ away["E"][2]
    with caplog.at_level(logging.WARNING):
        cache = cached(scene_settings(away))
    assert "view 2 (V002.JPG) sees nothing of the mesh" in caplog.text
    assert read_record(cached_folder(cache, 2))["rays"] == 0
    assert read_rays(cache, 2)[0].xyz.shape == (0, 1, 3)


def test_a_scene_that_no_view_sees_is_refused(stored, scene_settings):
    away = dict(stored, E=np.diag([-1.0, 1.0, -1.0, 1.0]) @ stored["E"])
    with pytest.raises(ValueError, match=r"none of the 4 training views sees the mesh .*same coordinates"):
        cached(scene_settings(away))


def test_a_photograph_that_breaks_leaves_the_other_views_and_no_temporary_files(stored, scene_settings, tmp_path):
    settings = scene_settings(stored, num_workers=1)
    photograph = tmp_path / "data" / "scene" / "images_4" / "V005.JPG"
    whole = photograph.read_bytes()
    photograph.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cannot read the picture .*V005.JPG"):
        cached(settings)
    cache = Path(load_params(overrides=settings).attribute_cache_path)
    assert not list(cache.rglob(".*")) and not (cache / "cache_list" / "scene.json").exists()
    before = times(cache)
    photograph.write_bytes(whole)
    after = times(cached(settings))
    assert all(after[path] == before[path] for path in before)


def test_a_killed_run_goes_on_and_ends_with_the_same_cache(stored, scene_settings):
    """Killed while a view is being written, as the machine would do it."""
    settings = scene_settings(stored, num_workers=1)
    cache = cached(settings)
    expected = contents(cache)
    for path in [*cached_folder(cache, 4).iterdir(), *cached_folder(cache, 5).iterdir()]:
        path.unlink()
    cached_folder(cache, 4).rmdir()
    slow = (
        "import time, sys, xscale_nvs.view_caching as caching\n"
        "from xscale_nvs.graphs.warping.giga_warping import main\n"
        "whole = caching._write_colours\n"
        "def colours(*arguments):\n"
        "    whole(*arguments)\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(60)\n"
        "caching._write_colours = colours\n"
        "main(sys.argv[1:])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow, *settings], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout.readline() == b"writing\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert [path.name for path in cache.glob("cache_list/.view_00004-*")]
    assert not cached_folder(cache, 4).exists()
    cached(settings)
    assert contents(cache) == expected


def test_the_shell_script_caches_and_slices_from_any_folder(stored, scene_settings, tmp_path):
    settings = scene_settings(stored)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    script = os.path.relpath(WARPING / "warp.sh", tmp_path)
    done = subprocess.run(
        ["bash", script, *settings], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    cache = Path(load_params(overrides=settings).attribute_cache_path)
    assert (cache / "batches" / "view_00005" / "record.json").exists()


def test_a_wrong_setting_is_one_sentence(stored, scene_settings, capsys):
    with pytest.raises(SystemExit) as ended:
        run_command(giga_warping.main, scene_settings(stored, meshName="nothing.obj"))
    said = capsys.readouterr().err.strip()
    assert ended.value.code == 1 and said.startswith("error: no mesh") and len(said.splitlines()) == 1


def test_memory_follows_the_band_not_the_picture(stored, scene_settings, monkeypatch):
    """Nothing of the size of the picture is asked for: the largest rasterised part is one band."""
    asked = []
    see = view_caching.see_rows

    def spy(rasterizer, camera, ss_ratio, rows):
        asked.append((rows.stop - rows.start) * camera.width * ss_ratio**2)
        return see(rasterizer, camera, ss_ratio, rows)

    monkeypatch.setattr(view_caching, "see_rows", spy)
    monkeypatch.setattr("xscale_nvs.ray_buffers.SAMPLES_AT_ONCE", 500)
    cached(scene_settings(stored))
    assert max(asked) <= 500 and len(asked) >= 4 * 36 * 48 // 500


def test_colours_can_be_read_without_a_memory_map(stored, scene_settings):
    cache = cached(scene_settings(stored))
    path = cached_folder(cache, 1) / "colour.npy"
    np.testing.assert_array_equal(read_rows(path, slice(10, 20)), np.load(path)[10:20])


def test_the_number_of_workers_is_a_setting():
    assert ray_caching.count_workers(load_params(overrides=["num_workers", "3"])) == 3
    assert 1 <= ray_caching.count_workers(load_params()) <= ray_caching.MOST_WORKERS
