import dataclasses

import numpy as np
import pytest

from common.datasets.writers.xscale import write_xscale
from common.datasets.xscale import read_xscale
from common.ops.rasterize.embree import RayCaster
from common.synthetic import generate
from common.synthetic.flat_shapes import divided, oblong_outline, polygon, pyramid, regular_outline, walls
from common.synthetic.ray_casting import cast_depth
from common.synthetic.surfaces import join_surfaces

SIZE = (192, 108)


@pytest.fixture(scope="module")
def town():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("common.synthetic.generator.LIGHT_SPACING", 12.0)
        return [generate(2, "town", SIZE, num_views=4) for _ in range(2)]


def test_the_same_seed_gives_the_same_town_to_the_bit(town):
    first, again = town
    np.testing.assert_array_equal(first.mesh.vertices, again.mesh.vertices)
    for one, other in zip(first.views, again.views, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.world_to_cam, other.world_to_cam)


def test_the_mesh_is_coarse_and_the_pictures_are_fine(town):
    mesh = town[0].mesh
    assert 500 < len(mesh.faces) < 4000
    for view in town[0].views:
        covered = view.depth > 0
        assert covered.mean() > 0.5
        pixel = np.median(view.depth[covered]) / view.intrinsics[0, 0]
        # Half of the visible surface lies in triangles of at least a hundred pixels.
        faces = _faces_of(mesh, view)
        assert np.median(mesh.area_faces[faces[faces >= 0]]) > 100 * pixel**2
        steps = np.abs(np.diff(view.image.astype(float), axis=1)).mean(axis=-1)[covered[:, 1:] & covered[:, :-1]]
        assert steps.mean() > 8


def test_the_written_mesh_and_cameras_fit_the_pictures(town, tmp_path):
    write_xscale(tmp_path, town[0])
    scene = read_xscale(tmp_path / town[0].name).with_pixel_origin("center")
    mesh = town[0].mesh
    caster = RayCaster(mesh.vertices, mesh.faces)
    for stored, view in zip(scene.views, town[0].views, strict=True):
        focal = stored.intrinsics[0, 0]
        centred = np.array([[focal, 0, (SIZE[0] - 1) / 2], [0, focal, (SIZE[1] - 1) / 2], [0, 0, 1]])
        np.testing.assert_allclose(stored.intrinsics, centred, atol=1e-6)
        depth = cast_depth(caster, centred, stored.world_to_cam, SIZE)
        agree = np.abs(depth - view.depth) <= 1e-4 * view.depth
        assert agree.mean() > 0.999  # but for rays that graze an edge


def test_materials_shine_so_that_a_place_looks_different_from_elsewhere(town):
    first, second = town[0].views[2:4]
    assert np.abs(_colors_of_shared_points(first, second)).mean() > 0.005


@pytest.mark.parametrize("spacing", [0.3, 1.0, 10.0])
def test_division_keeps_the_surface(spacing):
    outline = regular_outline(2.0, 5)
    tent = join_surfaces([walls(outline, 0.0, 1.5), pyramid(outline, 1.5, 4.0)])
    fine = divided(tent, spacing)
    corners = fine.vertices[fine.faces]
    assert np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1).max() <= max(spacing, 5.0) + 1e-9
    assert _area_and_volume(fine) == pytest.approx(_area_and_volume(tent), rel=1e-9)
    np.testing.assert_allclose(np.linalg.norm(fine.normals, axis=1), 1)
    if spacing < 1:
        assert np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1).max() <= spacing
    else:
        assert len(divided(tent, 100.0).faces) == len(tent.faces)


def test_a_point_of_a_divided_face_lies_at_its_place_on_the_material():
    sheet = polygon([[0, 0, 0], [4, 0, 0], [4, 2, 0], [0, 2, 0]], [[1, 1], [9, 1], [9, 5], [1, 5]])
    fine = divided(sheet, 0.5)
    np.testing.assert_allclose(fine.texture_points[:, :2], 2 * fine.vertices[:, :2] + 1)
    np.testing.assert_allclose(fine.normals, np.tile([0.0, 0, 1], (len(fine.normals), 1)))


def test_walls_and_roofs_face_outwards():
    outline = oblong_outline(2.0, 3.0)
    closed = [walls(outline, 0.0, 1.0), pyramid(outline, 1.0, 3.0), pyramid(outline[::-1], 0.0, 0.0)]
    house = join_surfaces([dataclasses.replace(part) for part in closed])
    assert _area_and_volume(house)[1] == pytest.approx(2 * 3 * 1 + 2 * 3 * 2 / 3)
    first, second, third = (house.vertices[house.faces[:, k]] for k in range(3))
    assert (np.cross(second - first, third - first) * house.normals[house.faces[:, 0]]).sum(axis=1).min() > 0


def _area_and_volume(surface):
    first, second, third = (surface.vertices[surface.faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(second - first, third - first), axis=1).sum() / 2
    return area, np.einsum("ij,ij->", first, np.cross(second, third)) / 6


def _rays(view):
    pixels = np.stack([*np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1])), np.ones(SIZE[::-1])], axis=-1)
    return pixels.reshape(-1, 3) @ np.linalg.inv(view.intrinsics).T @ view.world_to_cam[:3, :3]


def _faces_of(mesh, view):
    directions = _rays(view).astype(np.float32)
    center = -view.world_to_cam[:3, :3].T @ view.world_to_cam[:3, 3]
    origins = np.broadcast_to(center.astype(np.float32), directions.shape).copy()
    return RayCaster(mesh.vertices, mesh.faces).first_hits(origins, directions).faces


def _colors_of_shared_points(view, other):
    """Smoothed colour differences of the points that both views show, [0, 1]."""
    center = -view.world_to_cam[:3, :3].T @ view.world_to_cam[:3, 3]
    points = center + _rays(view) * view.depth.reshape(-1, 1)
    seen = (points @ other.world_to_cam[:3, :3].T + other.world_to_cam[:3, 3]) @ other.intrinsics.T
    column, row = np.round(seen[:, :2] / np.maximum(seen[:, 2:], 1e-6)).astype(int).T
    inside = (view.depth.reshape(-1) > 0) & (column >= 0) & (column < SIZE[0]) & (row >= 0) & (row < SIZE[1])
    column, row = np.where(inside, column, 0), np.where(inside, row, 0)
    inside &= np.abs(seen[:, 2] / np.maximum(other.depth[row, column], 1e-6) - 1) < 0.01
    difference = view.image.reshape(-1, 3) / 255.0 - other.image[row, column] / 255.0
    boxes = (np.arange(SIZE[0] * SIZE[1]) // SIZE[0] // 12 * 100 + np.arange(SIZE[0] * SIZE[1]) % SIZE[0] // 12)[inside]
    count = np.bincount(boxes)
    means = np.stack([np.bincount(boxes, difference[inside][:, k]) for k in range(3)], 1)[count > 40]
    return means / count[count > 40][:, None]
