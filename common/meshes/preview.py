"""A shaded picture of a mesh, for logs and pages: what a camera would see with a lamp on it."""

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from common.cameras import Camera, scale_intrinsics
from common.ops.rasterize import MeshRasterizer, interpolate
from common.renderer import SurfaceMesh

PLAIN = (0.80, 0.80, 0.82)  # colour of a mesh without colours
LAMP = (-0.4, -0.6, -1.0)  # direction to the lamp, camera frame: above the camera, to the left
AMBIENT = 0.3
SAMPLES = 2  # a pixel is the mean of SAMPLES x SAMPLES rays


def render_mesh(
    mesh: SurfaceMesh, camera: Camera, background: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> UInt8[np.ndarray, "H W 3"]:
    """The mesh as the camera sees it, both sides of a triangle alike; the camera's depth bounds do not matter.

    Args:
        mesh: World frame; its colours, or a light grey.
        camera: Where to look from.
        background: Colour in [0, 1] where nothing is seen.

    Raises:
        ValueError: The mesh has no faces, or lies behind the camera.
    """
    vertices, world_to_cam = mesh.vertices.double().cpu(), camera.world_to_cam.double().cpu()
    faces = mesh.faces.cpu()
    depth = vertices @ world_to_cam[2, :3] + world_to_cam[2, 3]
    far = float(depth.max()) * 1.01
    if not far > 0:
        raise ValueError("the mesh lies behind the camera; look from elsewhere, or check the camera's axes")
    near = max(0.99 * float(depth.min()), 1e-4 * far)

    # Each ray goes through the middle of its part of the pixel.
    intrinsics = scale_intrinsics(camera.intrinsics.double().cpu(), float(SAMPLES))
    intrinsics[:2, 2] += (SAMPLES - 1) / 2
    size = (SAMPLES * camera.height, SAMPLES * camera.width)
    seen = MeshRasterizer(vertices, faces).visibility(intrinsics, world_to_cam, *size, near, far)

    color = torch.tensor(PLAIN).expand(len(vertices), 3) if mesh.colors is None else mesh.colors.float().cpu()
    normals = vertex_normals(vertices, faces) @ world_to_cam[:3, :3].T
    attributes = interpolate(seen, faces, torch.cat([color, normals.float()], dim=1))
    lamp = functional.normalize(torch.tensor(LAMP), dim=0)
    light = AMBIENT + (1 - AMBIENT) * (functional.normalize(attributes[..., 3:], dim=-1) @ lamp).abs()
    shaded = torch.where(seen.face[..., None] >= 0, attributes[..., :3] * light[..., None], torch.tensor(background))
    pooled = functional.avg_pool2d(shaded.permute(2, 0, 1)[None].clamp(0, 1), SAMPLES)[0].permute(1, 2, 0)
    return (255 * pooled).round().to(torch.uint8).numpy()


def vertex_normals(vertices: Float[Tensor, "P 3"], faces: Int[Tensor, "T 3"]) -> Float[Tensor, "P 3"]:
    """Unit normals, weighted by the area of the faces around; 0 for a vertex without face."""
    first, second, third = (vertices[faces[:, index].long()] for index in range(3))
    normals = torch.linalg.cross(second - first, third - first)
    summed = torch.zeros_like(vertices)
    for index in range(3):
        summed.index_add_(0, faces[:, index].long(), normals)
    return functional.normalize(summed, dim=1)
