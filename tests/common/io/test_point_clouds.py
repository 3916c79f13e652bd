import numpy as np
import pytest
import trimesh

from common.io.point_clouds import read_points, write_ply


def test_a_cloud_is_readable_elsewhere_and_has_the_stated_layout(tmp_path):
    generator = np.random.default_rng(0)
    points = generator.normal(size=(20, 3)).astype(np.float32)
    colors = generator.integers(0, 256, (20, 3)).astype(np.uint8)
    write_ply(tmp_path / "cloud.ply", points, colors)
    cloud = trimesh.load(tmp_path / "cloud.ply")
    np.testing.assert_array_equal(np.asarray(cloud.vertices, np.float32), points)
    np.testing.assert_array_equal(cloud.colors[:, :3], colors)

    content = (tmp_path / "cloud.ply").read_bytes()
    header, body = content.split(b"end_header\n", 1)
    names = [line.split()[-1] for line in header.decode().splitlines() if line.startswith("property")]
    assert names == ["x", "y", "z", "nx", "ny", "nz", "red", "green", "blue"]
    assert b"binary_little_endian" in header
    assert len(body) == 20 * 27


def test_normals_are_stored_where_given(tmp_path):
    normals = np.eye(3, dtype=np.float32)
    write_ply(tmp_path / "cloud.ply", 2 * normals, np.zeros((3, 3), np.uint8), normals)
    body = (tmp_path / "cloud.ply").read_bytes().split(b"end_header\n", 1)[1]
    stored = np.frombuffer(body, dtype=[("xyz", "<f4", 3), ("normal", "<f4", 3), ("rgb", "u1", 3)])
    np.testing.assert_array_equal(stored["normal"], normals)
    np.testing.assert_array_equal(stored["xyz"], 2 * normals)


def test_points_come_back_in_their_order_with_doubles(tmp_path):
    points = np.array([[1.0, 2, 3], [-4, 5.5, 600.25], [1, 2, 3]])
    write_ply(tmp_path / "cloud.ply", points, np.zeros((3, 3), np.uint8))
    np.testing.assert_allclose(read_points(tmp_path / "cloud.ply"), points)


def test_a_file_without_usable_points_is_one_sentence(tmp_path):
    (tmp_path / "broken.ply").write_bytes(b"ply\nformat binary_little_endian 1.0\nelement vertex 9\nend")
    with pytest.raises(ValueError, match=r"cannot read the points .*broken\.ply"):
        read_points(tmp_path / "broken.ply")
    write_ply(tmp_path / "nan.ply", np.full((1, 3), np.nan), np.zeros((1, 3), np.uint8))
    with pytest.raises(ValueError, match=r"nan\.ply holds no points, or points that are not finite"):
        read_points(tmp_path / "nan.ply")
