import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from common.bounding_cubes import Cube, check_cube_meets_masks, draw_cube, frustum_cube, subject_cube
from common.cameras import Camera
from tests.scenes import SPHERE_CENTER, SPHERE_RADIUS, make_scene


def camera_at_origin(width=100, height=50, near_far=(1.0, 3.0)):
    intrinsics = torch.tensor([[100.0, 0, 50], [0, 100, 25], [0, 0, 1]], dtype=torch.float64)
    return Camera(intrinsics, torch.eye(4, dtype=torch.float64), height, width, near_far)


def cameras_around_sphere(near_far=(1.5, 5.0)):
    views = make_scene(num_views=4).views
    return [
        Camera(torch.from_numpy(view.intrinsics), torch.from_numpy(view.world_to_cam), 48, 64, near_far)
        for view in views
    ], [view.mask for view in views]


def test_the_frustum_cube_of_one_camera_is_the_box_of_its_far_rectangle_and_near_plane():
    cube = frustum_cube([camera_at_origin()], factor=1.2)
    # x runs over +-0.5 * 3, y over +-0.25 * 3, z from 1 to 3: the longest side is 3.
    np.testing.assert_allclose(cube.center, [0, 0, 2])
    assert cube.radius == pytest.approx(1.2 * 1.5)
    np.testing.assert_allclose(cube.to_world @ [1, -1, 1, 1], [1.8, -1.8, 3.8, 1])
    assert cube.corners.min(0).tolist() == pytest.approx([-1.8, -1.8, 0.2])


@pytest.mark.parametrize(
    ("case", "size", "focal", "center", "rig", "near_far"),
    [
        ("dtu", (1600, 1200), (2892.33, 2883.175), (823.205, 619.071), (640.0, (10.0, -5.0, 620.0)), (425.0, 905.0)),
        ("bmvs", (768, 576), (600.0, 598.0), (380.5, 290.25), (3.0, (0.1, 0.2, 3.1)), (1.8, 4.2)),
    ],
)
def test_the_frustum_cube_is_the_papers(golden, golden_module, case, size, focal, center, rig, near_far):
    """The paper's item lives in the frame of its first camera; `scale_mat` leads from the cube to the world."""
    arrays = golden("gens/datasets")
    scale_mat, view_ids = arrays[f"{case}_val_scale_mat"], arrays[f"{case}_val_view_ids"]
    poses = [golden_module("gens/make_trees.py").pose(0, int(index), *rig) for index in view_ids]
    intrinsics = torch.tensor([[focal[0], 0, center[0]], [0, focal[1], center[1]], [0, 0, 1]], dtype=torch.float64)
    first_to_world = np.linalg.inv(poses[0])
    cameras = [Camera(intrinsics, torch.from_numpy(pose @ first_to_world), *size[::-1], near_far) for pose in poses]
    ours = first_to_world @ frustum_cube(cameras).to_world
    np.testing.assert_allclose(ours, scale_mat, rtol=1e-5, atol=1e-5 * np.abs(scale_mat).max())


def test_the_subject_cube_holds_the_subject_and_is_smaller_than_the_frusta():
    cameras, _ = cameras_around_sphere()
    cube = subject_cube(cameras)
    assert (np.abs(SPHERE_CENTER - cube.center) + SPHERE_RADIUS < cube.radius).all()
    assert cube.radius < 0.8 * frustum_cube(cameras).radius


def test_sparse_points_make_the_subject_cube_tight_and_strays_do_not_matter():
    cameras, _ = cameras_around_sphere()
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(500, 3))
    points = SPHERE_CENTER + SPHERE_RADIUS * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    points[:4] = [0.0, 0.0, 50.0]
    cube = subject_cube(cameras, points, factor=1.0)
    np.testing.assert_allclose(cube.center, SPHERE_CENTER, atol=0.05)
    assert SPHERE_RADIUS < cube.radius < 1.3 * SPHERE_RADIUS


def test_no_camera_stands_inside_the_subject_cubes_inner_sphere():
    cameras, _ = cameras_around_sphere(near_far=(0.05, 60.0))
    cube = subject_cube(cameras, factor=5.0)
    centers = [np.linalg.inv(camera.world_to_cam.numpy())[:3, 3] for camera in cameras]
    assert min(np.linalg.norm(center - cube.center) for center in centers) >= 1.249 * cube.radius


def test_cameras_that_look_apart_have_no_subject():
    behind = dataclasses.replace(
        camera_at_origin(), world_to_cam=torch.diag(torch.tensor([-1.0, 1, -1, 1], dtype=torch.float64))
    )
    with pytest.raises(ValueError, match="no point is seen by two of the 2 views"):
        subject_cube([camera_at_origin(), behind])


def test_a_cube_needs_cameras_and_positive_bounds():
    with pytest.raises(ValueError, match="needs cameras"):
        frustum_cube([])
    with pytest.raises(ValueError, match=r"view 0 has the depth bounds \(3.0, 1.0\)"):
        frustum_cube([camera_at_origin(near_far=(3.0, 1.0))])


def test_a_box_that_misses_the_object_is_refused():
    cameras, masks = cameras_around_sphere()
    check_cube_meets_masks(Cube(SPHERE_CENTER, 0.3), cameras, masks)
    with pytest.raises(ValueError, match="the box misses the object: none of the"):
        check_cube_meets_masks(Cube(np.array([40.0, 0, 0]), 0.3), cameras, masks)
    with pytest.raises(ValueError, match="the box misses the object"):
        behind = np.linalg.inv(cameras[0].world_to_cam.numpy())[:3, 3] * 2 - SPHERE_CENTER
        check_cube_meets_masks(Cube(behind, 0.3), cameras[:1], masks[:1])


def test_an_empty_mask_is_named():
    cameras, masks = cameras_around_sphere()
    with pytest.raises(ValueError, match="the mask of view 1 is empty"):
        check_cube_meets_masks(Cube(SPHERE_CENTER, 0.3), cameras, [masks[0], np.zeros_like(masks[1]), *masks[2:]])


def test_the_preview_draws_edges_where_the_cubes_corners_project():
    picture = draw_cube(Cube(np.array([0.0, 0, 3.0]), 0.5), [camera_at_origin()], [np.zeros((50, 100, 3), np.uint8)])
    assert picture.shape == (50, 100, 3)
    # The front face, at depth 2.5, has its corners at 50 +- 20 and 25 +- 20.
    assert picture[5, 30].max() > 100 and picture[45, 70].max() > 100
    assert picture[25, 50].max() == 0


def test_a_camera_inside_the_cube_still_gets_a_preview(tmp_path):
    photographs = [np.full((50, 100, 3), 90, np.uint8)] * 2
    strip = draw_cube(Cube(np.zeros(3), 2.0), [camera_at_origin()] * 2, photographs, ["a", "b"])
    assert strip.shape == (50, 208, 3) and (strip != 90).any()
    Image.fromarray(strip).save(tmp_path / "preview.png")
