import mcubes
import numpy as np
import pytest
import torch
import trimesh

from common.meshes import extract_surface
from common.meshes.grid_field import GridField
from common.meshes.narrow_band import narrow_slabs

BOX = torch.tensor([[-1.0, -1, -1], [1, 1, 1]])


def ball(points, center=(0.0, 0.0, 0.0), radius=0.7):
    return (points - points.new_tensor(center)).norm(dim=-1) - radius


def thin_plate(points):
    """A plate about half a grid cell thick, tilted against the grid so that it cannot hide between two planes."""
    normal = points.new_tensor([0.3, 0.2, 0.93])
    return torch.maximum((points @ normal / normal.norm()).abs() - 0.012, points.abs().amax(-1) - 0.8)


def many_parts(points):
    parts = [ball(points, (0.1, 0, 0), 0.3), ball(points, (-0.7, 0.7, 0.7), 0.05), ball(points, (0.8, -0.8, 0), 0.04)]
    return torch.stack([*parts, ball(points, (0.1, 0, 0), 0.5).abs() - 0.02]).amin(0)


def steep(points):
    return 30 * ball(points)


def saturated(points):
    return torch.tanh(4 * many_parts(points))


def occupancy(points):
    return torch.where(many_parts(points) < 0, -1.0, 1.0)


def wavy(points):
    """Slope between 0.2 and 1.9, as that of a network."""
    return ball(points, radius=0.55) + 0.12 * torch.sin(9 * points[:, 0] + 1) * torch.cos(
        7 * points[:, 1] + 3 * points[:, 2]
    )


class Counted:
    def __init__(self, field):
        self.field, self.count, self.largest = field, 0, 0

    def __call__(self, points):
        self.count, self.largest = self.count + len(points), max(self.largest, len(points))
        return self.field(points)


@pytest.mark.parametrize("resolution", [49, 66])
@pytest.mark.parametrize("field", [ball, thin_plate, many_parts, steep, saturated, occupancy, wavy])
def test_the_narrow_band_gives_the_mesh_of_the_whole_grid(field, resolution):
    narrow = extract_surface(field, BOX, resolution)
    dense = extract_surface(field, BOX, resolution, is_dense=True)
    assert torch.equal(narrow.vertices, dense.vertices)
    assert torch.equal(narrow.faces, dense.faces)


@pytest.mark.parametrize("resolution", [12, 17, 50])
def test_the_mesh_is_what_pymcubes_makes_of_the_whole_grid_in_the_same_order(resolution):
    axis = torch.linspace(-1, 1, resolution)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
    values = -wavy(points.reshape(-1, 3)).reshape(points.shape[:3]).numpy()
    vertices, triangles = mcubes.marching_cubes(values, 0.0)
    mesh = extract_surface(wavy, BOX, resolution)
    np.testing.assert_allclose(mesh.vertices, vertices / (resolution - 1) * 2 - 1, atol=1e-6)
    assert (mesh.faces.numpy() == triangles).all()


def test_the_mesh_of_the_reference_values_is_the_reference_mesh(golden):
    arrays = golden("gens/e2e_val")
    side = len(arrays["u"])
    values = torch.from_numpy(arrays["u"])

    def field(points):
        index = ((points + 1) / 2 * (side - 1)).round().long()
        return -values[index[:, 0], index[:, 1], index[:, 2]]

    mesh = extract_surface(field, BOX, side)
    np.testing.assert_allclose(mesh.vertices, arrays["vertices"], atol=1e-6)
    assert (mesh.faces.numpy() == arrays["triangles"]).all()


def test_seams_between_blocks_are_welded():
    mesh = extract_surface(wavy, BOX, 70)
    surface = trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy(), process=False)
    assert surface.is_watertight
    assert len(np.unique(mesh.vertices.numpy(), axis=0)) == len(mesh.vertices)


def test_triangles_face_outwards_also_after_a_mirroring_transform():
    mirror = np.diag([-2.0, 2, 2, 1])
    mirror[:3, 3] = [5, 0, 0]
    for to_world, center, radius in ((None, 0.0, 0.7), (mirror, [5, 0, 0], 1.4)):
        mesh = extract_surface(ball, BOX, 40, to_world=to_world)
        surface = trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy())
        assert surface.volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.01)
        np.testing.assert_allclose(surface.centroid, np.zeros(3) + center, atol=1e-3)


def test_a_box_that_is_no_cube_keeps_proportions():
    box = torch.tensor([[-1.0, -0.8, -0.9], [1.5, 0.8, 0.75]])
    mesh = extract_surface(ball, box, 60)
    assert torch.allclose(mesh.vertices.norm(dim=-1), torch.tensor(0.7), atol=2e-3)


def test_an_ordinary_surface_costs_a_tenth_of_the_grid_at_most():
    """The share of the grid falls with the resolution; at 512 points a side a tenth is promised, here 256 do."""
    field = Counted(wavy)
    grid = GridField(field, BOX, 256, points_at_once=50_000)
    for _ in narrow_slabs(grid):
        pass
    assert field.count == grid.queries <= 256**3 / 10
    assert field.largest <= 50_000


def test_a_field_whose_slope_cannot_be_measured_is_evaluated_everywhere(caplog):
    def cliff(points):  # it jumps at the surface, and falls off slowly elsewhere
        return ball(points, radius=0.4) + 0.1 * ball(points, radius=0.4).sign()

    field = Counted(cliff)
    extract_surface(field, BOX, 80)
    assert field.count >= 80**3
    assert "the field gets steeper the closer one looks" in caplog.text
    assert f"all {80**3} points of the grid are evaluated" in caplog.text


def test_surface_that_no_sample_hints_at_is_found_by_probes(caplog):
    center = [-1 + 100 * 2 / 128] * 3  # the middle of a cell of the coarsest grid

    def hidden(points):
        return torch.where(ball(points, center, 0.1) < 0, -0.5, ball(points, radius=0.3))

    narrow = extract_surface(hidden, BOX, 129)
    assert "random probes found surface" in caplog.text
    surface = trimesh.Trimesh(narrow.vertices.numpy(), narrow.faces.numpy(), process=False)
    assert surface.body_count == 2


def test_colours_are_asked_at_the_vertices_in_the_fields_frame():
    mesh = extract_surface(ball, BOX, 20, to_world=np.diag([3.0, 3, 3, 1]), colors=lambda points: (points + 1) / 2)
    assert torch.allclose(mesh.colors, (mesh.vertices / 3 + 1) / 2, atol=1e-6)


@pytest.mark.parametrize(("shift", "where"), [(5.0, r"positive \(outside\)"), (-5.0, r"negative \(inside\)")])
def test_a_field_without_zero_crossing_is_one_sentence(shift, where):
    with pytest.raises(
        ValueError, match=rf"no zero crossing in the box .* are {where}, from .*the box misses the object"
    ):
        extract_surface(lambda points: ball(points) + shift, BOX, 40)


def test_a_diverged_network_is_one_sentence():
    with pytest.raises(ValueError, match=r"not finite at \[.*weights are damaged"):
        extract_surface(lambda points: torch.sqrt(ball(points)), BOX, 20)


def test_a_box_without_volume_is_refused():
    with pytest.raises(ValueError, match="lower < upper corner"):
        extract_surface(ball, BOX.flip(0), 20)
