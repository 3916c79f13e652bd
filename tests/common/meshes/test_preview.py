import dataclasses

import numpy as np
import pytest
import torch
import trimesh

from common.cameras import Camera
from common.meshes.preview import render_mesh, vertex_normals
from common.renderer import SurfaceMesh


def camera(width=80, height=60, depth=3.0):
    pose = torch.eye(4)
    pose[2, 3] = depth
    intrinsics = torch.tensor([[60.0, 0, (width - 1) / 2], [0, 60, (height - 1) / 2], [0, 0, 1]])
    return Camera(intrinsics, pose, height, width, (0.1, 0.2))


def ball(colors=None, radius=1.0):
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    return SurfaceMesh(torch.from_numpy(sphere.vertices).float(), torch.from_numpy(sphere.faces).long(), colors)


def test_the_silhouette_is_where_it_projects_and_the_lamp_is_above_left():
    picture = render_mesh(ball(), camera())
    assert picture.shape == (60, 80, 3)
    covered = (picture != 255).any(-1)
    radius = 60 / np.sqrt(3**2 - 1)
    y, x = np.nonzero(covered)
    assert covered.sum() == pytest.approx(np.pi * radius**2, rel=0.05)
    assert x.mean() == pytest.approx(39.5, abs=0.1) and y.mean() == pytest.approx(29.5, abs=0.1)
    assert picture[20, 32].mean() > picture[40, 48].mean() + 40


def test_colours_of_the_mesh_show_and_the_background_is_as_asked():
    colors = torch.tensor([0.2, 0.9, 0.1]).expand(len(ball().vertices), 3)
    picture = render_mesh(ball(colors), camera(), background=(0.0, 0.0, 1.0))
    assert picture[0, 0].tolist() == [0, 0, 255]
    red, green, blue = picture[30, 40].astype(float)
    assert green > 3 * red > 3 * blue


def test_normals_of_a_ball_point_away_from_its_middle():
    mesh = ball()
    torch.testing.assert_close(vertex_normals(mesh.vertices, mesh.faces), mesh.vertices, atol=0.01, rtol=0)


def test_a_mesh_behind_the_camera_is_one_sentence():
    with pytest.raises(ValueError, match="the mesh lies behind the camera"):
        render_mesh(ball(), camera(depth=-3.0))
    with pytest.raises(ValueError, match="without faces"):
        render_mesh(dataclasses.replace(ball(), faces=torch.zeros(0, 3, dtype=torch.long)), camera())


def test_a_camera_inside_the_mesh_sees_its_wall():
    assert (render_mesh(ball(), camera(depth=0.0)) != 255).all()
