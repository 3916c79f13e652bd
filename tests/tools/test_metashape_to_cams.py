import re

import pytest

from common.datasets.scene import Distortion
from common.datasets.writers.metashape import write_metashape
from common.datasets.xscale import read_xscale
from common.entry_point import run_command
from tests.scenes import make_scene
from tools import metashape_to_cams


@pytest.fixture
def capture(tmp_path):
    write_metashape(tmp_path, make_scene(num_views=3), lens=Distortion("opencv", (-0.05,)))
    (tmp_path / "toy" / "images").rename(tmp_path / "toy" / "originals")
    return tmp_path / "toy"


def test_the_documented_command_writes_a_scene(capture, tmp_path, capsys):
    flags = ["--images", "originals", "--chunk", "Chunk 1", "--mesh", str(capture / "1.obj"), "--key", "a_"]
    metashape_to_cams.main(
        ["--xml", str(capture / "cameras.xml"), "--output", str(tmp_path / "scene"), "--dsp_factor", "2", *flags]
    )
    assert [view.name for view in read_xscale(tmp_path / "scene", 2).views] == [
        "a_IMG_0001",
        "a_IMG_0002",
        "a_IMG_0003",
    ]
    assert "3 views, a_IMG_0001 to a_IMG_0003" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--xml", "nowhere"], r"no cameras\.xml or cams\.xml in nowhere"),
        (["--xml", "{}"], "no folder .*images with the photographs"),
        (["--xml", "{}", "--images", "originals", "--chunk", "other"], "has 0 chunks called 'other'"),
        (["--xml", "{}", "--images", "originals", "--mesh", "{}/2.obj"], r"no file .*2\.obj"),
    ],
)
def test_bad_input_is_one_sentence(capture, capsys, arguments, sentence):
    with pytest.raises(SystemExit, match="1"):
        run_command(metashape_to_cams.main, [argument.format(capture) for argument in arguments])
    assert re.search(f"^error: .*{sentence}", capsys.readouterr().err.strip().splitlines()[-1])
