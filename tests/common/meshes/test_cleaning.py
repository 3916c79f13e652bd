import numpy as np
import torch
import trimesh

from common.cameras import Camera
from common.meshes.cleaning import faces_of_vertices, faces_seen_by, keep_faces, large_components


def looking_along(axis, sign=1.0, width=80, height=60):
    """A camera three units from the origin on the negative side of an axis, looking at the origin."""
    forward, down = np.zeros(3), np.zeros(3)
    forward[axis], down[(axis + 1) % 3] = sign, 1.0
    rotation = np.stack([np.cross(down, forward), down, forward])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, [0, 0, 3.0]
    intrinsics = torch.tensor([[80.0, 0, (width - 1) / 2], [0, 80, (height - 1) / 2], [0, 0, 1]], dtype=torch.float64)
    return Camera(intrinsics, torch.from_numpy(pose), height, width, (1.0, 5.0))


def test_a_camera_sees_the_half_of_a_ball_that_faces_it():
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.5)
    seen = faces_seen_by(ball.vertices, ball.faces, [looking_along(2)])
    center = ball.triangles_center[:, 2]
    assert seen[center < -0.2].all() and not seen[center > 0].any()


def test_what_two_cameras_see_is_what_both_see():
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.5)
    cameras = [looking_along(2), looking_along(0)]
    first, second = (faces_seen_by(ball.vertices, ball.faces, [camera]) for camera in cameras)
    assert (faces_seen_by(ball.vertices, ball.faces, cameras) == (first | second)).all()
    both = faces_seen_by(ball.vertices, ball.faces, cameras, fewest_cameras=2)
    assert (both == (first & second)).all() and both.any()


def test_components_are_told_apart_by_size_across_shared_edges():
    small, large = trimesh.creation.icosphere(0), trimesh.creation.icosphere(1)
    large.apply_translation([5, 0, 0])
    both = trimesh.util.concatenate([small, large])
    assert large_components(both.faces, 80).tolist() == [False] * 20 + [True] * 80
    assert large_components(both.faces, 20).all()
    assert not len(large_components(both.faces[:0], 20))


def test_kept_faces_leave_unused_vertices_behind():
    vertices = np.arange(15.0).reshape(5, 3)
    faces = np.array([[0, 1, 2], [2, 3, 4], [0, 3, 4]])
    kept, renumbered = keep_faces(vertices, faces, np.array([False, True, False]))
    assert (kept == vertices[2:]).all() and renumbered.tolist() == [[0, 1, 2]]
    assert faces_of_vertices(faces, np.array([True, True, True, True, False])).tolist() == [True, False, False]
