"""nvdiffrast: primary visibility on a GPU (https://nvlabs.github.io/nvdiffrast/).

`rasterize` takes clip positions and answers, for every pixel, (u, v, z/w, id + 1) with row 0 at y = -1; ids above 2^24
are stored as shifted bit patterns. Pictures are drawn in tiles: versions before 0.3.3 draw at most 2048 pixels a side,
and only sizes divisible by 8. The planes are drawn tight around the mesh, because depth is ordered by z/w, which
float32 resolves poorly far behind a very near plane.
"""

import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from common.cameras import crop_intrinsics
from common.ops.rasterize.clip_space import clip_matrix
from common.ops.rasterize.visibility import Visibility

TILE = 2048
_LARGEST_PLAIN_ID = 1 << 24
_ID_SHIFT = 0x4A800000


class NvdiffrastMesh:
    """The `nvdiffrast` back-end of `MeshRasterizer`."""

    def __init__(self, vertices: Float[Tensor, "P 3"], faces: Int[Tensor, "T 3"]):
        import nvdiffrast.torch as nvdiffrast

        self._draw = nvdiffrast.rasterize
        self._context = nvdiffrast.RasterizeCudaContext(device=vertices.device)
        self._vertices = vertices.detach()
        self._faces = faces.detach().to(vertices.device, torch.int32).contiguous()

    def visibility(
        self,
        intrinsics: Float[Tensor, "3 3"],
        world_to_cam: Float[Tensor, "4 4"],
        width: int,
        near: float,
        far: float,
        rows: range,
    ) -> Visibility:
        """See `MeshRasterizer.visibility`."""
        intrinsics, world_to_cam = (
            part.detach().to(self._vertices.device).double() for part in (intrinsics, world_to_cam)
        )
        z = (self._vertices.double() @ world_to_cam[2, :3] + world_to_cam[2, 3]).float()
        shape = (len(rows), width)
        seen = Visibility(
            torch.full(shape, -1, dtype=torch.int32, device=z.device), z.new_zeros(*shape, 2), z.new_zeros(shape)
        )
        near, far = max(near, float(z.min()) * (1 - 1e-5)), min(far, float(z.max()) * (1 + 1e-5))
        if near >= far:
            return seen
        for top in range(rows.start, rows.stop, TILE):
            for left in range(0, width, TILE):
                height, across = min(TILE, rows.stop - top), min(TILE, width - left)
                camera = crop_intrinsics(intrinsics, float(left), float(top)), world_to_cam
                tile = self._tile(*camera, height, across, near, far, z)
                place = slice(top - rows.start, top - rows.start + height), slice(left, left + across)
                for part in ("face", "barycentric", "depth"):
                    getattr(seen, part)[place] = getattr(tile, part)
        return seen

    def _tile(
        self, intrinsics, world_to_cam, height: int, width: int, near: float, far: float, z: Tensor
    ) -> Visibility:
        """A picture that nvdiffrast can draw in one call."""
        padded = (-(-height // 8) * 8, -(-width // 8) * 8)
        to_clip = clip_matrix(intrinsics, world_to_cam, *padded, near, far)
        positions = self._vertices.double() @ to_clip[:, :3].mT + to_clip[:, 3]
        drawn, _ = self._draw(
            self._context, positions.float()[None], self._faces, resolution=list(padded), grad_db=False
        )
        drawn = drawn[0, :height, :width]
        face = decode_ids(drawn[..., 3]) - 1
        is_empty = face < 0
        u = drawn[..., 0].clamp(0, 1)
        v = torch.minimum(drawn[..., 1].clamp(min=0), 1 - u)
        corners = z[self._faces[face.masked_fill(is_empty, 0).long()].long()]
        depth = u * corners[..., 0] + v * corners[..., 1] + (1 - u - v) * corners[..., 2]
        barycentric = torch.stack([u, v], dim=-1).masked_fill(is_empty[..., None], 0)
        return Visibility(face, barycentric, depth.masked_fill(is_empty, 0))


def decode_ids(stored: Float32[Tensor, "H W"]) -> Int[Tensor, "H W"]:
    """Triangle numbers (from 1; 0 for nothing) as nvdiffrast stores them in a float32 channel."""
    shifted = stored.contiguous().view(torch.int32) - _ID_SHIFT
    return torch.where(stored <= _LARGEST_PLAIN_ID, stored.int(), shifted)
