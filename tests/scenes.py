"""Tiny scenes with exact depth: a textured sphere before a textured plane, seen by cameras that turn and tilt."""

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from common.datasets.rendered_scene import RenderedScene, RenderedView

SPHERE_CENTER, SPHERE_RADIUS = np.array([0.1, -0.05, 0.4]), 0.4
SIZE = (64, 48)


def texture(points):
    """Smooth colours that differ everywhere."""
    phases = np.stack(
        [points @ np.array(axis) for axis in ([9.0, 2.0, 5.0], [-3.0, 8.0, 4.0], [5.0, -6.0, 7.0])], axis=-1
    )
    return (127.5 + 127.5 * np.sin(phases)).round().astype(np.uint8)


def render(intrinsics, world_to_cam, size=SIZE):
    """One view of the sphere on the plane z = 0 (world), by solving for the hits."""
    u, v = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    directions = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(intrinsics).T @ world_to_cam[:3, :3]
    center = -world_to_cam[:3, :3].T @ world_to_cam[:3, 3]
    plane = -center[2] / directions[..., 2]
    plane = np.where((plane > 0) & (np.abs(center + plane[..., None] * directions).max(axis=-1) < 3), plane, np.inf)
    a = (directions**2).sum(axis=-1)
    b = directions @ (center - SPHERE_CENTER)
    root = b**2 - a * ((center - SPHERE_CENTER) @ (center - SPHERE_CENTER) - SPHERE_RADIUS**2)
    sphere = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
    depth = np.minimum(plane, sphere)
    hit = np.isfinite(depth)
    image = texture(center + np.where(hit, depth, 0)[..., None] * directions)
    image[~hit] = 255
    depth = np.where(hit, depth, 0).astype(np.float32)
    return RenderedView(image, depth, sphere < plane, intrinsics, world_to_cam)


def camera_pose(azimuth, elevation, roll, distance=3.0):
    """world_to_cam of a camera that looks at the sphere; z is up in the world."""
    turn = Rotation.from_euler("ZXZ", [azimuth, -np.pi / 2 - elevation, roll])
    cam_to_world = turn.as_matrix()
    world_to_cam = np.eye(4)
    world_to_cam[:3, :3] = cam_to_world.T
    world_to_cam[:3, 3] = -cam_to_world.T @ (SPHERE_CENTER - distance * cam_to_world[:, 2])
    return world_to_cam


def make_scene(name="toy", num_views=5, size=SIZE, same_focal=False, centered=False):
    """A scene of `num_views` pictures of (width, height); the principal point is off the centre unless `centered`."""
    focal = 1.2 * size[0]
    focal_y = focal * (1 if same_focal or centered else 1.02)
    center = [(size[0] - 1) / 2, (size[1] - 1) / 2] if centered else [size[0] / 2 - 1.3, size[1] / 2 + 0.7]
    intrinsics = np.array([[focal, 0, center[0]], [0, focal_y, center[1]], [0, 0, 1.0]])
    poses = [camera_pose(0.5 * index - 1.0, 0.5 + 0.1 * (index % 3), 0.1 * index) for index in range(num_views)]
    views = tuple(render(intrinsics, pose, size) for pose in poses)
    depth = np.concatenate([view.depth[view.depth > 0] for view in views])
    return RenderedScene(name, views, (0.9 * float(depth.min()), 1.1 * float(depth.max())), surface())


def surface():
    """The sphere (facetted) and the plane as one mesh."""
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=SPHERE_RADIUS)
    sphere.apply_translation(SPHERE_CENTER)
    corners = np.array([[-3.0, -3, 0], [3, -3, 0], [3, 3, 0], [-3, 3, 0]])
    plane = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]])
    return trimesh.util.concatenate([sphere, plane])
