import zipfile

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from common.io.idr_cameras import IdrCameras, decompose_projection, read_idr_cameras, write_idr_cameras

# Part 6 of the format reference: DTU, view 0.
DTU_INTRINSICS = np.array([[2892.33, 0, 823.205], [0, 2883.18, 619.071], [0, 0, 1]])
DTU_POSE = np.array(
    [
        [0.970263, 0.00747983, 0.241939, -191.02],
        [-0.0147429, 0.999493, 0.0282234, 3.28832],
        [-0.241605, -0.030951, 0.969881, 22.5401],
        [0, 0, 0, 1],
    ]
)


def random_camera(seed):
    generator = np.random.default_rng(seed)
    world_to_cam = np.eye(4)
    world_to_cam[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    world_to_cam[:3, 3] = generator.uniform(-5, 5, 3)
    intrinsics = np.array(
        [[generator.uniform(100, 2000), 0.3, 333.3], [0, generator.uniform(100, 2000), 222.2], [0, 0, 1]]
    )
    return intrinsics, world_to_cam


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("factor", [1.0, 231.07, -0.5])
def test_a_projection_of_any_scale_and_sign_gives_its_camera_back(seed, factor):
    intrinsics, world_to_cam = random_camera(seed)
    found_intrinsics, found_pose = decompose_projection(factor * intrinsics @ world_to_cam[:3])
    np.testing.assert_allclose(found_intrinsics, intrinsics, atol=1e-9)
    np.testing.assert_allclose(found_pose, world_to_cam, atol=1e-11)


def test_the_decomposition_agrees_with_opencv():
    projection = DTU_INTRINSICS @ DTU_POSE[:3]
    intrinsics, rotation, center = cv2.decomposeProjectionMatrix(projection)[:3]
    found_intrinsics, found_pose = decompose_projection(projection)
    np.testing.assert_allclose(found_intrinsics, intrinsics / intrinsics[2, 2], atol=1e-8)
    np.testing.assert_allclose(found_pose[:3, :3], rotation, atol=1e-12)
    np.testing.assert_allclose(-found_pose[:3, :3].T @ found_pose[:3, 3], center[:3, 0] / center[3, 0], atol=1e-8)


def test_the_dtu_camera_comes_back_from_a_float32_world_mat():
    world_mat = np.eye(4)
    world_mat[:3] = DTU_INTRINSICS @ DTU_POSE[:3]
    intrinsics, pose = decompose_projection(world_mat.astype(np.float32).astype(np.float64))
    np.testing.assert_allclose(intrinsics, DTU_INTRINSICS, atol=5e-3)
    np.testing.assert_allclose(pose[:3, 3], DTU_POSE[:3, 3], atol=1e-3)


def test_a_projection_without_centre_is_refused():
    with pytest.raises(ValueError, match="cannot be inverted"):
        decompose_projection(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="cannot be inverted"):
        decompose_projection(np.full((3, 4), np.nan))


def matrices(count):
    return np.stack(
        [np.vstack([intrinsics @ pose[:3], [0, 0, 0, 1]]) for intrinsics, pose in map(random_camera, range(count))]
    )


def test_what_is_written_comes_back(tmp_path):
    cameras = IdrCameras(matrices(12), np.stack([np.diag([2.0, 2, 2, 1])] * 12))
    write_idr_cameras(tmp_path / "cameras.npz", cameras)
    found = read_idr_cameras(tmp_path / "cameras.npz")
    np.testing.assert_array_equal(found.world_mats, cameras.world_mats)
    np.testing.assert_array_equal(found.scale_mats, cameras.scale_mats)


def test_a_file_with_world_mats_alone_has_no_sphere_and_other_keys_do_not_matter(tmp_path):
    pickled = np.array([{"never": "read"}], dtype=object)
    np.savez(
        tmp_path / "c.npz", world_mat_0=matrices(1)[0].astype(np.float32), camera_mat_0=pickled, world_mat_inv_0=pickled
    )
    found = read_idr_cameras(tmp_path / "c.npz")
    assert found.scale_mats is None and found.world_mats.dtype == np.float64


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"other": np.eye(4)}, "has no world_mat_0"),
        ({"world_mat_0": np.eye(4), "world_mat_2": np.eye(4)}, "has 2 world_mat entries but no world_mat_1"),
        ({"world_mat_0": np.eye(3)}, r"world_mat_0 is float64 of shape \(3, 3\), expected 4x4 numbers"),
        ({"world_mat_0": np.full((4, 4), np.nan)}, "not finite"),
        ({"world_mat_0": np.array([{}], dtype=object)}, "is not a camera npz"),
        ({"world_mat_0": np.zeros((4, 400))}, "too many for a 4x4 matrix"),
        ({"world_mat_0": np.eye(4), "world_mat_1": np.eye(4), "scale_mat_0": np.eye(4)}, "2 world_mat but 1 scale_mat"),
    ],
)
def test_broken_files_are_refused(tmp_path, arrays, sentence):
    np.savez(tmp_path / "c.npz", **arrays)
    with pytest.raises(ValueError, match=sentence):
        read_idr_cameras(tmp_path / "c.npz")


def test_a_header_that_claims_a_huge_array_is_refused(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 4), }\n"
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("world_mat_0.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(ValueError, match=r"c\.npz is not a camera npz"):
        read_idr_cameras(tmp_path / "c.npz")


def test_files_that_are_no_npz_are_refused(tmp_path):
    write_idr_cameras(tmp_path / "c.npz", IdrCameras(matrices(3), None))
    data = (tmp_path / "c.npz").read_bytes()
    for broken in (b"hello", data[: len(data) // 2], b"<html>404</html>"):
        (tmp_path / "c.npz").write_bytes(broken)
        with pytest.raises(ValueError, match=r"c\.npz"):
            read_idr_cameras(tmp_path / "c.npz")
    with pytest.raises(FileNotFoundError):
        read_idr_cameras(tmp_path / "nowhere.npz")
