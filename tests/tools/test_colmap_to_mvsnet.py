import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.datasets.writers.colmap import CAPTURE_LENS, write_colmap
from common.datasets.xscale import read_xscale
from common.entry_point import run_command
from common.io.colmap_model import read_colmap_model
from common.io.images import write_image
from common.io.mvsnet_camera import read_mvsnet_camera
from common.io.pair_file import read_pair_file
from tests.scenes import make_scene
from tools import colmap_to_mvsnet

ROOT = Path(__file__).parents[2]
FLAGS = {
    "default": [],
    "max_d": ["--max_d", "192", "--interval_scale", "1.06", "--theta0", "7", "--sigma2", "12", "--test"],
}


@pytest.fixture
def capture(tmp_path):
    write_colmap(tmp_path, make_scene(num_views=3), lens=CAPTURE_LENS)
    return tmp_path / "toy"


@pytest.mark.parametrize("run", FLAGS)
def test_the_reference_run_is_reproduced(golden, tmp_path, run):
    arrays = golden("xscale_nvs/colmap")
    (tmp_path / "sparse").mkdir()
    for name in ("cameras", "images", "points3D"):
        (tmp_path / "sparse" / f"{name}.txt").write_bytes(bytes(arrays[f"{name}_txt"]))
    model = read_colmap_model(tmp_path / "sparse")
    for image in model.images.values():
        camera = model.cameras[image.camera_id]
        write_image(tmp_path / "images" / image.name, np.zeros((camera.height, camera.width, 3), np.uint8))
    colmap_to_mvsnet.main(["--dense_folder", str(tmp_path), *FLAGS[run]])
    assert len(list((tmp_path / "cams").iterdir())) == sum(name.startswith(f"{run}_cam_") for name in arrays) > 0
    for index in range(len(model.images)):
        words = (tmp_path / "cams" / f"{index:08d}_cam.txt").read_text().split()
        expected = bytes(arrays[f"{run}_cam_{index}"]).decode().split()
        numbers, wanted = (np.array([*text[1:17], *text[18:]], float) for text in (words, expected))
        np.testing.assert_allclose(numbers, wanted, rtol=1e-5, atol=1e-12)
    expected = bytes(arrays[f"{run}_pair"]).decode()
    words, wanted = (tmp_path / "pair.txt").read_text().split(), expected.split()
    assert [word for word in words if "." not in word] == [word for word in wanted if "." not in word]
    np.testing.assert_allclose(np.array(words, float), np.array(wanted, float), rtol=1e-5)


def test_a_scene_of_xscale_needs_no_renaming(capture, tmp_path, capsys):
    target = tmp_path / "scene"
    colmap_to_mvsnet.main(["--dense_folder", str(capture), "--xscale_folder", str(target), "--dsp_factor", "2"])
    assert [view.image.path.name for view in read_xscale(target, 2).views] == ["00000.JPG", "00001.JPG", "00002.JPG"]
    assert "put the mesh there" in capsys.readouterr().out
    assert not (capture / "cams").exists()


def test_the_flags_of_ours_reach_the_conversion(capture, tmp_path, caplog):
    folder = tmp_path / "elsewhere"
    flags = ["--output", str(folder), "--undistort", "--no_self", "--model", "sparse/0", "--convert_format"]
    colmap_to_mvsnet.main(["--dense_folder", str(capture), *flags])
    assert not caplog.records and not (capture / "cams").exists()
    assert (folder / "pair.txt").read_text().splitlines()[2].startswith("2 ")
    assert len(read_pair_file(folder / "pair.txt")) == 3
    assert read_mvsnet_camera(folder / "cams" / "00000002_cam.txt").depth_line


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--dense_folder", "nowhere"], "no COLMAP model in nowhere"),
        (["--dense_folder", "{}", "--max_d", "1"], "max_d is a number of depths from 2"),
        (["--dense_folder", "{}", "--sigma1", "0"], "sigma1 and sigma2 must be positive"),
        (["--dense_folder", "{}", "--xscale_folder", "{}/x", "--dsp_factor", "0"], "cannot be reduced by 0"),
    ],
)
def test_bad_input_is_one_sentence(capture, capsys, arguments, sentence):
    with pytest.raises(SystemExit, match="1"):
        run_command(colmap_to_mvsnet.main, [argument.format(capture) for argument in arguments])
    assert re.search(f"^error: .*{sentence}", capsys.readouterr().err.strip().splitlines()[-1])


@pytest.mark.parametrize(("folder", "script"), [(".", "tools"), ("xscale_nvs", "../tools")])
@pytest.mark.parametrize("name", ["colmap_to_mvsnet.py", "metashape_to_cams.py"])
def test_tools_start_from_the_root_and_from_a_methods_folder(folder, script, name):
    command = [sys.executable, f"{script}/{name}", "--help"]
    run = subprocess.run(command, cwd=ROOT / folder, capture_output=True, text=True)
    assert run.returncode == 0 and "--dsp_factor" in run.stdout, run.stderr
