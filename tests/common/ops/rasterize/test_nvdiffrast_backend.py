import importlib.machinery
import sys
import types

import numpy as np
import pytest
import torch

from common.cameras import project
from common.ops.rasterize import MeshRasterizer, interpolate, nvdiffrast_backend
from common.ops.rasterize.clip_space import clip_matrix
from common.synthetic.rigs import look_at

INTRINSICS = torch.tensor([[52.0, 0.0, 22.3], [0.0, 47.0, 16.1], [0.0, 0.0, 1.0]], dtype=torch.float64)
WORLD_TO_CAM = torch.from_numpy(look_at(np.array([0.5, -2.0, 2.0]), np.zeros(3)))


def mesh(count=40):
    generator = torch.Generator().manual_seed(2)
    middles = torch.rand(count, 1, 3, generator=generator) * 2 - 1
    corners = middles + torch.randn(count, 3, 3, generator=generator) * 0.3
    return corners.reshape(-1, 3), torch.arange(3 * count, dtype=torch.int32).reshape(-1, 3)


def encode_id(number):
    return number.float() if number <= 1 << 24 else (number.int() + 0x4A800000).view(torch.float32)


def draw(context, positions, triangles, resolution, grad_db):
    """What nvdiffrast documents, as a loop in plain tensors: one sample per pixel, row 0 at y = -1."""
    assert positions.dtype == torch.float32 and triangles.dtype == torch.int32 and not grad_db
    height, width = resolution
    assert height % 8 == 0 and width % 8 == 0 and max(height, width) <= nvdiffrast_backend.TILE
    y = (2 * torch.arange(height).double() + 1) / height - 1
    x = (2 * torch.arange(width).double() + 1) / width - 1
    y, x = torch.meshgrid(y, x, indexing="ij")
    nearest, answer = torch.full((height, width), torch.inf, dtype=torch.float64), torch.zeros(height, width, 4)
    for number, corners in enumerate(positions[0].double()[triangles.long()], 1):
        # Weights of the clip positions (x, y, w) that make the ray of a pixel, up to a factor.
        weights = torch.stack([x, y, torch.ones_like(x)], -1) @ torch.linalg.inv(corners[:, [0, 1, 3]])
        weights = weights / weights.sum(-1, keepdim=True)
        z, w = (weights @ corners[:, 2:]).unbind(-1)
        hit = (weights >= 0).all(-1) & (z.abs() <= w) & (z / w < nearest)
        nearest[hit] = (z / w)[hit]
        value = torch.cat([weights[..., :2], (z / w)[..., None], torch.zeros(height, width, 1)], -1).float()
        value[..., 3] = encode_id(torch.tensor(number))
        answer[hit] = value[hit]
    return answer[None], torch.zeros(1, height, width, 0)


@pytest.fixture
def fake_nvdiffrast(monkeypatch):
    package, module = types.ModuleType("nvdiffrast"), types.ModuleType("nvdiffrast.torch")
    package.__spec__ = importlib.machinery.ModuleSpec("nvdiffrast", None)
    package.torch, module.rasterize, module.RasterizeCudaContext = module, draw, lambda device: object()
    monkeypatch.setitem(sys.modules, "nvdiffrast", package)
    monkeypatch.setitem(sys.modules, "nvdiffrast.torch", module)


@pytest.mark.parametrize("tile", [2048, 16])
@pytest.mark.parametrize(("near", "far"), [(0.001, 1000.0), (2.6, 3.2)])
def test_both_back_ends_see_the_same_pixels(fake_nvdiffrast, monkeypatch, tile, near, far):
    monkeypatch.setattr(nvdiffrast_backend, "TILE", tile)
    vertices, faces = mesh()
    view = INTRINSICS, WORLD_TO_CAM, 37, 45, near, far
    drawn = MeshRasterizer(vertices, faces, "nvdiffrast").visibility(*view, slice(3, 30))
    cast = MeshRasterizer(vertices, faces, "embree").visibility(*view, slice(3, 30))
    agree = drawn.face == cast.face
    assert agree.float().mean() > 0.997 and (cast.face >= 0).float().mean() > 0.05
    assert drawn.barycentric.min() >= 0 and drawn.barycentric.sum(-1).max() <= 1
    torch.testing.assert_close(drawn.depth[agree], cast.depth[agree], rtol=1e-5, atol=0)
    points = [interpolate(seen, faces, vertices)[agree] for seen in (drawn, cast)]
    torch.testing.assert_close(*points, rtol=0, atol=1e-4)


def test_a_mesh_behind_the_camera_is_not_drawn(fake_nvdiffrast):
    vertices, faces = mesh()
    away = torch.from_numpy(look_at(np.array([0.0, 0.0, 9.0]), np.array([0.0, 1.0, 99.0])))
    seen = MeshRasterizer(vertices, faces, "nvdiffrast").visibility(INTRINSICS, away, 36, 48, 0.1, 100.0)
    assert (seen.face == -1).all() and (seen.depth == 0).all()


def test_triangle_numbers_beyond_two_to_the_24_come_back_exactly():
    numbers = torch.tensor([[0, 1, 2**24 - 1, 2**24, 2**24 + 1, 2**24 + 3, 10**8 + 1]])
    stored = torch.stack([encode_id(number) for number in numbers[0]])[None]
    assert torch.equal(nvdiffrast_backend.decode_ids(stored).long(), numbers)


def test_clip_space_agrees_with_projection():
    """Pixel (x, y) is at ((2 x + 1) / W - 1, (2 y + 1) / H - 1): row 0 at -1, so the picture is not upside down."""
    points = torch.rand(20, 3, dtype=torch.float64) - 0.5
    matrix = clip_matrix(INTRINSICS, WORLD_TO_CAM, 36, 48, 2.0, 5.0)
    clip = torch.cat([points, torch.ones(20, 1)], dim=1) @ matrix.T
    pixels, depth = project(points, INTRINSICS, WORLD_TO_CAM)
    size = torch.tensor([48.0, 36.0])
    torch.testing.assert_close(clip[:, :2] / clip[:, 3:], (2 * pixels + 1) / size - 1)
    torch.testing.assert_close(clip[:, 3], depth)
    planes = torch.tensor([[2.0, 1.0], [5.0, 1.0]], dtype=torch.float64) @ (
        clip_matrix(torch.eye(3).double(), torch.eye(4).double(), 36, 48, 2.0, 5.0)[2:, 2:].T
    )
    torch.testing.assert_close(planes[:, 0] / planes[:, 1], torch.tensor([-1.0, 1.0]).double())


def test_nvdiffrast_by_name_says_where_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=r"install it from https://github.com/NVlabs/nvdiffrast"):
        MeshRasterizer(*mesh(), backend="nvdiffrast")
