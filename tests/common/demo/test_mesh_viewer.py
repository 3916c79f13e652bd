import base64

import numpy as np
import pytest
import torch
import trimesh

from common.bounding_cubes import Cube
from common.cameras import Camera
from common.demo.blocks import Section, page_html
from common.demo.mesh_viewer import BALL, MeshViewer, ShownMesh, packed, thinned, turntable, within
from common.renderer import SurfaceMesh
from tests.common.demo.test_report import Page
from tests.scenes import camera_pose

CUBE = Cube(np.array([0.3, 0.1, 0.5]), 0.8)


def camera(azimuth=0.4, elevation=0.7):
    intrinsics = torch.tensor([[70.0, 0, 39.5], [0, 70.0, 29.5], [0, 0, 1]])
    return Camera(intrinsics, torch.from_numpy(camera_pose(azimuth, elevation, 0.3)).float(), 60, 80, (1.0, 5.0))


def ball(subdivisions=3, radius=0.4):
    sphere = trimesh.creation.icosphere(subdivisions, radius)
    vertices = torch.from_numpy(sphere.vertices + CUBE.center).float()
    return SurfaceMesh(vertices, torch.from_numpy(sphere.faces).long(), torch.from_numpy(0.5 + sphere.vertices).float())


def unpacked(text, num_vertices, num_faces):
    data = base64.b64decode(text)
    assert len(data) == 6 * num_faces + 9 * num_vertices
    faces = np.frombuffer(data, "<u2", 3 * num_faces).reshape(-1, 3)
    positions = np.frombuffer(data, "<i2", 3 * num_vertices, 6 * num_faces).reshape(-1, 3)
    return faces, positions / 32767, np.frombuffer(data, "u1", offset=6 * (num_faces + num_vertices)).reshape(-1, 3)


def test_a_packed_mesh_is_the_mesh():
    mesh, (turn, _, _) = ball(), turntable(camera(), CUBE, (0.0, 0.0, 1.0))
    faces, positions, colors = unpacked(packed(mesh, CUBE, turn), len(mesh.vertices), len(mesh.faces))
    np.testing.assert_array_equal(faces, mesh.faces)
    back = positions * BALL * CUBE.radius @ turn + CUBE.center
    np.testing.assert_allclose(back, mesh.vertices, atol=1e-4)
    np.testing.assert_allclose(colors / 255, mesh.colors, atol=0.5 / 255 + 1e-6)
    assert (np.linalg.norm((CUBE.corners - CUBE.center) / (BALL * CUBE.radius), axis=1) < 1).all()


def test_meshes_turn_about_the_vertical_and_the_camera_stands_in_front():
    turn, pitch, distance = turntable(camera(), CUBE, (0.0, 0.0, 2.0))
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1.0)
    np.testing.assert_allclose(turn[1], [0, 0, 1])
    pose = camera().world_to_cam.double().numpy()
    position = turn @ (-pose[:3, :3].T @ pose[:3, 3] - CUBE.center) / CUBE.radius
    np.testing.assert_allclose(position, [0, distance * np.sin(pitch), distance * np.cos(pitch)], atol=1e-6)
    with pytest.raises(ValueError, match="give another direction that stays upright"):
        turntable(camera(), CUBE, tuple(position @ turn))


def test_thinning_keeps_the_surface_and_its_colours():
    mesh = ball(5)
    thin = thinned(mesh, 3000)
    assert 2000 < len(thin.vertices) <= 3000 < len(mesh.vertices)
    radii = (thin.vertices - torch.from_numpy(CUBE.center)).norm(dim=1)
    assert 0.39 < radii.min() <= radii.max() < 0.401
    torch.testing.assert_close(thin.colors, 0.5 + thin.vertices - torch.from_numpy(CUBE.center).float())
    assert len(np.unique(thin.faces)) == len(thin.vertices)
    area = trimesh.Trimesh(thin.vertices.numpy(), thin.faces.numpy(), process=False).area
    assert area == pytest.approx(4 * np.pi * 0.4**2, rel=0.01)
    assert thinned(ball(2)).vertices.shape == ball(2).vertices.shape


def test_what_lies_outside_the_cube_is_left_out():
    mesh = ball()
    half = within(mesh, Cube(CUBE.center + np.array([0.5, 0, 0]), 0.5))
    assert 0.4 * len(mesh.faces) < len(half.faces) < 0.6 * len(mesh.faces)
    torch.testing.assert_close(half.colors, 0.5 + half.vertices - torch.from_numpy(CUBE.center).float())
    with pytest.raises(ValueError, match="none of the 1280 faces of the mesh lies in the cube"):
        within(mesh, Cube(CUBE.center + 5, 0.5))


def test_the_page_carries_meshes_their_pictures_and_the_program_once():
    plain = SurfaceMesh(ball().vertices, ball().faces)
    viewer = MeshViewer([ShownMesh(ball(), "A <ball>", "Ball", "1 mm"), ShownMesh(plain, "B", "Plain")], CUBE, camera())
    html = page_html("T", "L", [Section("a", "A", [viewer, viewer])], "F")
    page = Page(html)
    assert len(page.all("script")) == 1 and "webgl2" in html
    assert len(page.all("canvas")) == len(page.all("img")) == 4
    canvas = page.all("canvas")[0]
    assert canvas["aria-label"] == "A <ball>" and canvas["data-counts"] == "642 1280"
    unpacked(canvas["data-mesh"], 642, 1280)
    assert all(picture["src"].startswith("data:image/webp;base64,") for picture in page.all("img"))
    assert [button["value"] for button in page.all("button")] == ["painted", "plain"] * 2
    assert "http" not in html
