import json

import numpy as np
import pytest
import torch

from common.io.images import read_pixels
from xscale_nvs import test_views
from xscale_nvs.agents.render import main
from xscale_nvs.model_checkpoints import checkpoint_name, save_model
from xscale_nvs.networks.model import build_model
from xscale_nvs.parameters import load_params
from xscale_nvs.test_views import render_test_views


@pytest.fixture
def open_case(golden, golden_state, scene_settings, tmp_path):
    """The scene and the checkpoint of a stored result: its arrays and its settings."""

    def open_(name):
        stored = golden(f"xscale_nvs/{name}")
        ss_ratio, log2_size, levels, features, has_exposure = stored["sizes"].tolist()
        row = int(stored["trajectory_wb_id"])
        words = scene_settings(
            stored,
            ss_ratio=ss_ratio,
            log2_hashmap_size=log2_size,
            hash_n_levels=levels,
            z_length_s=features,
            use_exp_emb=bool(has_exposure),
            trajectory_wb_id=None if row < 0 else row,
            infer_batch_size=500,
            load_checkpoint_dir=tmp_path / "state" / checkpoint_name(0),
            device="cpu",
        )
        params = load_params(overrides=words)
        model = build_model(params)
        model.load_state_dict(golden_state(model, f"open/{name}/"))
        save_model(tmp_path / "state", model, 0, 0, 2e-4)
        return stored, params, words

    return open_


@pytest.mark.parametrize("name", ["render_ss1", "render_ss2"])
def test_pictures_equal_the_papers(name, open_case, tmp_path, monkeypatch):
    stored, params, _ = open_case(name)
    painted, paint = [], test_views.paint_view
    monkeypatch.setattr(test_views, "paint_view", lambda *given: painted.append(paint(*given)) or painted[-1])
    scores = render_test_views(params)
    assert [entry.view for entry in scores] == stored["test"].tolist()
    for view, picture in zip(stored["test"].tolist(), painted, strict=True):
        difference = np.abs(picture.rgb.numpy() - stored[f"float_{view}"]).max(axis=-1)
        assert difference.max() < 1e-3 and np.mean(difference < 1e-4) >= 0.97
        png = read_pixels(tmp_path / "record/point_exp/scene/nv" / f"colour_{view}.png")
        assert np.abs(png.astype(int) - stored[f"png_{view}"]).max() <= 1
        assert (png[~picture.covered.numpy()] == 255).all()


def test_scores_are_written_with_their_protocol(open_case, tmp_path, capsys):
    _, _, words = open_case("render_ss1")
    main([*words, "splitName", "half"])
    folder = tmp_path / "record/point_exp/scene/half"
    content = json.loads((folder / "metrics.json").read_text())
    assert content["protocol"].startswith("protocol xscale_nvs")
    assert [entry["view"] for entry in content["views"]] == [0, 3]
    assert content["mean"]["psnr"] == pytest.approx(np.mean([entry["psnr"] for entry in content["views"]]))
    assert (folder / "gt").is_dir() and not any((folder / "gt").iterdir())
    output = capsys.readouterr().out
    assert f"{content['mean']['psnr']:.2f}" in output and "PSNR over all pixels" in output


def test_scores_compare_the_written_picture_with_the_photograph(open_case, tmp_path):
    """The photographs of the stored scene are black: PSNR over covered pixels is that of the written bytes alone."""
    _, params, _ = open_case("render_ss1")
    entry = render_test_views(params)[0]
    png = read_pixels(tmp_path / "record/point_exp/scene/nv/colour_0.png")
    covered = ~(png == 255).all(axis=-1)
    mean_square = np.mean((png[covered] / 255.0) ** 2)
    assert entry.psnr_covered == pytest.approx(-10 * np.log10(mean_square), abs=0.05)
    assert entry.covered == pytest.approx(covered.mean(), abs=1e-3)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trajectory_lit_id", "1"], "no row 1 in a table of 1 codes"),
        (["trajectory_wb_id", "9"], "no row 9 in a table of 4 codes"),
        (["descriptor_dim", "32"], "is it for this network"),
        (["load_checkpoint_dir", "/nowhere.pth.tar"], "no checkpoint /nowhere.pth.tar"),
        (["test_view_list", "[77]"], "names view 77 but"),
    ],
)
def test_what_cannot_be_rendered_is_one_sentence(open_case, words, sentence):
    _, _, given = open_case("render_ss1")
    with pytest.raises((ValueError, RuntimeError, FileNotFoundError), match=sentence):
        render_test_views(load_params(overrides=[*given, *words]))


def test_without_a_checkpoint_the_runs_newest_is_rendered_and_without_a_run_the_user_is_warned(
    open_case, tmp_path, caplog
):
    _, _, words = open_case("render_ss1")
    words += ["load_checkpoint_dir", "None"]
    params = load_params(overrides=words)
    assert test_views.open_model(params) is not None
    assert "the model is untrained" in caplog.text
    given = load_params(overrides=[*words, "checkpoint_dir", str(tmp_path / "state")])
    trained = build_model(params)
    save_model(tmp_path / "state", trained, 200, 0, 2e-4)
    found = test_views.open_model(given).state_dict()
    assert all(torch.equal(value, found[name]) for name, value in trained.state_dict().items())
