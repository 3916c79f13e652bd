import logging

import numpy as np
import pytest
import torch
import trimesh

from xscale_nvs.scene_mesh import SceneMesh, load_mesh


def test_golden_box_and_normals(golden, tmp_path):
    stored = golden("xscale_nvs/ray_cache_ss1")
    trimesh.Trimesh(stored["v"], stored["f"], process=False).export(tmp_path / "mesh.ply")
    mesh = load_mesh(tmp_path / "mesh.ply")
    np.testing.assert_array_equal(mesh.center.numpy(), stored["center"])
    np.testing.assert_array_equal(mesh.scale.numpy(), stored["scale"])
    np.testing.assert_allclose(mesh.normals.norm(dim=1).numpy(), 1.0, atol=1e-6)


def test_vertices_are_merged_and_unused_ones_dropped(tmp_path):
    path = tmp_path / "1.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 0\nv 9 9 9\nv 1 1 0\nf 1 2 3\nf 4 2 6 3\n")
    mesh = load_mesh(path)
    assert mesh.vertices.shape == (4, 3) and mesh.faces.shape == (3, 3)
    assert mesh.center.tolist() == [0.5, 0.5, 0.0]


def test_normals_of_the_file_are_kept_and_missing_ones_said(tmp_path, caplog):
    path = tmp_path / "1.obj"
    corners = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
    path.write_text(corners + "vn 1 0 0\nvn 1 0 0\nvn 1 0 0\nf 1//1 2//2 3//3\n")
    with caplog.at_level(logging.INFO):
        assert load_mesh(path).normals.tolist() == [[1.0, 0.0, 0.0]] * 3
    assert "computed from its faces" not in caplog.text
    path.write_text(corners + "f 1 2 3\n")
    with caplog.at_level(logging.INFO):
        assert load_mesh(path).normals.tolist() == [[0.0, 0.0, 1.0]] * 3
    assert "computed from its faces" in caplog.text


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("1.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\n", "has no faces"),
        ("1.ply", "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
         "end_header\n0 0 0\n", "has no faces"),
        ("1.ply", "ply\nnothing\n", "cannot read the mesh"),
        ("1.xyzw", "1 2 3\n", "cannot read the mesh"),
        ("1.obj", "", "is empty"),
    ],
)  # fmt: skip
def test_what_is_no_mesh_is_one_sentence(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_mesh(path)


def test_a_missing_mesh_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"mesh.ply"):
        load_mesh(tmp_path / "mesh.ply")


def test_georeferenced_coordinates_are_warned_about(tmp_path, caplog):
    sphere = trimesh.creation.icosphere(2)
    for offset, is_far in ((100.0, False), (500000.0, True)):
        caplog.clear()
        trimesh.Trimesh(sphere.vertices + np.array([offset, 0, 0]), sphere.faces).export(tmp_path / "mesh.ply")
        with caplog.at_level(logging.WARNING):
            load_mesh(tmp_path / "mesh.ply")
        assert ("subtract about (500000, 0, 0)" in caplog.text) == is_far


def test_places_that_see_nothing_look_at_the_worlds_origin():
    mesh = SceneMesh(torch.eye(3), torch.tensor([[0, 1, 2]], dtype=torch.int32), torch.eye(3))
    face, barycentric = torch.tensor([0, -1], dtype=torch.int32), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    points = mesh.points(face, barycentric, torch.tensor([0.0, 0.0, 4.0]))
    assert points.xyz.tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert points.normal.tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    torch.testing.assert_close(
        points.viewdr, torch.tensor([[1.0, 0.0, -4.0], [0.0, 0.0, -1.0]]) / torch.tensor([[17**0.5], [1.0]])
    )


def test_the_fingerprint_follows_every_number():
    parts = torch.eye(3), torch.tensor([[0, 1, 2]], dtype=torch.int32), torch.eye(3)
    prints = {SceneMesh(*parts).fingerprint}
    for index in range(3):
        changed = [part.clone() for part in parts]
        changed[index][0, 0] += 1
        prints.add(SceneMesh(*changed).fingerprint)
    assert len(prints) == 4
