import cv2
import numpy as np
import pytest
import torch

from gefu.data.batch import build_rays, scale_rows
from gefu.videos import render_path, save_videos, video_path

CASE = {"height": 64, "width": 96, "views": 3, "distance": 12, "focal": 105, "spread": 0.15, "phase": 0.3}
CASE |= {"near": 8, "far": 30, "size": 5}


class Counting:
    """Counts how often source features are computed."""

    def __init__(self, network):
        self.calls = 0
        self._encode = network.encode
        network.encode = self

    def __call__(self, *arguments):
        self.calls += 1
        return self._encode(*arguments)


@pytest.fixture
def item(golden_module):
    batch, _ = golden_module("gefu/scene.py").case(**CASE)
    meta = {"scene": ["fern"], "tar_view": torch.tensor([7]), "frame_id": torch.tensor([0])}
    return {name: torch.from_numpy(value) for name, value in batch.items()} | {"meta": meta}


@pytest.mark.parametrize("layout", ["dtu", "nerf", "llff"])
def test_the_path_and_its_rays_equal_the_release(golden, layout):
    stored = golden("gefu/datasets")
    expected = stored[f"{layout}/video/poses"]
    sources = torch.from_numpy(stored[f"{layout}/video/src_exts"])[None]
    number = {"llff": 0, "nerf": 0, "dtu": 1}[layout]
    near_far = torch.from_numpy(stored[f"{layout}/item{number}/near_far"])[None]
    path = np.stack(video_path(layout, {"src_exts": sources, "near_far": near_far}))
    np.testing.assert_allclose(path[:, :3], expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())

    ixt = stored[f"{layout}/item{number}/tar_ixt"]
    height, width = {"llff": (24, 32), "nerf": (16, 16), "dtu": (128, 160)}[layout]
    rays = build_rays(path[7], scale_rows(ixt, 0.25, 0.25), height, width)
    stride = 499 if layout == "dtu" else 17
    expected_rays = stored[f"{layout}/video/rays_0"]
    np.testing.assert_allclose(rays[::stride], expected_rays, rtol=1e-4, atol=1e-5 * np.abs(expected_rays).max())


def test_a_frame_at_the_target_is_the_forward_pass(item, fern_config, gained_network):
    network = gained_network(fern_config())
    network.eval()
    with torch.no_grad():
        expected = network({name: value for name, value in item.items() if name != "meta"})["rgb_level1"]
    frames = list(render_path(network, item, [item["tar_ext"][0].numpy().astype(np.float64)]))
    picture = (expected[0].numpy().reshape(64, 96, 3) * 255).astype(np.uint8)
    assert len(frames) == 1
    assert np.abs(frames[0].astype(int) - picture).max() <= 1


def test_a_video_computes_its_source_features_once_and_changes_nothing(
    item, fern_config, gained_network, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("gefu.videos.NUM_FRAMES", 5)
    cfg = fern_config()
    network = gained_network(cfg)
    counting = Counting(network)
    kept = {name: value.clone() for name, value in item.items() if name != "meta"}
    paths = save_videos(network, [item], cfg)
    assert counting.calls == 1
    assert all(torch.equal(item[name], value) for name, value in kept.items())
    assert [path.name for path in paths] == ["fern_7_0.mp4"]
    assert "5 frames are in" in capsys.readouterr().out

    capture = cv2.VideoCapture(str(paths[0]))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 5
    assert capture.get(cv2.CAP_PROP_FPS) == 10
    # eval_center leaves 52 x 78 pixels, which the encoder enlarges to multiples of 16
    assert (capture.get(cv2.CAP_PROP_FRAME_HEIGHT), capture.get(cv2.CAP_PROP_FRAME_WIDTH)) == (64, 80)
    assert capture.read()[1].std() > 5  # a picture, not one colour


def test_an_empty_test_set_is_refused(fern_config, gained_network):
    cfg = fern_config()
    with pytest.raises(ValueError, match="the test set is empty"):
        save_videos(gained_network(cfg), [], cfg)
