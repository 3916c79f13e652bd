import numpy as np
import trimesh

from common.io.point_clouds import write_ply


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
