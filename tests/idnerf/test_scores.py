import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from common.metrics.lpips import Lpips
from common.models.vgg16 import Vgg16
from idnerf.scores import ViewScores, add_results, mean_scores, results_lines, score_view

CHANNELS = (64, 128, 256, 512, 512)
RULES = Path(__file__).parents[1] / "golden" / "idnerf" / "checkpoint_rules.json"
TOLERANCES = {"PSNR": 1e-4, "SSIM": 1e-5, "LPIPS": 1e-6}


@pytest.fixture(scope="module")
def stand_in_lpips(deterministic):
    """LPIPS with the fixtures' weights."""
    features = Vgg16(num_groups=5)
    shapes = {name: tuple(value.shape) for name, value in features.state_dict().items()}
    weights = {
        name: torch.from_numpy(deterministic.weight(f"open/vgg/{name}", shape)) for name, shape in shapes.items()
    }
    features.load_state_dict(weights)
    linear = [np.abs(deterministic.array(f"open/vgg/lin{k}", (1, c, 1, 1))) / c for k, c in enumerate(CHANNELS)]
    return Lpips("vgg", features, [torch.from_numpy(values.astype(np.float32).ravel()) for values in linear])


@pytest.mark.parametrize("case", ["masked", "cropped"])
def test_measures_are_the_papers(golden, stand_in_lpips, case):
    stored = golden("idnerf/metrics")
    known = ~stored["in_mask"] if case == "masked" else None
    found = score_view(stored["in_pred"], stored["in_gt"], known, full=True, lpips=stand_in_lpips)
    assert set(found) == {name + ending for name in TOLERANCES for ending in ("", "_Full")}
    for name, value in found.items():
        assert value == pytest.approx(float(stored[f"out_{case}_{name}"]), abs=TOLERANCES[name.split("_")[0]])


def test_pictures_are_not_changed_by_scoring(golden):
    stored = golden("idnerf/metrics")
    kept = {name: stored[name].copy() for name in ("in_pred", "in_gt", "in_mask")}
    found = score_view(stored["in_pred"], stored["in_gt"], stored["in_mask"])
    assert math.isnan(found["LPIPS"]) and "PSNR_Full" not in found
    assert all(np.array_equal(stored[name], value) for name, value in kept.items())


@pytest.fixture
def released():
    """Views, and the lines that the released program writes for them."""
    rules = json.loads(RULES.read_text(encoding="utf8"))
    columns = rules["summary_returned"]["llff"]
    values = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    places = [("fern", 12), ("fern", 13), ("room", 35)]
    views = [ViewScores(*place, row) for place, row in zip(places, values, strict=True)]
    return views, rules["summary_file"]["0results_llff.txt"].splitlines()


def test_a_results_file_has_the_released_lines_and_the_last_scenes_mean(released, tmp_path):
    views, expected = released
    path = tmp_path / "test" / "0results_llff.txt"
    add_results(path, results_lines("llff", views))
    lines = path.read_text().splitlines()
    assert [line for line in lines if line != "====> scene: room, PSNR: 30.25, SSIM: 0.875, LPIPS: 0.0625,"] == expected
    assert len(lines) == len(expected) + 1
    add_results(path, results_lines("llff", views, "Fixed 2"))
    assert path.read_text().splitlines() == [*lines, "------------ LLFF Fixed 2 ------------", *lines[1:]]


def test_scenes_keep_the_whole_of_their_names():
    views = [ViewScores(scene, 1, {"PSNR": value}) for scene, value in (("my_room", 20.0), ("my_desk", 30.0))]
    assert list(results_lines("colmap", views))[1:] == [
        "==> view: my_room_001, PSNR: 20.0,",
        "====> scene: my_room, PSNR: 20.0,",
        "==> view: my_desk_001, PSNR: 30.0,",
        "====> scene: my_desk, PSNR: 30.0,",
        "======> COLMAP, PSNR: 25.0,",
    ]


def test_a_measure_that_a_view_lacks_has_no_mean():
    views = [ViewScores("a", view, {"PSNR": 20.0, "LPIPS": value}) for view, value in enumerate((0.5, math.nan))]
    assert mean_scores(views) == {"PSNR": 20.0}
    assert list(results_lines("dtu", views))[-1] == "======> DTU, PSNR: 20.0, LPIPS: nan,"
