import pytest

from common.datasets.dtu import read_dtu
from common.datasets.loading import load_image
from common.entry_point import run_command
from tools import make_scene


def test_the_documented_command_makes_scenes_that_their_reader_reads(tmp_path):
    arguments = ["--layout", "dtu", "--scenes", "2", "--seed", "3", "--size", "80x64", "--views", "3"]
    make_scene.main([*arguments, "--output", str(tmp_path)])
    for name in ("scan1", "scan2"):
        scene = read_dtu(tmp_path, name)
        assert len(scene.views) == 3
        assert load_image(scene.views[0]).std() > 0.05


def test_names_replace_the_count(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(make_scene, "make_scenes", lambda output, orders, workers: asked.extend(orders))
    make_scene.main(["--output", str(tmp_path), "--names", "scan24,scan37", "--seed", "8", "--layout", "dtu"])
    assert [(order.name, order.seed, order.size) for order in asked] == [
        ("scan24", 8, (640, 512)),
        ("scan37", 9, (640, 512)),
    ]


def test_another_rig_shows_other_things_in_the_same_layout(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(make_scene, "make_scenes", lambda output, orders, workers: asked.extend(orders))
    make_scene.main(["--output", str(tmp_path), "--layout", "xscale", "--rig", "town", "--size", "960x540"])
    make_scene.main(["--output", str(tmp_path), "--layout", "xscale"])
    assert [(order.layout, order.rig) for order in asked] == [("xscale", "town"), ("xscale", None)]
    assert asked[0].record() != asked[1].record()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--layout", "dtuu"], "unknown layout 'dtuu'; did you mean 'dtu'"),
        (["--size", "160"], "expected WIDTHxHEIGHT of at least 8x8, such as 160x128, got '160'"),
        (["--size", "4x4"], "expected WIDTHxHEIGHT of at least 8x8"),
        (["--scenes", "0"], "expected a number from 1, got '0'"),
        (["--rig", "city"], "choose from 'dtu'"),
        (["--views", "-3"], "expected a number from 1, got '-3'"),
        (["--names", "a/b"], "a scene is named with letters"),
        (["--seed", "-1", "--size", "16x16"], "a seed is an integer from 0, not -1"),
        (["--views", "70", "--size", "16x16"], "the dtu rig has 1 to 49 views, not 70"),
    ],
)
def test_wrong_arguments_end_in_one_sentence(arguments, sentence, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run_command(make_scene.main, ["--output", str(tmp_path / "out"), *arguments])
    assert ended.value.code != 0
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "error: " in last
    assert sentence in last


def test_an_output_that_is_a_file_is_refused_before_anything_is_made(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(FileExistsError):
        make_scene.main(["--output", str(tmp_path / "out"), "--size", "16x16", "--views", "1"])
