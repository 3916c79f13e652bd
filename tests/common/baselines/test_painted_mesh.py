import dataclasses

import numpy as np
import pytest
import torch
import trimesh

from common.baselines.color_fitting import Observations, fit_colors
from common.baselines.painted_mesh import uv_texture, vertex_colors
from common.baselines.surface_colors import VertexColors, make_uv_texture
from common.cameras import Camera
from common.datasets.rendered_scene import RenderedScene, RenderedView
from common.datasets.writers.xscale import write_xscale
from common.datasets.xscale import read_xscale
from common.io.meshes import read_mesh
from common.metrics.images import psnr
from common.ops.rasterize import MeshRasterizer
from tests.scenes import camera_pose

SIZE = (160, 120)
INTRINSICS = np.array([[190.0, 0.0, 79.5], [0.0, 190.0, 59.5], [0.0, 0.0, 1.0]])


def roof():
    """Two slopes over a ground, every face in two large triangles, and a plate that no camera sees below it."""
    corners = [[-1, -1, 0], [1, -1, 0], [1, 0, 0.6], [-1, 0, 0.6], [1, 1, 0], [-1, 1, 0]]
    plate = [[-0.5, -0.5, -1], [0.5, -0.5, -1], [0.5, 0.5, -1]]
    faces = [[0, 1, 2], [0, 2, 3], [3, 2, 4], [3, 4, 5], [6, 7, 8]]
    return trimesh.Trimesh(np.array([*corners, *plate], float), faces, process=False)


def waves(points):
    """Smooth colours, far finer than the triangles."""
    return 0.5 + 0.4 * np.stack([np.sin(14 * points @ np.array(axis)) for axis in np.eye(3)[:, [1, 0, 2]] + 0.2], -1)


def linear(points):
    """Colours that triangles can show."""
    return 0.5 + 0.3 * points @ np.array([[0.8, 0.1, 0.2], [-0.3, 0.9, 0.1], [0.4, -0.2, 1.0]])


def photograph(mesh, pose, colors, background=1.0):
    rasterizer = MeshRasterizer(torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces.astype(np.int32)))
    found = rasterizer.visibility(torch.from_numpy(INTRINSICS), torch.from_numpy(pose), SIZE[1], SIZE[0], 0.01, 100.0)
    face, (u, v) = found.face.numpy(), np.moveaxis(found.barycentric.double().numpy(), -1, 0)[..., None]
    first, second, third = (mesh.vertices[mesh.faces[face, k]] for k in range(3))
    image = np.where(face[..., None] >= 0, colors(u * first + v * second + (1 - u - v) * third), background)
    return RenderedView((image * 255 + 0.5).astype(np.uint8), found.depth.numpy(), face >= 0, INTRINSICS, pose)


def scene_of(mesh, colors, folder, num_views=8):
    poses = [camera_pose(0.8 * index, 0.7 + 0.2 * (index % 2), 0.1 * index) for index in range(num_views)]
    views = tuple(photograph(mesh, pose, colors) for pose in poses)
    write_xscale(folder, RenderedScene("roof", views, (0.5, 9.0), mesh))
    return read_xscale(folder / "roof").with_pixel_origin("center")


def camera(scene, index):
    view = scene.views[index]
    return Camera(torch.from_numpy(view.intrinsics), torch.from_numpy(view.world_to_cam), *SIZE[::-1], (0.01, 100.0))


def error(renderer, scene, index, colors):
    truth = photograph(roof(), scene.views[index].world_to_cam, colors).image / 255.0
    return psnr(renderer.render(camera(scene, index)).rgb.numpy().clip(0, 1), truth.astype(np.float32))


@pytest.fixture(scope="module")
def wavy(tmp_path_factory):
    return scene_of(roof(), waves, tmp_path_factory.mktemp("wavy"))


def test_vertices_recover_colours_that_they_can_show(tmp_path):
    scene = scene_of(roof(), linear, tmp_path)
    painted = vertex_colors()
    painted.prepare(scene, range(1, 8))
    assert error(painted, scene, 0, linear) > 40
    assert painted.stored_bytes() == 9 * 3


def test_a_texture_recovers_what_vertices_cannot_and_more_so_with_more_memory(wavy):
    painted = vertex_colors()
    painted.prepare(wavy, range(1, 8))
    quality = [error(painted, wavy, 0, waves)]
    for num_bytes in (3_000, 60_000):
        painted = uv_texture(num_bytes)
        painted.prepare(wavy, range(1, 8))
        assert 0.6 * num_bytes < painted.stored_bytes() <= num_bytes
        quality.append(error(painted, wavy, 0, waves))
    assert quality[0] < 15
    assert quality[1] > quality[0] + 5
    assert quality[2] > quality[1] + 3
    assert quality[2] > 32


def test_depth_and_opacity_are_those_of_the_mesh(wavy):
    painted = vertex_colors()
    painted.prepare(wavy, [1, 2])
    found, truth = painted.render(camera(wavy, 0)), photograph(roof(), wavy.views[0].world_to_cam, waves)
    np.testing.assert_allclose(found.depth.numpy(), truth.depth, atol=1e-5)
    np.testing.assert_array_equal(found.opacity.numpy() > 0, truth.depth > 0)
    assert (found.rgb.numpy()[truth.depth == 0] == 1).all()


def test_what_stands_before_a_surface_leaves_no_trace_on_it(tmp_path):
    """A red plate hides much of a blue ground in every photograph; from elsewhere the ground is blue."""
    square = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    parts = [trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]]) for corners in (0.4 * square + [0, 0, 0.8], square)]
    mesh = trimesh.util.concatenate(parts)

    def red_on_blue(points):
        return np.where(points[..., 2:] > 0.4, [0.9, 0.1, 0.1], [0.1, 0.2, 0.8])

    scene = scene_of(mesh, red_on_blue, tmp_path)
    for painted in (vertex_colors(), uv_texture(30_000)):
        painted.prepare(scene, range(1, 8))
        truth = photograph(mesh, scene.views[0].world_to_cam, red_on_blue)
        difference = np.abs(painted.render(camera(scene, 0)).rgb.numpy() - truth.image / 255.0).max(axis=-1)
        # JPEG blurs colours over its blocks, so the outlines are not exact.
        steps = np.ptp(np.stack([np.roll(truth.image, (dy, dx), (0, 1)) for dy in (-9, 9) for dx in (-9, 9)]), axis=0)
        inside = steps.max(axis=-1) == 0
        assert 0.3 < inside.mean() < 0.9
        assert difference[inside].max() < 0.15  # red left on the ground would differ by 0.5


def test_the_fit_is_the_least_squares_solution():
    rng = np.random.default_rng(0)
    numbers, weights, trust = rng.integers(0, 5, (60, 3)), rng.random((60, 3)), rng.random(60)
    weights /= weights.sum(axis=1, keepdims=True)
    rgb = rng.uniform(0.4, 0.6, (60, 3))
    rows = np.zeros((60, 5))
    np.add.at(rows, (np.repeat(np.arange(60), 3), numbers.ravel()), weights.ravel())
    expected = np.linalg.lstsq(rows * np.sqrt(trust)[:, None], rgb * np.sqrt(trust)[:, None], rcond=None)[0]
    halves = np.split(np.arange(60), 2)
    parts = [Observations(numbers[half], weights[half], trust[half], rgb[half]) for half in halves]
    found = fit_colors(5, parts, np.array([[0, 1], [2, 3]]), smoothness=0.0)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_colour_that_nobody_sees_is_that_of_its_neighbours():
    pixels = Observations(np.array([[0], [2]]), np.ones((2, 1)), np.full(2, 100.0), np.array([[0.2] * 3, [0.6] * 3]))
    found = fit_colors(3, [pixels], np.array([[0, 1], [1, 2]]))
    np.testing.assert_allclose(found[:, 0], [0.2, 0.4, 0.6], atol=5e-3)


def test_triangles_that_nobody_sees_take_no_room():
    mesh = roof()
    arguments = mesh.vertices.astype(float), mesh.faces.astype(np.int32)
    texture = make_uv_texture(*arguments, np.array([True] * 4 + [False]), 3000)
    assert (texture.corners[4] == 0).all()
    assert np.ptp(texture.corners[:4].reshape(-1, 2), axis=0).min() > 20
    weights = texture.mix(np.array([0, 3]), np.array([[0.2, 0.3], [0.0, 1.0]]))[1]
    np.testing.assert_allclose(weights.sum(axis=1), 1)


def test_a_corner_of_a_triangle_shows_its_vertex():
    mesh = roof()
    storage = VertexColors(mesh.vertices.astype(float), mesh.faces.astype(np.int32), np.ones(5, bool))
    numbers, weights = storage.mix(np.array([2]), np.array([[0.0, 1.0]]))
    assert numbers[0, weights[0].argmax()] == 2
    assert weights.max() == 1


def test_impossible_wishes_end_in_a_sentence(wavy, tmp_path):
    with pytest.raises(RuntimeError, match="before prepare"):
        vertex_colors().render(camera(wavy, 0))
    with pytest.raises(ValueError, match="scene roof has no mesh to paint"):
        vertex_colors().prepare(dataclasses.replace(wavy, mesh=None), [0])
    with pytest.raises(ValueError, match="a texture of 20 bytes is too small for the 4 triangles"):
        uv_texture(20).prepare(wavy, [0])
    far = roof()
    far.apply_translation([50.0, 0, 0])
    far.export(tmp_path / "far.obj")
    with pytest.raises(ValueError, match="no pixel of the source photographs sees the mesh"):
        vertex_colors(tmp_path / "far.obj").prepare(wavy, [0])


def test_files_that_are_no_mesh_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        read_mesh(tmp_path / "none.obj")
    (tmp_path / "points.obj").write_text("v 0 0 0\nv 1 0 0\n")
    with pytest.raises(ValueError, match="has no faces"):
        read_mesh(tmp_path / "points.obj")
    (tmp_path / "junk.ply").write_text("this is no mesh")
    with pytest.raises(ValueError, match="cannot read the mesh"):
        read_mesh(tmp_path / "junk.ply")
