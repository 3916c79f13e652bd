import numpy as np
import pytest
import torch
import trimesh

from common.renderer import SurfaceMesh
from gens.mesh_cleaning import clean_mesh, faces_in_masks


@pytest.fixture
def reference(golden):
    return golden("gens/mesh_cleaning")


@pytest.fixture
def mesh(reference):
    return SurfaceMesh(torch.from_numpy(reference["norm_vertices"]), torch.from_numpy(reference["norm_faces"]).long())


def views(reference):
    names = ("norm_masks", "norm_intrs", "norm_c2ws")
    return [torch.from_numpy(reference[name]).float() for name in names]


def overlap(vertices, faces, other_vertices, other_faces):
    """Intersection over union of two sets of triangles, told apart by their corners' places."""
    sets = [
        {
            tuple(np.sort(np.round(triangle.reshape(3, 3), 4).astype(float).view("f8,f8,f8").reshape(-1)).tolist())
            for triangle in np.asarray(v, np.float64)[f]
        }
        for v, f in ((vertices, faces), (other_vertices, other_faces))
    ]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_faces_inside_the_masks_are_the_references(reference):
    masks, intrs, c2ws = views(reference)
    cameras = [
        (k[:3, :3], np.linalg.inv(c2w)) for k, c2w in zip(intrs.double().numpy(), c2ws.double().numpy(), strict=True)
    ]
    kept = faces_in_masks(
        reference["norm_vertices"].astype(np.float64), reference["norm_faces"], masks.numpy() > 0.5, cameras
    )
    expected = reference["norm_faces_by_undilated_mask"]
    assert abs(kept.sum() - len(expected)) <= 0.02 * len(expected)
    vertices = reference["norm_vertices"]
    assert overlap(vertices, reference["norm_faces"][kept], vertices, expected) >= 0.97


def test_the_cleaned_mesh_is_the_references(reference, mesh):
    cleaned = clean_mesh(mesh, *views(reference))
    vertices, faces = reference["norm_clean_vertices"], reference["norm_clean_faces"]
    assert abs(len(cleaned.vertices) - len(vertices)) <= 0.02 * len(vertices)
    assert abs(len(cleaned.faces) - len(faces)) <= 0.02 * len(faces)
    assert overlap(cleaned.vertices.numpy(), cleaned.faces.numpy(), vertices, faces) >= 0.97
    assert len(np.unique(cleaned.faces)) == len(cleaned.vertices)


def test_colours_stay_with_their_vertices_and_masks_may_have_channels(reference, mesh):
    masks, intrs, c2ws = views(reference)
    colored = SurfaceMesh(mesh.vertices, mesh.faces, mesh.vertices / 10)
    cleaned = clean_mesh(colored, masks[:, None].expand(-1, 3, -1, -1), intrs, c2ws)
    assert torch.equal(cleaned.colors, cleaned.vertices / 10)
    assert len(cleaned.faces) == len(clean_mesh(mesh, masks, intrs, c2ws).faces)


def test_what_only_the_back_shows_goes():
    """Two cameras in front of a ball: its far side is inside both masks, but no ray meets it first."""
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.4)
    intrs = torch.eye(4).repeat(2, 1, 1)
    intrs[:, 0, 0] = intrs[:, 1, 1] = 100.0
    intrs[:, 0, 2], intrs[:, 1, 2] = 39.5, 29.5
    c2ws = torch.eye(4).repeat(2, 1, 1)
    c2ws[:, 2, 3], c2ws[1, 0, 3] = -3.0, 0.1
    mesh = SurfaceMesh(torch.from_numpy(ball.vertices).float(), torch.from_numpy(ball.faces).long())
    cleaned = clean_mesh(mesh, torch.ones(2, 60, 80), intrs, c2ws)
    assert 0.3 * len(ball.faces) < len(cleaned.faces) < 0.6 * len(ball.faces)
    assert cleaned.vertices[:, 2].max() < 0.05


def test_without_a_component_of_500_faces_the_largest_stays(caplog):
    small, large = trimesh.creation.icosphere(1, 0.2), trimesh.creation.icosphere(2, 0.3)
    small.apply_translation([0.7, 0, 0])
    both = trimesh.util.concatenate([small, large])
    intrs = torch.eye(4).repeat(2, 1, 1)
    intrs[:, 0, 0] = intrs[:, 1, 1] = 60.0
    intrs[:, 0, 2], intrs[:, 1, 2] = 39.5, 29.5
    c2ws = torch.eye(4).repeat(2, 1, 1)
    c2ws[:, 2, 3] = -3.0
    mesh = SurfaceMesh(torch.from_numpy(both.vertices).float(), torch.from_numpy(both.faces).long())
    cleaned = clean_mesh(mesh, torch.ones(2, 60, 80), intrs, c2ws)
    assert cleaned.vertices[:, 0].max() < 0.31 and len(cleaned.faces) > 50
    assert "no part of the mesh has 500 faces" in caplog.text


def test_an_empty_mask_and_a_mesh_beside_the_masks_are_one_sentence(reference, mesh):
    masks, intrs, c2ws = views(reference)
    with pytest.raises(ValueError, match="the mask of view 1 is empty"):
        clean_mesh(mesh, torch.stack([masks[0], 0 * masks[1], masks[2]]), intrs, c2ws)
    with pytest.raises(ValueError, match="cleaning leaves nothing of the mesh"):
        clean_mesh(SurfaceMesh(mesh.vertices + 50, mesh.faces), masks, intrs, c2ws)
