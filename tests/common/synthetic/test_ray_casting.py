import numpy as np
import pytest
import trimesh

from common.synthetic.ray_casting import RayCaster, camera_rays, cast_depth
from common.synthetic.rigs import look_at

INTRINSICS = np.array([[60.0, 0.0, 20.3], [0.0, 58.0, 14.7], [0.0, 0.0, 1.0]])
SIZE = (40, 30)


def pixel_rays(world_to_cam):
    origins, directions = camera_rays(INTRINSICS, world_to_cam, np.arange(40.0), np.arange(30.0))
    return origins[0].astype(float), directions.astype(float)


def test_depth_of_a_plane_is_that_of_the_ray_plane_intersection():
    vertices = np.array([[-900.0, -900, 0], [900, -900, 0], [900, 900, 0], [-900, 900, 0]])
    caster = RayCaster(vertices, np.array([[0, 1, 2], [0, 2, 3]]))
    world_to_cam = look_at(np.array([30.0, -200.0, 240.0]), np.array([10.0, 5.0, 0.0]))
    origin, directions = pixel_rays(world_to_cam)
    expected = (-origin[2] / directions[:, 2]).reshape(30, 40)
    np.testing.assert_allclose(cast_depth(caster, INTRINSICS, world_to_cam, SIZE), expected, rtol=1e-5)


def test_depth_of_a_sphere_is_the_nearer_root_of_its_quadratic():
    sphere = trimesh.creation.icosphere(subdivisions=5, radius=50.0)
    world_to_cam = look_at(np.array([150.0, -90.0, 60.0]), np.zeros(3))
    origin, directions = pixel_rays(world_to_cam)
    a, b, c = (directions**2).sum(1), directions @ origin, origin @ origin - 50.0**2
    root = b**2 - a * c
    expected = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, 0.0).reshape(30, 40)
    depth = cast_depth(RayCaster(sphere.vertices, sphere.faces), INTRINSICS, world_to_cam, SIZE)
    # The mesh lies up to 0.02 inside the sphere, more along grazing rays; away from the outline that is all.
    inner = (root.reshape(30, 40) / a.reshape(30, 40)) > 20.0**2
    assert inner.sum() > 200
    np.testing.assert_allclose(depth[inner], expected[inner], atol=0.1)
    assert ((depth > 0) == (expected > 0)).mean() > 0.99


def test_directions_have_unit_depth_and_go_through_the_pixel():
    world_to_cam = look_at(np.array([3.0, 4.0, 5.0]), np.zeros(3))
    origin, directions = pixel_rays(world_to_cam)
    point = world_to_cam @ np.append(origin + 7.0 * directions[40 * 11 + 23], 1.0)
    np.testing.assert_allclose(INTRINSICS @ point[:3] / point[2], [23, 11, 1], atol=1e-4)
    assert point[2] == pytest.approx(7.0, abs=1e-4)


def test_rays_that_meet_nothing_have_depth_zero():
    caster = RayCaster(np.array([[0.0, 0, 9], [1, 0, 9], [0, 1, 9]]), np.array([[0, 1, 2]]))
    away = look_at(np.array([0.0, 0.0, 0.0]), np.array([0.0, 5.0, -1.0]))
    assert (cast_depth(caster, INTRINSICS, away, SIZE) == 0).all()


def test_a_ray_is_blocked_only_within_its_reach():
    caster = RayCaster(np.array([[-9.0, -9, 5], [9, -9, 5], [0, 9, 5]]), np.array([[0, 1, 2]]))
    origins, directions = np.zeros((1, 3), np.float32), np.array([[0, 0, 2]], np.float32)
    assert caster.is_blocked(origins, directions, 3.0).all()
    assert not caster.is_blocked(origins, directions, 2.0).any()


def test_the_weights_of_a_hit_find_the_point_on_its_triangle():
    corners = np.array([[-3.0, -2, 5], [4, -1, 6], [0, 5, 4]])
    caster = RayCaster(corners, np.array([[0, 1, 2]]))
    directions = np.array([[0.05, 0.1, 1.0]], np.float32)
    hits = caster.first_hits(np.zeros((1, 3), np.float32), directions)
    second, third = hits.second[0], hits.third[0]
    point = (1 - second - third) * corners[0] + second * corners[1] + third * corners[2]
    np.testing.assert_allclose(point, hits.t[0] * directions[0], atol=1e-5)
