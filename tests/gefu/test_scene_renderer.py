import numpy as np
import pytest
import torch

import gefu
from common.cameras import Camera
from common.datasets.scene import ImageFile, Scene, View
from common.io.images import read_image, write_image
from gefu.scene_renderer import GefuRenderer

CASE = {"height": 64, "width": 96, "views": 3, "distance": 12, "focal": 105, "spread": 0.15, "phase": 0.3}
CASE |= {"near": 8, "far": 30, "size": 5}
NEAR_FAR = (8.0, 30.0)


@pytest.fixture(scope="module")
def case(golden_module, tmp_path_factory):
    """The batch of a fixture with 8-bit source images, and the same views as a scene of files."""
    folder = tmp_path_factory.mktemp("views")
    batch, _ = golden_module("gefu/scene.py").case(**CASE)
    views = []
    for index in range(3):
        path = folder / f"{index}.png"
        write_image(path, batch["src_inps"][0, index].transpose(1, 2, 0) / 2 + 0.5)
        batch["src_inps"][0, index] = read_image(path).transpose(2, 0, 1) * 2 - 1
        intrinsics, world_to_cam = (batch[f"src_{name}s"][0, index].astype(np.float64) for name in ("ixt", "ext"))
        views.append(View(str(index), ImageFile(path, (96, 64)), intrinsics, world_to_cam))
    return {name: torch.from_numpy(value) for name, value in batch.items()}, Scene("case", tuple(views))


@pytest.fixture(scope="module")
def network(gained_network):
    from gefu.config import load_config

    return gained_network(load_config("configs/gefu/dtu_pretrain.yaml"))


def target(batch, height=64, width=96):
    return Camera(batch["tar_ixt"][0], batch["tar_ext"][0], height, width, NEAR_FAR)


def test_a_rendering_is_the_forward_pass(case, network):
    batch, scene = case
    with torch.no_grad():
        expected = network(batch)
    renderer = GefuRenderer(network)
    renderer.prepare(scene, [0, 1, 2])
    rendering = renderer.render(target(batch))
    torch.testing.assert_close(rendering.rgb, expected["rgb_level1"][0].unflatten(0, (64, 96)), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(rendering.depth, expected["depth_level1"][0].unflatten(0, (64, 96)), rtol=1e-3, atol=0)
    assert (rendering.opacity == 1).all()
    assert renderer.mesh() is None


def test_corner_pixels_are_converted(case, network):
    batch, scene = case
    renderer = GefuRenderer(network)
    renderer.prepare(scene, [0, 1, 2])
    centered = renderer.render(target(batch))
    renderer.prepare(scene.with_pixel_origin("corner"), [0, 1, 2])
    torch.testing.assert_close(renderer.render(target(batch)).rgb, centered.rgb, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(64, 96), (50, 70), (33, 129), (7, 5)])
def test_any_size_comes_out(case, network, size):
    batch, scene = case
    renderer = GefuRenderer(network)
    renderer.prepare(scene, [2, 0])
    rendering = renderer.render(target(batch).resized(*size))
    assert rendering.rgb.shape == (*size, 3)
    assert rendering.depth.shape == size
    assert 0 <= rendering.rgb.min() <= rendering.rgb.max() <= 1
    assert 5 < rendering.depth.min() <= rendering.depth.max() < 40


def test_a_smaller_camera_sees_a_part_of_the_same_picture(case, network):
    batch, scene = case
    renderer = GefuRenderer(network)
    renderer.prepare(scene, [0, 1, 2])
    whole, part = renderer.render(target(batch)), renderer.render(target(batch, 60, 90))
    torch.testing.assert_close(part.rgb, whole.rgb[:60, :90], rtol=1e-4, atol=1e-4)


def test_source_pictures_of_odd_and_mixed_sizes_are_accepted(case, network, tmp_path):
    batch, scene = case
    views = list(scene.views)
    cut = read_image(views[1].image.path)[:50, :90]
    write_image(tmp_path / "cut.png", cut)
    views[1] = View("cut", ImageFile(tmp_path / "cut.png", (90, 50)), views[1].intrinsics, views[1].world_to_cam)
    mixed = Scene("mixed", tuple(views))
    renderer = GefuRenderer(network)
    for order in ([0, 1, 2], [1, 0, 2]):
        renderer.prepare(mixed, order)
        assert torch.isfinite(renderer.render(target(batch)).rgb).all()


def test_what_cannot_be_rendered_is_refused(case, network):
    batch, scene = case
    renderer = GefuRenderer(network)
    with pytest.raises(RuntimeError, match=r"prepare\(scene, source_ids\) must be called"):
        renderer.render(target(batch))
    with pytest.raises(ValueError, match="needs at least 2, got 1"):
        renderer.prepare(scene, [0])


def test_the_package_gives_a_renderer_again_and_again(case):
    batch, scene = case
    for _ in range(2):
        renderer = gefu.renderer("random")
    renderer.prepare(scene, [0, 1])
    assert renderer.render(target(batch)).rgb.shape == (64, 96, 3)
