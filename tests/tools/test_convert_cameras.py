import numpy as np
import pycolmap
import pytest

from common.conversion.scene_layouts import TARGETS
from common.datasets.loading import load_image
from common.datasets.open_scene import open_scene
from common.datasets.writers.metashape import write_metashape
from common.datasets.writers.mvsnet_folder import write_mvsnet_folder
from common.datasets.writers.transforms import write_transforms
from common.entry_point import run_command
from common.io.pair_file import read_pair_file
from tests.scenes import make_scene
from tools import convert_cameras

SOURCES = {"metashape": write_metashape, "transforms": write_transforms, "mvsnet": write_mvsnet_folder}


def convert(capture, target, output, *flags):
    convert_cameras.main(["--scene", str(capture), "--to", target, "--output", str(output), *flags])
    return open_scene(output).with_pixel_origin("center")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_holds_the_same_cameras_and_pictures(tmp_path, source, target):
    truth = make_scene(num_views=4)
    SOURCES[source](tmp_path, truth)
    found = convert(tmp_path / "toy", target, tmp_path / "out", *("--near_far", "2", "6"))
    assert len(found.views) == 4
    for view, expected in zip(found.views, truth.views, strict=True):
        np.testing.assert_allclose(view.intrinsics, expected.intrinsics, atol=1e-9)
        np.testing.assert_allclose(view.world_to_cam, expected.world_to_cam, atol=1e-9)
        assert view.distortion is None or view.distortion.is_zero
        inner = np.s_[8:-8, 8:-8]
        assert np.abs(load_image(view)[inner] * 255 - expected.image[inner]).mean() < 25


def test_bounds_and_pairs_reach_mvsnets_form(tmp_path):
    write_transforms(tmp_path, make_scene(num_views=4))
    scene = convert(tmp_path / "toy", "mvsnet", tmp_path / "out", "--near_far", "2", "6")
    assert all(view.near_far == (2.0, 6.0) for view in scene.views)
    pairs = read_pair_file(tmp_path / "out" / "pair.txt")
    # The cameras stand in a row: neighbours first.
    assert [source for source, _ in pairs[0]] == [1, 2, 3] and [source for source, _ in pairs[3]] == [2, 1, 0]


def test_pycolmap_reads_the_model(tmp_path):
    truth = make_scene(num_views=4)
    write_metashape(tmp_path, truth)
    convert(tmp_path / "toy", "colmap", tmp_path / "out")
    model = pycolmap.Reconstruction(str(tmp_path / "out" / "sparse"))
    assert len(model.images) == 4 and len(model.cameras) == 1
    for image, view in zip(sorted(model.images.values(), key=lambda image: image.name), truth.views, strict=True):
        np.testing.assert_allclose(image.cam_from_world().matrix(), view.world_to_cam[:3], atol=1e-9)
        assert (tmp_path / "out" / "images" / image.name).is_file()


def test_a_real_capture_with_a_lens_and_missing_photographs_converts(real_data, tmp_path):
    scene = convert(real_data / "kermit", "transforms", tmp_path / "out")
    assert len(scene.views) == 11 and scene.views[0].image.size == (640, 480)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--to", "xscale", "--output", "{}/toy"], "--output is the folder of the capture"),
        (["--to", "colmap", "--output", "{}/out", "--dsp_factor", "2"], "--dsp_factor belongs to --to xscale"),
        (["--to", "colmap", "--output", "{}/out", "--layout", "dtuu"], "unknown layout 'dtuu'"),
        (["--to", "mvsnet", "--output", "{}/out"], "too few features in common"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, capsys, flags, sentence):
    write_metashape(tmp_path, make_scene(num_views=2))
    with pytest.raises(SystemExit, match="1"):
        run_command(convert_cameras.main, ["--scene", f"{tmp_path}/toy", *(flag.format(tmp_path) for flag in flags)])
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error: ") and sentence in message


def test_skew_is_not_lost_silently(tmp_path, capsys):
    write_metashape(tmp_path, make_scene(num_views=2))
    xml = tmp_path / "toy" / "cameras.xml"
    xml.write_text(xml.read_text().replace("</calibration>", "<b2>3.0</b2></calibration>"))
    with pytest.raises(ValueError, match="has a skew of 3 pixels, which this layout cannot say"):
        convert(tmp_path / "toy", "colmap", tmp_path / "out")
    assert convert(tmp_path / "toy", "xscale", tmp_path / "out").views[0].intrinsics[0, 1] == 3
