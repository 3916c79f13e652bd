import json
from dataclasses import replace
from functools import partial

import pytest

from common.baselines.visual_hull import VisualHull
from common.datasets.writers.transforms import write_transforms
from common.demo.report import build_section, numbers
from common.demo.scenes import own_scene
from common.demo.surfaces import scored
from common.entry_point import run_command
from common.metrics.meshes import MESH_PROTOCOLS
from tests.scenes import make_scene
from tools import make_demo


@pytest.mark.slow
def test_own_photographs_become_a_page(tmp_path, capsys):
    write_transforms(tmp_path, make_scene("garden", num_views=5, size=(64, 64), same_focal=True))
    output = tmp_path / "out"
    options = ["--near_far", "1.8", "5.0", "--frames", "3", "--weights", "random"]
    make_demo.main(["--scene", str(tmp_path / "garden"), "--output", str(output), *options])
    page = (output / "index.html").read_text(encoding="utf8")
    assert "<!DOCTYPE html>" in page and "data:video/mp4" in page
    results = json.loads((output / "results.json").read_text())["gefu"]
    names = [contestant["name"] for contestant in results["contestants"]]
    assert names == ["GeFu", "Plane-sweep blending", "Nearest photograph"]
    for contestant in results["contestants"]:
        assert len(contestant["views"]) == 1
        assert f"{contestant['mean']['psnr']:.2f} dB" in page
    assert sorted(path.name for path in output.iterdir()) == ["data", "gefu_scene1.mp4", "index.html", "results.json"]
    assert f"open {output / 'index.html'}" in capsys.readouterr().out


@pytest.mark.slow
def test_the_section_of_xscale_nvs_is_fitted_in_the_run(tmp_path, monkeypatch):
    """On a sphere before a plane; the town is tested where it is made."""
    monkeypatch.setattr(
        "common.demo.scenes.generate", lambda seed, rig, size, count, name: make_scene(name, count, size, centered=True)
    )
    tiny = ("max_epoch", "6", "hash_n_levels", "4", "log2_hashmap_size", "11", "training_batch_size", "64")
    method = make_demo.xscale_section(tmp_path / "data", 3, (96, 54), num_views=9, overrides=tiny)
    html = build_section(method, tmp_path).html()
    ours, texture, vertices = numbers(method)["contestants"]
    assert [ours["name"], texture["name"], vertices["name"]] == [
        "XScale-NVS",
        "Texture, equal memory",
        "Colour per vertex",
    ]
    assert 0.5 * ours["stored_bytes"] < texture["stored_bytes"] <= ours["stored_bytes"]
    assert vertices["stored_bytes"] < 0.2 * texture["stored_bytes"]
    assert len(ours["views"]) == 2
    assert "rendered from 7 photographs" in html and "Detail 2" in html and "<video" in html
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "xscale_nvs_scene1.mp4"]


@pytest.mark.slow
def test_the_section_of_gens_compares_meshes_in_the_run(tmp_path, monkeypatch):
    """On a sphere before a plane; a hull stands in for the network."""
    monkeypatch.setattr(
        "common.demo.surfaces.generate",
        lambda seed, rig, size, count, name: make_scene(name, count, size, centered=True),
    )
    cheap = replace(MESH_PROTOCOLS["sampled"], num_points=5_000)
    monkeypatch.setattr("common.demo.surface_section.scored", partial(scored, protocol=cheap))
    section, found = make_demo.gens_section(tmp_path, partial(VisualHull, 16), (64, 48), resolution=24)
    names = [contestant["name"] for contestant in found["contestants"]]
    assert names == ["GenS", "Visual hull", "Depth fusion"]
    assert all(contestant["scenes"]["objects"][0] for contestant in found["contestants"])
    html = section.html()
    assert html.count("<canvas") == 4 and "Chamfer distance" in html


def test_without_weights_the_page_leaves_a_method_out_and_says_so(tmp_path, caplog):
    path = tmp_path / "gens.ckpt"
    assert not make_demo.is_ready("GenS", path, "gens/confs/synthetic.conf")
    (record,) = caplog.records
    assert record.message.startswith(f"the page has no section on GenS: no weights at {path}; make them with")
    path.touch()
    assert make_demo.is_ready("GenS", path, "") and len(caplog.records) == 1


@pytest.mark.slow
def test_every_contestant_of_a_section_is_given_the_same_photographs(tmp_path, monkeypatch):
    monkeypatch.setattr(make_demo, "BASELINES", make_demo.BASELINES[1:])
    write_transforms(tmp_path, make_scene("garden", num_views=5, size=(64, 64), same_focal=True))
    scene = own_scene(tmp_path / "garden", tmp_path, near_far=(1.8, 5.0))
    two = make_demo.idnerf_section([scene], 2, "random")
    assert [len(item.sources) for item in two.comparison.scenes[0].held_out] == [2]
    for section in (two, make_demo.neuray_section([scene], "random")):
        ours, nearest = numbers(section)["contestants"]
        assert nearest["name"] == "Nearest photograph"
        assert ours["name"] in section.title and 0 < ours["mean"]["psnr"] < 40
        assert section.title in build_section(section, tmp_path).html()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--weights", "missing.pth"], "no GeFu weights at missing.pth; they come with the repository, or train them"),
        (["--weights", "random", "--scene", "nowhere"], "no file or folder nowhere"),
        (["--methods", "gens", "--scene", "nowhere"], "choose among gefu, neuray, idnerf"),
    ],
)
def test_wrong_input_ends_in_one_sentence_before_anything_is_made(options, sentence, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run_command(make_demo.main, ["--output", str(tmp_path / "out"), *options])
    assert ended.value.code == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_demo_uses_no_scene_of_the_training_set():
    assert max(*make_demo.SEEDS, *make_demo.GENS_SEEDS) < 500
