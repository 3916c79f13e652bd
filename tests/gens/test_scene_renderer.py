from dataclasses import replace

import numpy as np
import pytest
import torch

import gens
from common.bounding_cubes import Cube
from common.cameras import Camera
from common.datasets.dtu import read_dtu
from gens.config import load_config
from gens.data.datasets import DTUDataset
from gens.scene_renderer import GensRenderer
from gens.validation import MeshSettings, reconstruct

WORDS = ["model.volume.volume_dims", "[64,32,16,8,4]", "model.implicit_surface.render.perturb", "0"]


@pytest.fixture(scope="module")
def network(sphere_checkpoint):
    return gens.load(sphere_checkpoint, overrides=WORDS)


@pytest.fixture(scope="module")
def scene(tiny_dtu):
    return read_dtu(tiny_dtu, "scan1", "raw", depth="none")


@pytest.fixture(scope="module")
def renderer(network, scene, one_thread):
    renderer = GensRenderer(network, (64, 64), mesh_resolution=32)
    renderer.prepare(scene, [0, 1, 2])
    return renderer


def camera_of(view, height, width):
    matrices = torch.from_numpy(view.intrinsics).float(), torch.from_numpy(view.world_to_cam).float()
    return Camera(*matrices, 120, 160, view.near_far).resized(height, width)


def test_the_mesh_is_the_one_of_the_command(renderer, network, tiny_dtu):
    """Colours differ: the command does not blend from the reference view."""
    values = {"data_dir": tiny_dtu, "scene": "scan1", "ref_view": "[0]", "img_hw": "[64,64]", "num_src_view": 2}
    words = [str(word) for key, value in values.items() for word in (f"val_dataset.{key}", value)]
    item = DTUDataset(load_config("confs/gens.conf", words).val_dataset, training=False)[0]
    with torch.no_grad():
        expected = reconstruct(network, network.build_scene(item), item, MeshSettings(32))
    mesh = renderer.mesh()
    torch.testing.assert_close(mesh.faces, expected.faces)
    torch.testing.assert_close(mesh.vertices, expected.vertices, rtol=0, atol=0.05)
    assert 0 <= mesh.colors.min() <= mesh.colors.max() <= 1


def test_depths_of_a_picture_lie_on_the_mesh(renderer, scene):
    from scipy.spatial import cKDTree

    camera = camera_of(scene.views[3], 24, 32)
    rendering = renderer.render(camera)
    assert rendering.rgb.shape == (24, 32, 3)
    solid = rendering.opacity > 0.9
    assert solid.any()
    rows, columns = solid.nonzero(as_tuple=True)
    pixels = torch.stack([columns, rows, torch.ones_like(rows)], dim=-1).float()
    points_cam = pixels @ torch.linalg.inv(camera.intrinsics).T * rendering.depth[solid][:, None]
    points = (points_cam - camera.world_to_cam[:3, 3]) @ camera.world_to_cam[:3, :3]
    distance = cKDTree(renderer.mesh().vertices.numpy()).query(points.numpy())[0]
    assert np.median(distance) < 0.05 * renderer.cube.radius


def test_empty_space_has_no_depth(renderer, scene):
    rendering = renderer.render(camera_of(scene.views[0], 24, 32))
    empty = rendering.opacity < 0.5
    assert rendering.depth[empty].eq(0).all()


def test_the_cube_is_shown_on_the_photographs(renderer):
    assert renderer.preview().shape[0] == 64


def test_a_cube_can_be_given(network, scene, renderer):
    center = np.array([10.0, -5.0, 620.0])
    given = GensRenderer(network, (64, 64), cube=Cube(center, 150.0), mesh_resolution=16)
    given.prepare(scene, [0, 1])
    world_to_cam = scene.views[0].world_to_cam
    np.testing.assert_allclose(given.cube.center, world_to_cam[:3, :3] @ center + world_to_cam[:3, 3])
    assert given.cube.radius == 150.0


def test_points_of_the_scene_tell_where_the_cube_is(network, scene, renderer):
    points = np.random.default_rng(0).normal([10.0, -5.0, 620.0], 30.0, (200, 3))
    pointed = GensRenderer(network, (64, 64), mesh_resolution=16)
    pointed.prepare(replace(scene, points=points), [0, 1])
    world_to_cam = scene.views[0].world_to_cam
    offset = pointed.cube.center - (world_to_cam[:3, :3] @ [10.0, -5.0, 620.0] + world_to_cam[:3, 3])
    assert np.abs(offset).max() < 20.0
    assert pointed.cube.radius < 0.5 * renderer.cube.radius


def test_what_cannot_be_rendered_is_refused(network, scene):
    renderer = GensRenderer(network, (64, 64))
    with pytest.raises(RuntimeError, match=r"prepare\(scene, source_ids\) must be called"):
        renderer.mesh()
    with pytest.raises(ValueError, match="needs at least 2, got 1"):
        renderer.prepare(scene, [0])


def test_the_package_gives_renderers(scene, one_thread):
    renderer = gens.renderer("random", overrides=[*WORDS, "val_dataset.img_hw", "[64,64]"])
    assert isinstance(renderer, GensRenderer)
    with pytest.raises(FileNotFoundError, match="no GenS weights at nowhere"):
        gens.load("nowhere")
