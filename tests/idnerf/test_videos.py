import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from common.cameras import Camera
from common.io.images import read_image_size
from idnerf.networks.network import build_network
from idnerf.options import load_options
from idnerf.videos import item_name, path_kind, render_path, save_videos, video_path
from idnerf.views import SourceViews

SIZE = (16, 32)


def options(*words):
    small = ["--encoder.num_transformer_layers=1", "--nerf.sample_intvs=4", "--nerf.video_n_frames=6"]
    given = {word.partition("=")[0] for word in words}
    return load_options(["--yaml=test", *(word for word in small if word.partition("=")[0] not in given), *words])


@pytest.fixture(scope="module")
def batch(golden_module):
    """An item of four cameras with pictures of 32 x 16."""
    inputs = golden_module("idnerf/inputs.py")
    extrinsics, intrinsics, near_fars = inputs.cameras(4, *SIZE, **inputs.OPEN_RIG)
    arrays = {
        "images": inputs.images(4, *SIZE, 0).clip(0, 1),
        "extrinsics": extrinsics,
        "intrinsics": intrinsics,
        "near_fars": near_fars,
        "view_ids": np.array([22, 3, 21, 32]),
        "c2ws_all": np.linalg.inv(extrinsics),
    }
    return {name: torch.from_numpy(array)[None] for name, array in arrays.items()} | {"scene": ["scan1"]}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network(options()).eval()


def sources_of(extrinsics):
    count = len(extrinsics)
    cameras = torch.eye(3).repeat(count, 1, 1), torch.ones(count, 2)
    return SourceViews(torch.zeros(count, 3, *SIZE), torch.as_tensor(extrinsics), *cameras)


@pytest.mark.parametrize(("kind", "scale"), [("interpolate", 0.1), ("spiral", 0.1), ("spiral_wide", 0.3)])
def test_paths_are_the_papers(golden, kind, scale):
    stored = golden("idnerf/video_paths")
    extrinsics = torch.eye(4).repeat(3, 1, 1)
    extrinsics[:, : stored["in_extrinsics"].shape[1]] = torch.from_numpy(stored["in_extrinsics"])
    target = Camera(torch.eye(3), torch.eye(4), *SIZE, tuple(stored["in_near_far"].tolist()))
    opt = options("--nerf.video_n_frames=12", f"--nerf.video_rads_scale={scale}")
    every = torch.from_numpy(stored["in_c2ws_all"])[None]
    poses = video_path(kind.removesuffix("_wide"), sources_of(extrinsics), target, opt, every)
    np.testing.assert_allclose(np.stack(poses)[:, :3], stored[f"out_{kind}"], atol=1e-5)


def test_two_sources_share_the_frames(batch):
    sources = sources_of(batch["extrinsics"][0, :2])
    target = Camera(torch.eye(3), torch.eye(4), *SIZE, (2.0, 4.0))
    poses = video_path("interpolate", sources, target, options("--nerf.video_n_frames=7"))
    assert len(poses) == 6
    np.testing.assert_allclose([poses[0], poses[3]], sources.extrinsics.numpy(), atol=1e-6)


def test_a_video_shows_colours_and_depth_and_its_sources(batch, network, tmp_path):
    opt = options("--name=run", f"--output_root={tmp_path}", "--nerf.save_frames", "--nerf.save_gif")
    (video,) = save_videos(network, [batch], "dtu", opt)
    assert video == tmp_path / "run/test_videos/dtu/scan1_view32_src22_03_21.mp4" and video.stat().st_size > 0
    names = {path.name.removeprefix(video.stem) for path in video.parent.iterdir()}
    assert names == {".mp4", ".jpg", ".gif", *(f"_f{number}.jpg" for number in range(6))}
    assert read_image_size(video.with_suffix(".jpg")) == (3 * SIZE[1], SIZE[0])
    assert read_image_size(video.with_name(f"{video.stem}_f0.jpg")) == (2 * SIZE[1], SIZE[0])
    with Image.open(video.with_suffix(".gif")) as gif:
        assert gif.n_frames > 1


def test_the_released_latent_is_imagined_once(batch, network, monkeypatch):
    sources = SourceViews(*(batch[name][0, :3] for name in ("images", "extrinsics", "intrinsics", "near_fars")))
    target = Camera(batch["intrinsics"][0, 3], batch["extrinsics"][0, 3], *SIZE, (2.0, 4.0))
    asked = []
    imagine = network.infer_latent

    def infer_latent(encoded, camera):
        asked.append(camera.world_to_cam.tolist())
        return imagine(encoded, camera)

    monkeypatch.setattr(network, "infer_latent", infer_latent)
    poses = list(batch["extrinsics"][0, :2].double().numpy())
    frames = {}
    for released in (False, True):
        asked.clear()
        opt = options(f"--parity.released_video_latent={json.dumps(released)}")
        monkeypatch.setattr(network, "opt", opt)
        frames[released] = list(render_path(network, sources, target, poses))
        expected = [target.world_to_cam.tolist()]
        assert asked == (expected if released else expected + batch["extrinsics"][0, :2].tolist())
    assert frames[True][0].shape == (SIZE[0], 2 * SIZE[1], 3)


def test_the_first_frame_of_the_targets_own_pose_is_its_picture(batch, network):
    sources = SourceViews(*(batch[name][0, :3] for name in ("images", "extrinsics", "intrinsics", "near_fars")))
    target = Camera(batch["intrinsics"][0, 3], batch["extrinsics"][0, 3], *SIZE, (2.0, 4.0))
    with torch.no_grad():
        encoded = network.encode(sources)
        rgb = network.render(encoded, network.infer_latent(encoded, target)[0], target)["rgb"]
    (frame,) = render_path(network, sources, replace(target), [target.world_to_cam.double().numpy()])
    expected = (rgb.clamp(0, 1).numpy() * 255).astype(np.uint8).reshape(*SIZE, 3)
    assert np.abs(frame[:, : SIZE[1]].astype(int) - expected).max() <= 1


def test_every_data_set_has_its_path():
    opt = load_options(["--yaml=test_colmap"])
    assert [path_kind(name, opt) for name in ("dtu", "llff", "colmap")] == ["interpolate", "spiral", "interpolate"]


def test_what_a_video_needs_is_asked_for(batch, network):
    with pytest.raises(ValueError, match=r"add --nerf.video_n_frames=60"):
        save_videos(network, [batch], "dtu", load_options(["--yaml=test"]))
    with pytest.raises(ValueError, match=r"add --data_test.colmap.render_path_mode=interpolate"):
        path_kind("colmap", load_options(["--yaml=test_colmap", "--data_test.colmap.render_path_mode="]))
    with pytest.raises(ValueError, match="a path through 3 sources needs that many"):
        save_videos(network, [batch], "dtu", options("--nerf.video_n_frames=2"))


def test_an_item_is_named_by_its_views(batch):
    assert item_name(batch) == "scan1_view32_src22_03_21"
