import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import xscale_quality
from benchmarks.xscale_quality import Result, details, report
from common.datasets.writers.xscale import write_xscale
from common.io.images import read_image, write_image
from tests.scenes import make_scene


def result(name, level, quality):
    picture = np.full((60, 90, 3), level, np.float32)
    return Result(name, [picture, picture], quality, 12.0, 5_000_000)


def test_the_report_states_the_distance_to_every_baseline():
    results = [
        result("ours", 0.5, [24.0, 26.0]),
        result("texture", 0.4, [23.0, 24.0]),
        result("vertex", 0.3, [18.0, 20.0]),
    ]
    text = report(results, {"caching rays": 10.0, "training": 300.0, "rendering": 20.0})
    assert "ours: +1.50 dB against texture, +6.00 dB against vertex" in text
    assert "caching rays 10 s, training 300 s, rendering 20 s; together 330 s on 2 cores" in text
    assert "25.00 dB ( 24.00 to 26.00)" in text and "5.00 MB" in text


def test_details_show_the_photograph_first_and_then_everybody():
    truth = np.random.default_rng(0).random((60, 90, 3), np.float32)
    strip = details([result("a", 0.5, []), result("b", 0.25, [])], truth, 1, count=2)
    assert strip.shape == (2 * 36, 3 * 54 + 2 * 6, 3)
    assert (strip[:, 60:114] == 127).all() and (strip[:, 120:] == 63).all()


def test_a_command_that_fails_ends_the_measurement(monkeypatch, tmp_path):
    monkeypatch.setattr(xscale_quality, "COMMANDS", (("training", ("bash", "-c", "exit 3")),))
    with pytest.raises(RuntimeError, match="training ended with code 3"):
        xscale_quality._run_commands([])


def test_what_the_commands_wrote_is_scored_beside_the_baselines(tmp_path, capsys, monkeypatch):
    """On a sphere before a plane; in place of the commands somebody writes the photographs, a little darker."""

    def make(folder, orders):
        (order,) = orders
        assert (order.layout, order.rig) == ("xscale", "town")
        write_xscale(folder, make_scene(order.name, order.num_views, order.size, centered=True))

    def run(arguments):
        words = dict(zip(arguments[0::2], arguments[1::2], strict=True))
        assert (words["--params"], words["all_view_list"]) == ("configs/small_scene.py", "0:8:1")
        assert words["max_epoch"] == "4"
        scene = Path(words["datasetFolder"], words["modelName"])
        for index in (0, 7):
            picture = 0.99 * read_image(scene / "images_1" / f"{index:05d}.JPG")
            write_image(Path(words["root_file"], "point_exp", words["modelName"], "nv", f"colour_{index}.png"), picture)
        return {"training": 1.0}

    monkeypatch.setattr(xscale_quality, "make_scenes", make)
    monkeypatch.setattr(xscale_quality, "_run_commands", run)
    folders = ["--data", str(tmp_path / "data"), "--output", str(tmp_path / "out")]
    xscale_quality.main([*folders, "--size", "96", "54", "--views", "8", "log2_hashmap_size", "10", "max_epoch", "4"])
    text = capsys.readouterr().out
    assert "PSNR over 2 held-out views" in text
    margin = float(re.search(r"([+-]\d+\.\d\d) dB against colour per vertex", text)[1])
    assert margin > 20
    assert sorted(path.name for path in (tmp_path / "out" / "details").iterdir()) == ["view0.png", "view7.png"]
