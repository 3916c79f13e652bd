import numpy as np
import pytest
import trimesh

from common.synthetic import shapes
from common.synthetic.surfaces import join_surfaces, rotation_x, rotation_z, smooth_normals

STAR = np.array([[r * np.cos(a), r * np.sin(a)] for a, r in zip(np.arange(10) * 0.62832, [30, 18] * 5, strict=True)])
CURVE = np.array([[0.0, 0, 5], [10, 0, 9], [18, 6, 12], [22, 14, 12]])
SOLIDS = {
    "box": lambda: shapes.box((30.0, 20.0, 10.0)),
    "turned": lambda: shapes.turned(np.array([[0.0, 0], [20, 0], [14, 30], [0, 40]])),
    "superquadric": lambda: shapes.superquadric((40.0, 40.0, 40.0), 1.0, 1.0),
    "tube": lambda: shapes.tube(CURVE, 3.0, closed=False),
    "knot": lambda: shapes.knot(80.0, 2, 3, 5.0),
    "metaballs": lambda: shapes.metaballs(np.array([[0.0, 0, 12], [15, 0, 14]]), np.array([12.0, 10.0]), 3.0),
    "letters": lambda: shapes.letters("B8", 40.0, 15.0),
    "extruded": lambda: shapes.extruded(STAR, 12.0, 1.0),
}


def merged(surface):
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    mesh.merge_vertices(merge_norm=True, merge_tex=True, digits_vertex=4)
    mesh.update_faces(mesh.nondegenerate_faces())
    return mesh


@pytest.mark.parametrize("name", SOLIDS)
def test_a_solid_is_closed_and_its_normals_point_outwards(name):
    surface = SOLIDS[name]()
    mesh = merged(surface)
    assert mesh.is_watertight
    assert mesh.volume > 0
    corners = surface.vertices[surface.faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    mean_normals = surface.normals[surface.faces].mean(axis=1)
    area = np.linalg.norm(face_normals, axis=1)
    assert area[(face_normals * mean_normals).sum(axis=1) > 0].sum() > 0.98 * area.sum()
    np.testing.assert_allclose(np.linalg.norm(surface.normals, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in SOLIDS if name != "tube"])
def test_a_solid_stands_on_the_ground(name):
    surface = SOLIDS[name]()
    assert surface.vertices[:, 2].min() == pytest.approx(0, abs=0.6)


def test_volumes_are_those_of_the_formulas():
    assert merged(shapes.box((30.0, 20.0, 10.0))).volume == pytest.approx(6000)
    ball = merged(SOLIDS["superquadric"]())
    assert ball.volume == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.02)
    cone = merged(shapes.turned(np.array([[0.0, 0], [15, 0], [0, 30]]), segments=200))
    assert cone.volume == pytest.approx(np.pi * 15**2 * 10, rel=0.01)


def test_a_ball_has_radial_normals():
    surface = SOLIDS["superquadric"]()
    radial = (surface.vertices - [0, 0, 20]) / 20
    np.testing.assert_allclose(surface.normals, radial, atol=0.08)


def test_a_box_keeps_sharp_edges():
    normals = shapes.box((10.0, 10.0, 10.0)).normals
    np.testing.assert_allclose(np.abs(normals).max(axis=1), 1)


def test_a_wrapped_texture_is_measured_in_millimetres():
    sheet = shapes.rectangle([0, 0, 0], [90, 0, 0], [0, 0, 40])
    assert sheet.texture_points[:, 0].max() == pytest.approx(90)
    assert sheet.texture_points[:, 1].max() == pytest.approx(40)


def test_moving_a_surface_turns_its_normals_and_remembers_how():
    rotation = rotation_x(0.7) @ rotation_z(-1.1)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    surface = shapes.box((10.0, 20.0, 30.0))
    moved = surface.moved(rotation, np.array([1.0, 2.0, 3.0])).moved(rotation_z(0.3), np.zeros(3))
    np.testing.assert_allclose(moved.object_to_world, rotation_z(0.3) @ rotation)
    np.testing.assert_allclose(moved.normals @ moved.object_to_world, surface.normals, atol=1e-12)
    np.testing.assert_array_equal(surface.object_to_world, np.eye(3))


def test_vertices_at_one_place_share_their_normal_when_smooth():
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]])
    normals = smooth_normals(vertices, np.array([[0, 1, 2], [3, 5, 4]]))
    np.testing.assert_allclose(normals[0], normals[3])


def test_joining_keeps_all_triangles_at_their_places():
    first, second = shapes.box((5.0, 5.0, 5.0)), shapes.box((9.0, 9.0, 9.0))
    joined = join_surfaces([first, second])
    np.testing.assert_array_equal(joined.vertices[joined.faces[len(first.faces) :]], second.vertices[second.faces])
