import dataclasses

import numpy as np
import pytest
import torch

import idnerf
from common.cameras import Camera
from common.datasets.scene import ImageFile, Scene, View
from common.io.images import read_image, write_image
from idnerf.scene_renderer import IdNerfRenderer

SIZE = (32, 64)  # height, width
SMALL = ("--encoder.num_transformer_layers=1", "--nerf.sample_intvs=6")
SOURCES = (0, 1, 2)


@pytest.fixture(scope="module")
def case(golden_module, tmp_path_factory):
    """A batch of the fixtures' cameras with 8-bit pictures, and the same views as a scene of files."""
    inputs = golden_module("idnerf/inputs.py")
    folder = tmp_path_factory.mktemp("views")
    extrinsics, intrinsics, near_fars = inputs.cameras(4, *SIZE, **inputs.OPEN_RIG)
    views, images = [], []
    for index, picture in enumerate(inputs.images(4, *SIZE, 0).clip(0, 1)):
        path = folder / f"{index}.png"
        write_image(path, picture.transpose(1, 2, 0))
        images.append(read_image(path).transpose(2, 0, 1))
        matrices = intrinsics[index].astype(np.float64), extrinsics[index].astype(np.float64)
        views.append(View(str(index), ImageFile(path, SIZE[::-1]), *matrices, tuple(near_fars[index].tolist())))
    arrays = {"images": np.stack(images), "extrinsics": extrinsics, "intrinsics": intrinsics, "near_fars": near_fars}
    return {name: torch.from_numpy(array)[None] for name, array in arrays.items()}, Scene("case", tuple(views))


@pytest.fixture(scope="module")
def network():
    return idnerf.load("random", overrides=SMALL)


def camera_of(view, height=SIZE[0], width=SIZE[1]):
    matrices = torch.from_numpy(view.intrinsics).float(), torch.from_numpy(view.world_to_cam).float()
    return Camera(*matrices, *SIZE, view.near_far).resized(height, width)


def render(network, scene, camera, **settings):
    renderer = IdNerfRenderer(network, **settings)
    renderer.prepare(scene, SOURCES)
    return renderer.render(camera)


def moved(scene, scale):
    """The same scene in a world that is turned, elsewhere and larger."""
    turn = np.linalg.qr(np.array([[1.0, 2.0, 0.5], [0.3, 1.0, -2.0], [0.7, -0.4, 1.0]]))[0]
    turn *= np.linalg.det(turn)

    def view_of(view):
        pose = view.world_to_cam.copy()
        pose[:3, 3] = scale * (pose[:3, 3] + pose[:3, :3] @ np.array([2.0, -1.0, 4.0]))
        pose[:3, :3] = pose[:3, :3] @ turn
        near_far = (scale * view.near_far[0], scale * view.near_far[1])
        return dataclasses.replace(view, world_to_cam=pose, near_far=near_far)

    return dataclasses.replace(scene, views=tuple(view_of(view) for view in scene.views))


def test_a_rendering_is_the_forward_pass(case, network):
    batch, scene = case
    with torch.no_grad():
        expected = {name: value[0].unflatten(0, SIZE) for name, value in network(batch, "test").items()}
    rendering = render(network, scene, camera_of(scene.views[3]))
    torch.testing.assert_close(rendering.rgb, expected["rgb"], atol=2e-4, rtol=0)
    torch.testing.assert_close(rendering.opacity, expected["opacity"][..., 0], atol=2e-4, rtol=0)
    solid = rendering.opacity > 0.6
    assert solid.any()
    depth = (expected["depth"] / expected["opacity"])[..., 0]
    torch.testing.assert_close(rendering.depth[solid], depth[solid], atol=2e-3, rtol=0)


def test_the_world_does_not_matter(case, network):
    _, scene = case
    there = moved(scene, 150.0)
    here = render(network, scene, camera_of(scene.views[3]))
    rendering = render(network, there, camera_of(there.views[3]))
    torch.testing.assert_close(rendering.rgb, here.rgb, atol=5e-4, rtol=0)
    torch.testing.assert_close(rendering.depth / 150, here.depth, atol=5e-3, rtol=0)


def test_sources_are_encoded_once_and_each_camera_has_its_latent(case, network, monkeypatch):
    _, scene = case
    calls = {"encode": 0, "infer_latent": 0}
    for name in calls:
        original = getattr(network, name)

        def count(*arguments, name=name, original=original):
            calls[name] += 1
            return original(*arguments)

        monkeypatch.setattr(network, name, count)
    renderer = IdNerfRenderer(network)
    renderer.prepare(scene, SOURCES)
    pictures = [renderer.render(camera_of(view, 8, 16)).rgb for view in scene.views[2:]]
    assert calls == {"encode": 1, "infer_latent": 2}
    assert not torch.equal(*pictures)


def test_slices_of_rays_make_no_difference(case, network):
    _, scene = case
    camera = camera_of(scene.views[3], 16, 24)
    whole, sliced = (render(network, scene, camera, chunk=chunk).rgb for chunk in (16 * 24, 37))
    torch.testing.assert_close(whole, sliced, atol=1e-5, rtol=0)


def test_corner_pixels_are_converted(case, network):
    _, scene = case
    camera = camera_of(scene.views[3], 8, 16)
    center, corner = (render(network, given, camera).rgb for given in (scene, scene.with_pixel_origin("corner")))
    torch.testing.assert_close(center, corner, atol=1e-4, rtol=0)


def test_large_pictures_are_made_smaller(case, network):
    _, scene = case
    renderer = IdNerfRenderer(network, most_pixels=16 * 32)
    renderer.prepare(scene, SOURCES)
    assert renderer.render(camera_of(scene.views[3])).rgb.shape == (*SIZE, 3)
    assert renderer._encoded.views.size == (16, 32)


def test_two_sources_with_a_network_for_two(case):
    _, scene = case
    renderer = idnerf.renderer("random", overrides=(*SMALL, "--n_src_views=2"))
    renderer.prepare(scene, [2, 0])
    assert renderer.render(camera_of(scene.views[3], 8, 16)).rgb.isfinite().all()


def test_what_cannot_work_is_said(case, network, tmp_path):
    _, scene = case
    renderer = IdNerfRenderer(network)
    with pytest.raises(RuntimeError, match="prepare"):
        renderer.render(camera_of(scene.views[0]))
    with pytest.raises(ValueError, match="take 3 source views, got 2"):
        renderer.prepare(scene, [0, 1])
    with pytest.raises(FileNotFoundError, match=r"no ID-NeRF weights at .*none.pth; give a checkpoint"):
        idnerf.load(tmp_path / "none.pth")


def test_weights_are_loaded_whole_or_not_at_all(network, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"model": network.state_dict()}, path)
    loaded = idnerf.load(path, overrides=SMALL)
    assert not loaded.training
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in loaded.state_dict().items())
    torch.save({"model": {f"feat_enc.{name}": value for name, value in network.feat_enc.state_dict().items()}}, path)
    with pytest.raises(RuntimeError, match="has no latent_inference"):
        idnerf.load(path, overrides=SMALL)
