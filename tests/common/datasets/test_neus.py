import numpy as np
import pytest

from common.datasets.loading import load_image, load_mask
from common.datasets.neus import read_neus
from common.datasets.writers.neus import write_neus
from common.io.idr_cameras import IdrCameras, read_idr_cameras, write_idr_cameras


@pytest.fixture
def case(rendered_scene, tmp_path):
    write_neus(tmp_path, rendered_scene)
    return tmp_path / "toy"


def test_what_is_written_comes_back(case, rendered_scene):
    scene = read_neus(case)
    assert scene.pixel_origin == "center" and scene.to_original is None
    for view, truth in zip(scene.views, rendered_scene.views, strict=True):
        np.testing.assert_allclose(view.intrinsics, truth.intrinsics, atol=1e-9)
        np.testing.assert_allclose(view.world_to_cam, truth.world_to_cam, atol=1e-9)
        np.testing.assert_array_equal(np.rint(load_image(view) * 255), truth.image)
        np.testing.assert_array_equal(load_mask(view), truth.mask)


def test_depth_bounds_enclose_the_object(case, rendered_scene):
    for view, truth in zip(read_neus(case).views, rendered_scene.views, strict=True):
        depth = truth.depth[truth.mask]
        near, far = view.near_far
        assert near < depth.min() and depth.max() < far < near + 2  # the sphere has radius 0.4


def test_normalising_makes_the_sphere_the_unit_sphere_and_leaves_the_pixels(case):
    raw, unit = read_neus(case), read_neus(case, normalize=True)
    point = np.array([0.3, -0.2, 0.5, 1.0])
    original = unit.to_original @ point
    for a, b in zip(raw.views, unit.views, strict=True):
        np.testing.assert_allclose(a.intrinsics, b.intrinsics, atol=1e-8)
        in_raw, in_unit = (a.world_to_cam @ original)[:3], (b.world_to_cam @ point)[:3]
        np.testing.assert_allclose(in_unit / in_unit[2], in_raw / in_raw[2], atol=1e-9)
        depth_of_center = b.world_to_cam[2, 3]
        assert b.near_far == pytest.approx((depth_of_center - 1, depth_of_center + 1))


def test_the_numbers_of_dtu_scan24(case):
    """Part 6 of the format reference: camera 0 lies 2.8353 from the origin of the normalised world."""
    intrinsics = np.array([[2892.33, 0, 823.205], [0, 2883.18, 619.071], [0, 0, 1]])
    pose = [
        [0.970263, 0.00747983, 0.241939, -191.02],
        [-0.0147429, 0.999493, 0.0282234, 3.28832],
        [-0.241605, -0.030951, 0.969881, 22.5401],
    ]
    scale_mat = np.diag([231.0682, 231.0682, 231.0682, 1])
    scale_mat[:3, 3] = [-28.461128, -13.186272, 641.4886]
    world_mat = np.vstack([intrinsics @ pose, [0, 0, 0, 1]]).astype(np.float32).astype(np.float64)
    write_idr_cameras(case / "cameras.npz", IdrCameras(world_mat[None], scale_mat[None]))
    from common.io.images import write_image

    for path in [*(case / "image").iterdir(), *(case / "mask").iterdir()]:
        path.unlink()
    write_image(case / "image" / "000000.png", np.zeros((1200, 1600, 3), np.uint8))
    (view,) = read_neus(case, cameras="cameras.npz", normalize=True).views
    assert np.linalg.norm(view.center) == pytest.approx(2.8353, abs=1e-4)
    np.testing.assert_allclose(view.intrinsics, intrinsics, atol=5e-3)


def test_the_large_sphere_has_the_same_cameras_and_wider_bounds(case):
    tight, large = read_neus(case).views[0], read_neus(case, cameras="cameras_large.npz").views[0]
    np.testing.assert_allclose(tight.world_to_cam, large.world_to_cam, atol=1e-12)
    assert 0 < large.near_far[0] < tight.near_far[0] < tight.near_far[1] < large.near_far[1]


def test_without_scale_mat_nothing_is_normalised(case):
    cameras = read_idr_cameras(case / "cameras_sphere.npz")
    write_idr_cameras(case / "cameras_sphere.npz", IdrCameras(cameras.world_mats, None))
    assert read_neus(case).views[0].near_far is None
    with pytest.raises(ValueError, match="has no scale_mat"):
        read_neus(case, normalize=True)


def test_the_folder_may_be_called_images_and_stray_files_do_not_count(case):
    (case / "image").rename(case / "images")
    for name in (".DS_Store", "Thumbs.db", "._000000.png"):
        (case / "images" / name).write_bytes(b"junk")
    assert len(read_neus(case).views) == 5


def test_counts_must_agree(case):
    (case / "mask" / "003.png").unlink()
    with pytest.raises(ValueError, match="has 5 pictures but 4 masks"):
        read_neus(case)
    (case / "image" / "000003.png").unlink()
    with pytest.raises(ValueError, match=r"has 4 pictures but cameras_sphere\.npz has 5 cameras"):
        read_neus(case)


def test_missing_files_are_said(case, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no cameras_sphere\.npz or cameras\.npz"):
        read_neus(tmp_path)
    for path in (case / "image").iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match="no pictures in"):
        read_neus(case)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda world, scale: (world, np.concatenate([scale[:4], 2 * scale[4:]])), "different scale_mat"),
        (lambda world, scale: (world, -scale), "scale_mat_0 is not a positive scale"),
        (lambda world, scale: (0 * world, scale), "world_mat_0: the projection matrix is not that of a camera"),
    ],
)
def test_matrices_that_make_no_sense_are_refused(case, change, sentence):
    cameras = read_idr_cameras(case / "cameras_sphere.npz")
    write_idr_cameras(case / "cameras_sphere.npz", IdrCameras(*change(cameras.world_mats, cameras.scale_mats)))
    with pytest.raises(ValueError, match=sentence):
        read_neus(case)
