import struct

import numpy as np
import pytest
import torch
import trimesh

from common.io.meshes import read_mesh, write_mesh
from common.renderer import SurfaceMesh

VERTICES = torch.tensor([[0.0, 0, 0], [600.25, 0, 0], [0, -600.25, 0], [0, 0, 1e-3], [600.25, 0, 0]])
FACES = torch.tensor([[0, 2, 1], [0, 4, 3], [0, 3, 2], [4, 2, 3]])
COLORS = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5], [0, 1, 0]])


@pytest.mark.parametrize("suffix", [".ply", ".glb"])
def test_what_was_written_comes_back_with_doubled_vertices_joined(tmp_path, suffix):
    path = tmp_path / "folder" / f"mesh{suffix}"
    write_mesh(path, SurfaceMesh(VERTICES, FACES, COLORS))
    vertices, faces = read_mesh(path)
    assert len(vertices) == 4
    np.testing.assert_allclose(vertices[faces], VERTICES[FACES], atol=1e-4)
    loaded = trimesh.load_mesh(path)
    for vertex, color in zip(loaded.vertices, loaded.visual.vertex_colors, strict=True):
        expected = COLORS[(VERTICES - torch.tensor(vertex)).norm(dim=1).argmin()]
        assert np.abs(color[:3] - 255 * expected.numpy()).max() <= 1
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_ply_is_binary_and_a_glb_is_a_glb(tmp_path):
    write_mesh(tmp_path / "mesh.ply", SurfaceMesh(VERTICES, FACES))
    write_mesh(tmp_path / "mesh.GLB", SurfaceMesh(VERTICES, FACES))
    assert b"format binary_little_endian 1.0" in (tmp_path / "mesh.ply").read_bytes()[:200]
    magic, version, length = struct.unpack("<4sII", (tmp_path / "mesh.GLB").read_bytes()[:12])
    assert (magic, version, length) == (b"glTF", 2, (tmp_path / "mesh.GLB").stat().st_size)


def test_a_mesh_without_faces_or_of_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no surface to write to .*mesh\.ply"):
        write_mesh(tmp_path / "mesh.ply", SurfaceMesh(VERTICES, FACES[:0]))
    with pytest.raises(ValueError, match=r"ends in \.ply or \.glb"):
        write_mesh(tmp_path / "mesh.stl", SurfaceMesh(VERTICES, FACES))
    assert not list(tmp_path.iterdir())


def test_doubled_vertices_may_stay(tmp_path):
    mesh = trimesh.Trimesh(VERTICES.numpy(), FACES.numpy(), process=False)
    mesh.export(tmp_path / "mesh.ply")
    vertices, faces = read_mesh(tmp_path / "mesh.ply", join_vertices=False)
    np.testing.assert_allclose(vertices, VERTICES, atol=1e-4)
    assert (faces == FACES.numpy()).all()
