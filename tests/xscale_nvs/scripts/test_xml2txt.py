import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.datasets.writers.metashape import write_metashape
from common.datasets.xscale import read_xscale
from common.entry_point import run_command
from common.io.images import read_pixels, write_image, write_pixels
from common.io.mvsnet_camera import read_mvsnet_camera
from tests.scenes import make_scene
from xscale_nvs.scripts import xml2txt

ROOT = Path(__file__).parents[3]


@pytest.fixture
def reference(golden, tmp_path):
    """The arrays of the reference run, and its inputs as a folder."""
    arrays = golden("xscale_nvs/metashape")
    (tmp_path / "cams.xml").write_bytes(bytes(arrays["xml"]))
    for index, image in enumerate(arrays["images"]):
        if index != arrays["missing_image"]:
            write_pixels(tmp_path / "images" / f"DJI_{index:04d}.png", image)
            (tmp_path / "images" / f"DJI_{index:04d}.png").rename(tmp_path / "images" / f"DJI_{index:04d}.JPG")
    return arrays, tmp_path


@pytest.fixture
def capture(tmp_path):
    scene = make_scene(num_views=3, same_focal=True)
    write_metashape(tmp_path, scene)
    (tmp_path / "toy" / "cameras.xml").rename(tmp_path / "toy" / "cams.xml")
    return scene, tmp_path / "toy"


def test_the_reference_run_is_reproduced(reference):
    arrays, folder = reference
    factor = int(arrays["dsp_factor"])
    xml2txt.main(["--subject_file", str(folder), "--dsp_factor", str(factor)])
    written = [*(folder / f"images_{factor}").iterdir(), *(folder / f"cams_{factor}").iterdir()]
    assert {path.name for path in written} == set(bytes(arrays["files"]).decode().split())
    for name in (name for name in arrays if name.startswith("cam_")):
        number = name.removeprefix("cam_")
        words = (folder / f"cams_{factor}" / f"DJI_{number}_cam.txt").read_text().split()
        expected = bytes(arrays[name]).decode().split()
        assert words[0] == expected[0] == "extrinsic" and words[17] == expected[17] == "intrinsic"
        numbers, wanted = (np.array([*text[1:17], *text[18:]], float) for text in (words, expected))
        np.testing.assert_allclose(numbers, wanted, rtol=1e-6, atol=1e-12)
        stored = read_pixels(folder / f"images_{factor}" / f"DJI_{number}.JPG").astype(int)
        # JPEG may change a picture of noise, but not by much on average, and not its size.
        assert stored.shape == arrays[f"small_{number}"].shape
        assert abs(stored.mean() - arrays[f"small_{number}"].mean()) < 3


def test_pictures_are_averaged_over_areas_exactly(reference, monkeypatch):
    arrays, folder = reference
    found = {}
    monkeypatch.setattr(xml2txt, "write_pixels", lambda path, pixels: found.update({path.stem: pixels}))
    xml2txt.convert(folder, int(arrays["dsp_factor"]))
    for name, pixels in found.items():
        np.testing.assert_array_equal(pixels, arrays[f"small_{name.removeprefix('DJI_')}"])
    assert len(found) == sum(name.startswith("small_") for name in arrays) > 0


def test_what_is_left_out_is_counted_and_the_lens_is_pointed_out(capture):
    _, folder = capture
    xml = folder / "cams.xml"
    extra = '<camera id="8" sensor_id="0" label="lost"/><group id="0">{}</group></cameras>'
    text = xml.read_text()
    last = text[text.rindex("<camera ") : text.index("</cameras>")]
    text = text.replace(last, "").replace("</cameras>", extra.format(last))
    xml.write_text(text.replace("</calibration>", "<k1>0.01</k1></calibration>"))
    (folder / "images" / "IMG_0002.JPG").unlink()
    assert xml2txt.convert(folder) == [
        f"1 views in {folder}",
        "left out 1 cameras not aligned",
        "left out 1 cameras without a photograph",
        "left out 1 cameras in groups, which the paper's script leaves out",
        f"the lens in {xml} is ignored: the photographs must be the undistorted ones of Metashape's export",
    ]


def test_an_absent_principal_point_is_the_middle(capture):
    _, folder = capture
    text = (folder / "cams.xml").read_text()
    for name in ("cx", "cy"):
        while f"<{name}>" in text:
            start, end = text.index(f"<{name}>"), text.index(f"</{name}>")
            text = text[:start] + text[end + len(f"</{name}>") :]
    (folder / "cams.xml").write_text(text)
    xml2txt.convert(folder, 2)
    camera = read_mvsnet_camera(folder / "cams_2" / "IMG_0001_cam.txt")
    np.testing.assert_array_equal(camera.intrinsics[:2, 2], [16, 12])


def test_the_first_calibration_counts_and_the_poses_are_those_of_the_scene(capture):
    scene, folder = capture
    xml2txt.convert(folder, 1, "left_")
    for index, (view, truth) in enumerate(zip(read_xscale(folder).views, scene.views, strict=True), 1):
        assert view.name == f"left_IMG_{index:04d}"
        assert view.intrinsics[0, 0] == view.intrinsics[1, 1] == pytest.approx(1.2 * 64)
        np.testing.assert_allclose(view.world_to_cam, truth.world_to_cam, atol=1e-9)


@pytest.mark.parametrize(
    ("folder", "script"),
    [
        (".", "xscale_nvs/scripts/xml2txt.py"),
        ("xscale_nvs", "scripts/xml2txt.py"),
        ("xscale_nvs/scripts", "xml2txt.py"),
    ],
)
def test_it_runs_from_the_root_and_from_inside(capture, folder, script):
    _, scene = capture
    command = [sys.executable, "-u", script, "--subject_file", str(scene)]
    run = subprocess.run(command, cwd=ROOT / folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert f"3 views in {scene}" in run.stdout


def duplicate_label(folder):
    (folder / "cams.xml").write_text((folder / "cams.xml").read_text().replace("IMG_0002", "IMG_0001"))


def leave_the_folder(folder):
    (folder / "cams.xml").write_text((folder / "cams.xml").read_text().replace("IMG_0002", "../../IMG_0002"))


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda c: (c / "cams.xml").unlink(), r"no file .*cams\.xml"),
        (lambda c: (c / "cams.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><document/>'), "declares XML entities"),
        (lambda c: write_image(c / "images/IMG_0002.JPG", np.zeros((9, 8, 3), np.uint8)), "has 8 x 9 pixels but its"),
        (lambda c: [path.unlink() for path in (c / "images").iterdir()], "none of the 3 aligned cameras"),
        (lambda c: (c / "images/IMG_0003.JPG").write_bytes(b"\xff\xd8\xff"), "cannot read the picture"),
        (duplicate_label, "has 2 cameras with the label 'IMG_0001'; give them different names"),
        (leave_the_folder, r"names the file '\.\./\.\./IMG_0002\.JPG', which is not inside"),
    ],
)
def test_bad_input_is_one_sentence(capture, capsys, break_it, sentence):
    _, folder = capture
    break_it(folder)
    with pytest.raises(SystemExit, match="1"):
        run_command(xml2txt.main, ["--subject_file", str(folder)])
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error: ") and re.search(sentence, message)


@pytest.mark.parametrize("factor", ["0", "49"])
def test_sizes_that_do_not_exist_are_refused(capture, capsys, factor):
    with pytest.raises(SystemExit, match="1"):
        run_command(xml2txt.main, ["--subject_file", str(capture[1]), "--dsp_factor", factor])
    assert factor in capsys.readouterr().err.splitlines()[-1]


def test_the_real_export_is_read_like_the_paper_reads_it(real_data, tmp_path):
    (tmp_path / "cams.xml").write_bytes((real_data / "metashape" / "cameras.xml").read_bytes())
    with pytest.raises(FileNotFoundError, match="none of the 94 aligned cameras"):
        xml2txt.convert(tmp_path)
