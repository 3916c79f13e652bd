"""Tests and validation on a tiny scan: what is measured, what is written, and what a wrong command is told."""

import numpy as np
import pytest
import torch
from PIL import Image

from common.io.images import read_pixels
from common.io.pfm import write_pfm
from idnerf.evaluator import Evaluator, render_item
from idnerf.networks.network import build_network
from idnerf.options import load_options
from idnerf.scores import score_view
from idnerf.test import main
from tests.processes import run_together

SIZE = (64, 32)
SMALL = {
    "cpu": True,
    "name": "run",
    "n_src_views": 2,
    "encoder.num_transformer_layers": 1,
    "nerf.sample_intvs": 4,
    "data_test.llff": "",
    "data_test.dtu.img_wh": "64,32",
    "data_test.dtu.view_lists": "folder",
    "data_test.dtu.num_workers": 0,
}


@pytest.fixture(scope="module")
def dtu(tmp_path_factory, golden_module):
    """Two scans of nine views in DTU's layout, so that views 0 and 8 are targets; view 0 of the first has depth."""
    inputs = golden_module("idnerf/inputs.py")
    folder = tmp_path_factory.mktemp("DTU")
    for name in ("Cameras/train", "Rectified/scan1_train", "Rectified/scan2_train", "Depths/scan1"):
        (folder / name).mkdir(parents=True)
    for view in range(9):
        (folder / f"Cameras/train/{view:08d}_cam.txt").write_text(inputs.dtu_camera_file(view, *SIZE))
        for scan in (1, 2):
            pixels = inputs.picture(view + 9 * scan, SIZE[1], SIZE[0], 0)
            Image.fromarray(pixels).save(folder / f"Rectified/scan{scan}_train/rect_{view + 1:03d}_3_r5000.png")
    depth = np.full((2 * SIZE[1], 2 * SIZE[0]), 700, np.float32)
    depth[:, : SIZE[0]] = 0  # the left half of the picture does not count
    write_pfm(folder / "Depths/scan1/depth_map_0000.pfm", depth)
    return folder


@pytest.fixture
def words(dtu, tmp_path):
    """`words(key=value)`: a command line for a small test."""

    def build(**changes):
        values = SMALL | {"output_root": tmp_path, "data_test.dtu.root_dir": dtu} | changes
        return ["--yaml=test", *(f"--{key}={value}" for key, value in values.items())]

    return build


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    words = ["--yaml=test", "--n_src_views=2", "--encoder.num_transformer_layers=1", "--nerf.sample_intvs=4"]
    return build_network(load_options(words)).eval()


@pytest.fixture
def weights(network, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"model": network.state_dict()}, path)
    return path


def lines_of(folder):
    return (folder / "test" / "0results_dtu.txt").read_text().splitlines()


def test_every_view_is_scored_and_drawn(words, network, tmp_path, caplog):
    evaluator = Evaluator(load_options(words()))
    means = evaluator.test(network)
    assert lines_of(tmp_path / "run")[0] == "------------ DTU Nearest 2 ------------"
    views = [line.split(",")[0].split(": ")[1] for line in lines_of(tmp_path / "run") if line.startswith("==> ")]
    assert views == ["scan1_000", "scan1_008", "scan2_000", "scan2_008"]
    names = sorted(path.name for path in (tmp_path / "run/test/dtu").iterdir())
    assert len(names) == 8 and all(name.startswith("scan") for name in names)
    assert "no depth map" in caplog.text

    batch = next(iter(evaluator.test_loaders["dtu"]))
    item = render_item(network, batch)
    assert not item.known[:, :32].any() and item.known[:, 32:].all()
    scores = score_view(item.rgb, item.truth, item.known)
    assert f"PSNR: {scores['PSNR']}, SSIM: {scores['SSIM']}" in lines_of(tmp_path / "run")[1]
    assert scores["PSNR"] != score_view(item.rgb, item.truth)["PSNR"]
    written = read_pixels(next((tmp_path / "run/test/dtu").glob("scan1_view00_*.png")))
    np.testing.assert_array_equal(written, (255 * item.rgb.clip(0, 1)).astype(np.uint8))
    strip = read_pixels(next((tmp_path / "run/test/dtu").glob("scan1_view00_*.jpg")))
    assert strip.shape == (32, 3 * 64, 3)
    assert set(means["dtu"]) >= {"PSNR", "SSIM"}


def test_during_training_pictures_are_written_where_asked_for(words, network, tmp_path):
    Evaluator(load_options(words())).test(network, epoch=2, iteration=7, limit=1)
    assert not (tmp_path / "run/test/dtu").exists()
    opt = load_options([*words(), "--save_test_image", "--vis_depth!"])
    Evaluator(opt).test(network, epoch=2, iteration=7, limit=1)
    names = {path.suffix: path.name for path in (tmp_path / "run/test/dtu").iterdir()}
    assert set(names) == {".jpg", ".png"} and names[".jpg"].startswith("ep2_it7_scan1_view00_src")
    assert read_pixels(tmp_path / "run/test/dtu" / names[".jpg"]).shape == (32, 2 * 64, 3)
    assert len([line for line in lines_of(tmp_path / "run") if line.startswith("==> ")]) == 2


def test_validation_leaves_pictures_and_means(words, dtu, network, tmp_path):
    data = {"root_dir": dtu, "img_wh": "64,32", "view_lists": "folder"}
    opt = load_options(words(**{f"data_val.{key}": value for key, value in data.items()}))
    means = Evaluator(opt).validate(network, iteration=5, limit=1)
    assert means["PSNR"] > 0
    assert [path.name for path in (tmp_path / "run/validation").iterdir()] == ["scan1_view4_it5.jpg"]
    assert Evaluator(load_options(words())).validate(network, iteration=5) == {}


def test_full_scores_are_added_where_asked_for(words, network, tmp_path):
    opt = load_options([*words(), "--data_test.dtu.report_full_scores"])
    means = Evaluator(opt).test(network, limit=1)["dtu"]
    assert means["PSNR"] != means["PSNR_Full"]
    assert "PSNR_Full" in lines_of(tmp_path / "run")[1]


def test_missing_data_is_said_at_the_start_of_training(words, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"data_test.dtu.root_dir: .*leave the data set out with --data_test.dtu="
    ):
        Evaluator(load_options(words(**{"data_test.dtu.root_dir": tmp_path / "none"}))).check_data()
    quiet = {"freq.test_ep": -1, "freq.test_it": -1, "freq.val_it": -1, "freq.val_ep": -1}
    Evaluator(load_options(words(**quiet, **{"data_test.dtu.root_dir": tmp_path / "none"}))).check_data()


def test_the_command_tests_a_file_or_a_run(words, weights, tmp_path, capsys):
    main(words(load=weights, **{"data_test.dtu.max_len": 1}))
    first = lines_of(tmp_path / "run")
    assert "protocol idnerf," in capsys.readouterr().err
    models = tmp_path / "other" / "models"
    models.mkdir(parents=True)
    weights.rename(models / "latest.pth")
    main(words(resume=True, name="other", **{"data_test.dtu.max_len": 1}))
    assert lines_of(tmp_path / "other") == first


def test_the_command_makes_videos(words, weights, tmp_path):
    video = {"nerf.render_video": True, "nerf.video_n_frames": 2, "data_test.dtu.max_len": 1}
    main(words(load=weights, **video))
    assert [path.suffix for path in sorted((tmp_path / "run/test_videos/dtu").iterdir())] == [".jpg", ".mp4"]
    assert not (tmp_path / "run/test").exists()


def test_without_weights_nothing_is_tested(words, tmp_path):
    with pytest.raises(ValueError, match=r"needs trained weights; add --load=FILE, or --resume --name=RUN"):
        main(words())
    with pytest.raises(FileNotFoundError, match=r"no run with weights in .*run; name one"):
        main(words(resume=True))
    with pytest.raises(FileNotFoundError, match=r"load: no file .*nothing.pth.* name a checkpoint .* --load=FILE"):
        main(words(load="nothing.pth"))
    assert not list(tmp_path.glob("run/*"))


def test_parts_of_a_file_can_be_chosen(words, weights, capsys):
    main(words(load=weights, load_parts="feat_enc", **{"data_test.dtu.max_len": 1}))
    assert "latent_inference, nerf_dec: not asked for" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_score_what_one_scores(words, weights, tmp_path):
    main(words(load=weights, name="alone"))
    script = "import sys; from idnerf.test import main; main(sys.argv[1:])"
    run_together(script, *words(load=weights, name="", seed=""))  # each would choose another name
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir() and path.name != "alone")
    alone, together = lines_of(tmp_path / "alone"), lines_of(folder)
    assert len(alone) == len(together)
    for first, second in zip(alone, together, strict=True):
        assert first.split(",")[0] == second.split(",")[0]
        np.testing.assert_allclose(*(numbers_in(line) for line in (first, second)), atol=1e-4)
    assert len(list((folder / "test/dtu").iterdir())) == 8


def numbers_in(line):
    return [float(part.rpartition(" ")[2]) for part in line.rstrip(",").split(",")[1:]]
