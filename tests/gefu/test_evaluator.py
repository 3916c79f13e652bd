import json

import numpy as np
import pytest
import torch

from common.io.images import read_pixels
from gefu.data.loaders import build_test_loader
from gefu.evaluator import evaluate


class Answers(torch.nn.Module):
    """A network that gives prepared answers."""

    def __init__(self, outputs):
        super().__init__()
        self.anything = torch.nn.Parameter(torch.zeros(1))
        self.outputs = outputs
        self.modes = []

    def forward(self, batch):
        self.modes.append(self.training)
        return self.outputs


@pytest.fixture
def metrics_case(deterministic):
    """Outputs and batch of the metrics fixture."""

    def array(name, *rest):
        return deterministic.array(f"open/gefu/metrics/{name}", *rest)

    outputs, batch, meta = {}, {}, {"scene": ["scan1"], "tar_view": torch.tensor([24]), "frame_id": torch.tensor([0])}
    for level, (height, width) in enumerate([(24, 32), (96, 128)]):
        coarse = torch.from_numpy(array(f"gt{level}", (1, 3, height // 8, width // 8)))
        truth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=True).sigmoid()
        truth = truth.permute(0, 2, 3, 1).reshape(1, -1, 3)
        noise = torch.from_numpy(array(f"noise{level}", (height, width, 3), 0.05)).reshape(1, -1, 3)
        outputs[f"rgb_level{level}"] = truth + noise
        mask = array(f"mask{level}", (height, width)) > -0.8
        batch |= {f"rgb_{level}": truth, f"msk_{level}": torch.from_numpy(mask.reshape(1, -1).astype(np.uint8))}
        meta |= {f"h_{level}": torch.tensor([height]), f"w_{level}": torch.tensor([width])}
    depth = 600 + array("depth", (1, 96, 128), 40)
    depth[..., :7] = 0
    batch["tar_dpt"] = torch.from_numpy(depth)
    outputs["depth_level1"] = torch.from_numpy(depth + array("depth_err", (1, 96, 128), 6)).reshape(1, -1)
    outputs["depth_mvs_level1"] = torch.from_numpy(600 + array("mvs", (1, 48, 64), 40))
    return Answers(outputs), batch | {"meta": meta}


@pytest.mark.parametrize("center", [0, 1])
def test_scores_and_depth_errors_equal_the_release(
    golden, metrics_case, fern_config, stand_in_vgg_lpips, center, capsys
):
    network, batch = metrics_case
    cfg = fern_config("gefu.eval_center", str(bool(center)), "gefu.eval_depth", "True")
    kept = {name: value.clone() for name, value in batch.items() if name != "meta"}
    kept_outputs = {name: value.clone() for name, value in network.outputs.items()}
    means = evaluate(network.train(), [batch], cfg, stand_in_vgg_lpips)

    expected = {key.split("/")[1]: value for key, value in golden("gefu/metrics").items() if f"center{center}" in key}
    for name in ("psnr", "ssim", "lpips"):
        assert means[name] == pytest.approx(expected[f"{name}_1"], rel=1e-4, abs=1e-4)
    for name in ("abs", "acc_2", "acc_10", "mvs_abs", "mvs_acc_2", "mvs_acc_10"):
        assert means[name] == pytest.approx(expected[name], rel=1e-4)
    views = json.loads((cfg_path(cfg) / "metrics_llff.json").read_text())["views"]["scan1_level0"][0]
    for name in ("psnr", "ssim", "lpips"):
        assert views[name] == pytest.approx(expected[f"{name}_0"], rel=1e-4, abs=1e-4)

    assert all(torch.equal(batch[name], value) for name, value in kept.items())
    assert all(torch.equal(network.outputs[name], value) for name, value in kept_outputs.items())
    assert network.modes == [False]
    assert network.training
    printed = capsys.readouterr().out
    assert "scan1_level0 psnr" in printed
    assert "protocol gefu" in printed
    assert "FPS: " in printed


def cfg_path(cfg):
    from pathlib import Path

    return Path(cfg.result_dir)


def test_the_pipeline_on_the_fern_tree_equals_the_release(
    golden, fern_config, gained_network, stand_in_vgg_lpips, capsys
):
    expected = {key.removeprefix("llff/"): value for key, value in golden("gefu/pipeline").items()}
    cfg = fern_config("save_ply", "True")
    means = evaluate(gained_network(cfg), build_test_loader(cfg), cfg, stand_in_vgg_lpips)

    np.testing.assert_allclose(means["psnr"], expected["mean"][0], atol=2e-3)
    np.testing.assert_allclose([means["ssim"], means["lpips"]], expected["mean"][1:], atol=1e-4)
    report = json.loads((cfg_path(cfg) / "metrics_llff.json").read_text())
    for level in (0, 1):
        for name, tolerance in (("psnr", 2e-3), ("ssim", 1e-4), ("lpips", 1e-4)):
            values = [view[name] for view in report["views"][f"fern_level{level}"]]
            np.testing.assert_allclose(values, expected[f"{name}_level{level}"], atol=tolerance)

    targets = [int(view) for view in golden("gefu/datasets")["llff/test/targets"]]
    pictures = [cfg_path(cfg) / f"fern_{target}_0.png" for target in targets]
    assert all(path.is_file() for path in pictures)
    stored = read_pixels(pictures[0]).astype(int)
    assert stored.shape == tuple(expected["png_first_shape"])
    assert np.abs(stored - expected["png_first"]).max() <= 1

    folder = cfg_path(cfg) / "pointclouds" / "llff" / "fern"
    check_cloud(folder, f"fern_{targets[0]}_0", expected)
    assert "pictures are in" in capsys.readouterr().out


def check_cloud(folder, name, expected):
    from common.io.pfm import read_pfm

    body = (folder / "fern.ply").read_bytes().split(b"end_header\n", 1)[1]
    points = np.frombuffer(body, dtype=[("xyz", "<f4", 3), ("normal", "<f4", 3), ("rgb", "u1", 3)])
    assert len(points) == 4 * 96 * 128
    first = points[: 96 * 128 : 97]
    span = np.abs(expected["ply_xyz_first"]).max()
    np.testing.assert_allclose(first["xyz"], expected["ply_xyz_first"], atol=1e-4 * span)
    assert np.abs(first["rgb"].astype(int) - expected["ply_rgb_first"]).max() <= 1

    np.testing.assert_allclose(read_pfm(folder / "depth" / f"{name}.pfm"), expected["depth_level1"], rtol=1e-4)
    coloured = read_pixels(folder / "depth" / f"{name}.png").astype(int)[::4, ::4]
    # The release kept OpenCV's blue-green-red order; ours is the colour map as it is meant.
    assert np.abs(coloured[..., ::-1] - expected["depth_png_first"]).max() <= 1

    lines = (folder / "cam" / f"{name}.txt").read_text().split("\n")
    assert lines[0] == "extrinsic"
    assert [len(line.split()) for line in lines[1:5]] == [4, 4, 4, 4]
    assert all(line.endswith(" ") for line in lines[1:5])
    assert lines[5:7] == ["", "intrinsic"]
    assert [len(line.split()) for line in lines[7:10]] == [3, 3, 3]
    assert (folder / "images" / f"{name}.png").is_file()


def test_missing_lpips_weights_are_said_and_not_invented(metrics_case, fern_config, monkeypatch, capsys):
    monkeypatch.setenv("POLYVIEW_VGG16", "/absent/vgg16.pth")
    network, batch = metrics_case
    cfg = fern_config()
    means = evaluate(network, [batch], cfg)
    assert "lpips" not in means
    assert {"psnr", "ssim", "fps"} <= set(means)
    printed = capsys.readouterr().out
    assert "LPIPS was not computed: LPIPS needs the ImageNet weights vgg16-397923af.pth: download https://" in printed
    assert "lpips " not in printed
    assert "'lpips'" not in printed
    report = json.loads((cfg_path(cfg) / "metrics_llff.json").read_text())
    assert report["views"]["scan1_level1"][0]["lpips"] is None
    assert "download" in report["lpips_missing"]


def test_depth_counts_the_papers_scans_where_there_are_any(metrics_case, fern_config, capsys):
    network, batch = metrics_case
    cfg = fern_config("gefu.eval_depth", "True", "eval_lpips", "False")
    worse = {**batch, "tar_dpt": batch["tar_dpt"] + 100 * (batch["tar_dpt"] != 0), "meta": {**batch["meta"]}}
    worse["meta"]["scene"] = ["scan24"]
    alone = evaluate(network, [worse], cfg)
    assert alone["abs"] > 90
    assert "depth of scan24 (the paper scores scan1" in capsys.readouterr().out
    assert evaluate(network, [worse, batch], cfg)["abs"] < 10
    assert "depth of scan1 (" in capsys.readouterr().out


def test_views_without_true_depth_are_not_scored_and_that_is_said(metrics_case, fern_config, capsys):
    network, batch = metrics_case
    cfg = fern_config("gefu.eval_depth", "True", "eval_lpips", "False")
    del batch["tar_dpt"]
    assert "abs" not in evaluate(network, [batch], cfg)
    assert "depth was not scored: no test view has true depth" in capsys.readouterr().out


def test_nothing_is_written_without_save_result(metrics_case, fern_config):
    network, batch = metrics_case
    cfg = fern_config("save_result", "False", "eval_lpips", "False")
    evaluate(network, [batch], cfg)
    assert not cfg_path(cfg).exists()


def test_an_empty_test_set_is_refused(metrics_case, fern_config):
    with pytest.raises(ValueError, match="the test set is empty"):
        evaluate(metrics_case[0], [], fern_config("eval_lpips", "False"))
