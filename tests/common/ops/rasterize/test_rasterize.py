import numpy as np
import pytest
import torch

from common.ops.rasterize import MeshRasterizer, interpolate, interpolate_at
from common.synthetic.rigs import look_at

NEAR, FAR = 0.001, 1000.0


def pinhole(focal=50.0, width=48, height=36):
    return torch.tensor([[focal, 0, width / 2 - 0.5], [0, focal, height / 2 - 0.5], [0, 0, 1]], dtype=torch.float64)


def pose(eye, target=(0.0, 0.0, 0.0)):
    return torch.from_numpy(look_at(np.array(eye, dtype=float), np.array(target, dtype=float)))


def square(z, half=2.0):
    """Two triangles across the z axis."""
    corners = torch.tensor([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]])
    return corners, torch.tensor([[0, 1, 2], [0, 2, 3]])


def random_triangles(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    middles = torch.rand(count, 1, 3, generator=generator) * 2 - 1
    corners = middles + torch.randn(count, 3, 3, generator=generator) * 0.2
    return corners.reshape(-1, 3), torch.arange(3 * count).reshape(-1, 3)


def brute_force(vertices, faces, intrinsics, world_to_cam, height, width, near, far):
    """Every pixel against every triangle's plane, in the camera's axes and float64."""
    corners = (vertices.double() @ world_to_cam[:3, :3].T + world_to_cam[:3, 3])[faces.long()]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    rays = torch.stack([x, y, torch.ones_like(x)], -1).double().reshape(-1, 3) @ torch.linalg.inv(intrinsics).T
    # u a + v b + w c = t ray with u + v + w = 1: four unknowns, four equations.
    system = torch.zeros(len(rays), len(faces), 4, 4, dtype=torch.float64)
    system[..., :3, :3], system[..., :3, 3], system[..., 3, :3] = corners.mT, -rays[:, None], 1.0
    right = torch.tensor([0.0, 0, 0, 1], dtype=torch.float64).expand(len(rays), len(faces), 4)
    weights, t = torch.linalg.solve(system, right).split([3, 1], dim=-1)
    t = t[..., 0].masked_fill((weights < 0).any(-1), torch.inf)
    t = t.masked_fill((t < near) | (t > far), torch.inf)
    depth, face = t.min(dim=1)
    chosen = weights.take_along_dim(face[:, None, None], 1)[:, 0, :2]
    empty = depth.isinf()
    return face.masked_fill(empty, -1), chosen.masked_fill(empty[:, None], 0), depth.masked_fill(empty, 0)


def test_golden_visibility(golden):
    stored = golden("xscale_nvs/raster")
    vertices, faces = torch.from_numpy(stored["v"]), torch.from_numpy(stored["f"])
    height, width = map(int, stored["size"])
    rasterizer = MeshRasterizer(vertices, faces)
    for view in stored["views"]:
        intrinsics = pinhole(stored["K"][view][1, 1], width, height)
        world_to_cam = torch.from_numpy(stored["E"][view])
        seen = rasterizer.visibility(intrinsics, world_to_cam, height, width, NEAR, FAR)
        np.testing.assert_array_equal(seen.face.numpy(), stored[f"face_{view}"])
        np.testing.assert_allclose(seen.barycentric.numpy(), stored[f"bary_uv_{view}"], atol=1e-6)
        np.testing.assert_allclose(seen.depth.numpy(), stored[f"depth_{view}"], rtol=1e-6)
        np.testing.assert_allclose(interpolate(seen, faces, vertices).numpy(), stored[f"xyz_{view}"], atol=2e-6)


@pytest.mark.parametrize(("near", "far"), [(NEAR, FAR), (2.6, 3.2)])
def test_every_pixel_sees_what_a_loop_over_all_triangles_finds(near, far):
    vertices, faces = random_triangles(60)
    camera = pinhole(), pose([0.5, -2.0, 2.0])
    seen = MeshRasterizer(vertices, faces).visibility(*camera, 36, 48, near, far)
    face, barycentric, depth = brute_force(vertices, faces, *camera, 36, 48, near, far)
    assert (face >= 0).float().mean() > 0.05
    # A pixel whose centre lies within float32 of an edge may go either way.
    agree = seen.face.flatten() == face
    assert agree.float().mean() > 0.998
    torch.testing.assert_close(seen.barycentric.reshape(-1, 2).double()[agree], barycentric[agree], atol=1e-6, rtol=0)
    torch.testing.assert_close(seen.depth.flatten().double()[agree], depth[agree], atol=0, rtol=1e-6)


def test_surface_before_the_near_plane_is_looked_through_and_beyond_the_far_plane_not_seen():
    parts = [square(z) for z in (0.5, 0.50001, 0.9999, 1.5, 3.0)]
    vertices = torch.cat([corners for corners, _ in parts])
    faces = torch.cat([triangles + 4 * index for index, (_, triangles) in enumerate(parts)])
    rasterizer = MeshRasterizer(vertices, faces)
    camera = pinhole(), torch.eye(4, dtype=torch.float64)
    for near, far, expected in ((0.1, 9.0, 0.5), (1.0, 9.0, 1.5), (0.50001, 9.0, 0.50001), (1.0, 1.4, 0.0)):
        depth = rasterizer.visibility(*camera, 36, 48, near, far).depth[18, 24]
        assert depth == pytest.approx(expected, rel=1e-6)


def test_many_layers_before_the_near_plane_do_not_stop_a_ray():
    parts = [square(0.9 + 1e-7 * index) for index in range(20)] + [square(2.0)]
    vertices = torch.cat([corners for corners, _ in parts])
    faces = torch.cat([triangles + 4 * index for index, (_, triangles) in enumerate(parts)])
    camera = pinhole(), torch.eye(4, dtype=torch.float64)
    seen = MeshRasterizer(vertices, faces).visibility(*camera, 36, 48, 1.0, 9.0)
    assert seen.depth[18, 24] == 2.0


def test_both_sides_of_a_triangle_are_seen():
    vertices, faces = square(2.0)
    camera = pinhole(), torch.eye(4, dtype=torch.float64)
    for triangles in (faces, faces.flip(1)):
        assert (MeshRasterizer(vertices, triangles).visibility(*camera, 36, 48, NEAR, FAR).face >= 0).all()


def test_rows_are_those_of_the_whole_picture():
    vertices, faces = random_triangles(60)
    camera = pinhole(), pose([0.5, -2.0, 2.0])
    rasterizer = MeshRasterizer(vertices, faces)
    whole = rasterizer.visibility(*camera, 36, 48, NEAR, FAR)
    rows = rasterizer.visibility(*camera, 36, 48, NEAR, FAR, slice(7, 20))
    for part in ("face", "barycentric", "depth"):
        assert torch.equal(getattr(rows, part), getattr(whole, part)[7:20])
    assert rasterizer.visibility(*camera, 36, 48, NEAR, FAR, slice(5, 5)).face.shape == (0, 48)


def test_far_away_coordinates_and_any_scale_see_the_same():
    vertices, faces = random_triangles(60)
    vertices = vertices.double()
    camera = pose([0.5, -2.0, 2.0])
    expected = MeshRasterizer(vertices, faces).visibility(pinhole(), camera, 36, 48, NEAR, FAR)
    for scale, offset in ((1e-6, 0.0), (1e7, 0.0), (1.0, 5e6)):
        shift = torch.tensor([offset, -2 * offset, offset / 2], dtype=torch.float64)
        moved = camera.clone()
        moved[:3, 3] = camera[:3, 3] * scale - camera[:3, :3] @ shift
        rasterizer = MeshRasterizer(vertices * scale + shift, faces)
        seen = rasterizer.visibility(pinhole(), moved, 36, 48, NEAR * scale, FAR * scale)
        assert (seen.face == expected.face).float().mean() > 0.998
        agree = (seen.face == expected.face) & (seen.face >= 0)
        torch.testing.assert_close(seen.depth[agree] / scale, expected.depth[agree], rtol=1e-5, atol=0)


def test_a_sliver_answers_with_a_point_on_itself():
    """A triangle a millionth of its length wide, seen along its width and edge-on."""
    vertices = torch.tensor([[-1.0, 0, 3], [1, 0, 3], [0, 1e-6, 3], [-1, 0, 2], [1, 0, 2], [0, 0, 9]])
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]])
    intrinsics = pinhole()
    intrinsics[1, 2] = 18.0  # a pixel row lies exactly in the second triangle's plane
    seen = MeshRasterizer(vertices, faces).visibility(intrinsics, torch.eye(4).double(), 36, 48, NEAR, FAR)
    points = interpolate(seen, faces, vertices)
    assert torch.isfinite(points).all() and torch.isfinite(seen.depth).all()
    weights = seen.barycentric
    assert (weights >= 0).all() and (weights.sum(-1) <= 1).all()


def test_a_closed_surface_has_no_holes_along_its_edges():
    side = torch.linspace(-1, 1, 90)
    y, x = torch.meshgrid(side, side, indexing="ij")
    vertices = torch.stack([x, y, 2 + 0.1 * torch.sin(9 * x) * torch.cos(7 * y)], -1).reshape(-1, 3)
    index = torch.arange(90 * 90).reshape(90, 90)
    a, b, c, d = (index[i : 89 + i, j : 89 + j].reshape(-1) for i in (0, 1) for j in (0, 1))
    faces = torch.cat([torch.stack([a, b, c], 1), torch.stack([b, d, c], 1)])
    intrinsics = torch.tensor([[400.0, 0, 150], [0, 400, 150], [0, 0, 1]], dtype=torch.float64)
    seen = MeshRasterizer(vertices, faces).visibility(intrinsics, torch.eye(4).double(), 301, 301, NEAR, FAR)
    assert (seen.face >= 0).all()


def test_interpolation_by_hand():
    vertices, faces = torch.tensor([[0.0], [10.0], [20.0]]), torch.tensor([[0, 1, 2]])
    face, barycentric = torch.tensor([0, 0, -1]), torch.tensor([[1.0, 0.0], [0.25, 0.5], [0.0, 0.0]])
    expected = torch.tensor([[0.0], [10.0], [0.0]])  # 0.25 * 0 + 0.5 * 10 + 0.25 * 20
    assert torch.equal(interpolate_at(face, barycentric, faces, vertices), expected)


def test_interpolation_can_be_differentiated_in_the_attributes():
    vertices, faces = random_triangles(30)
    seen = MeshRasterizer(vertices, faces).visibility(pinhole(20.0, 8, 6), pose([0.5, -2.0, 2.0]), 6, 8, NEAR, FAR)
    attributes = torch.rand(len(vertices), 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: interpolate(seen, faces, values), attributes)


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (torch.zeros(4, 3), torch.zeros(0, 3, dtype=torch.int64), "without faces"),
        (torch.zeros(4, 3), torch.tensor([[0, 1, 4]]), "name vertices 0 to 4 but the mesh has 4"),
        (torch.full((3, 3), torch.nan), torch.tensor([[0, 1, 2]]), "not finite"),
    ],
)
def test_what_is_no_mesh_is_refused(vertices, faces, message):
    with pytest.raises(ValueError, match=message):
        MeshRasterizer(vertices, faces)


def test_what_is_no_picture_is_refused():
    rasterizer = MeshRasterizer(*square(2.0))
    with pytest.raises(ValueError, match="near < far"):
        rasterizer.visibility(pinhole(), torch.eye(4).double(), 36, 48, 2.0, 1.0)
    with pytest.raises(ValueError, match="not finite"):
        rasterizer.visibility(pinhole() * torch.nan, torch.eye(4).double(), 36, 48, NEAR, FAR)
