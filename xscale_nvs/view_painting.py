"""Painting a whole view: rasterise a band of rows, colour what it sees, go on (XScale-NVS, Sec. 3.5 and 8).

Only covered pixels are coloured. Of these, sub-samples that miss the mesh take part as in the paper: with the world's
origin as their position.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from common.cameras import Camera
from common.ops.rasterize import MeshRasterizer
from xscale_nvs.networks.painter import Painter
from xscale_nvs.ray_buffers import Samples, bands, see_rows
from xscale_nvs.scene_mesh import SceneMesh

WHITE = 1.0


@dataclass(frozen=True)
class PaintedView:
    """A picture, on the CPU.

    Attributes:
        rgb: In [0, 1]; white where nothing is seen.
        depth: z along the optical axis, scene units, of the first sub-sample that sees the mesh; 0 where none does.
        covered: Pixels that see the mesh.
    """

    rgb: Float[Tensor, "H W 3"]
    depth: Float[Tensor, "H W"]
    covered: Bool[Tensor, "H W"]


@torch.no_grad()
def paint_view(
    mesh: SceneMesh, rasterizer: MeshRasterizer, painter: Painter, camera: Camera, ss_ratio: int = 1
) -> PaintedView:
    """The picture of a camera, in memory that is the picture's plus a constant.

    Args:
        mesh: On the painter's device.
        rasterizer: Of the same mesh.
        painter: Colours points.
        camera: Its `near_far` bounds what is seen.
        ss_ratio: Sub-samples per pixel and axis.
    """
    size = camera.height, camera.width
    rgb, depth = torch.full((*size, 3), WHITE), torch.zeros(size)
    covered = torch.zeros(size, dtype=torch.bool)
    for rows in bands(*size, ss_ratio):
        samples = see_rows(rasterizer, camera, ss_ratio, rows)
        covered[rows] = samples.covered.cpu()
        seen = _covered_only(samples)
        points = seen.points(mesh)
        xyz, viewdr = points.xyz[0], points.viewdr[0]
        rgb[rows][covered[rows]] = painter(xyz, viewdr).clamp(0, 1).cpu()
        depth[rows][covered[rows]] = _first_depth(seen, xyz, camera).cpu()
    return PaintedView(rgb, depth, covered)


def _covered_only(samples: Samples) -> Samples:
    """The covered pixels, as one row."""
    return Samples(
        face=samples.face[samples.covered][None],
        barycentric=samples.barycentric[samples.covered][None],
        covered=samples.covered[samples.covered][None],
        camera_center=samples.camera_center,
    )


def _first_depth(seen: Samples, xyz: Tensor, camera: Camera) -> Float[Tensor, " R"]:
    """Depth of the first sub-sample of each pixel that sees the mesh; 0 where none does (see `coverage`)."""
    is_seen = seen.face[0] >= 0
    first = is_seen.to(torch.uint8).argmax(dim=-1)
    point = xyz[torch.arange(len(xyz), device=xyz.device), first].double()
    axis = camera.world_to_cam[2].to(point)
    depth = point @ axis[:3] + axis[3]
    return torch.where(is_seen.any(dim=-1), depth, 0).float()
