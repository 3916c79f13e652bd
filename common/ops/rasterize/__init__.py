"""Primary visibility of a triangle mesh: which surface a pixel sees, where on the triangle, and how far away.

A pixel (x, y) of a camera sees the first surface that the line through its centre meets at a depth (z along the optical
axis) between `near` and `far`; nearer surface is looked through, both sides of a triangle are seen, one line per pixel.
Attributes of the corners are interpolated on the triangle (nvdiffrast's convention, XScale-NVS Sec. 3.4):

    a = u a_0 + v a_1 + (1 - u - v) a_2        u, v in [0, 1], u + v <= 1

Back-ends: `embree` (CPU) and `nvdiffrast` (CUDA, where the package is installed). Embree finds the triangle in float32;
weights and depth are then computed from the triangle itself in float64. On a GPU without nvdiffrast, Embree works and
the results are moved there.
"""

import importlib.util
import logging
import os
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from common.ops.rasterize.visibility import Visibility, interpolate, interpolate_at

__all__ = ["Backend", "MeshRasterizer", "Visibility", "interpolate", "interpolate_at"]

Backend = Literal["auto", "embree", "nvdiffrast"]

logger = logging.getLogger(__name__)


class MeshRasterizer:
    """A mesh that cameras look at; whatever can be prepared for all views is prepared once.

    Attributes:
        backend: The back-end in use.
    """

    def __init__(self, vertices: Float[Tensor, "P 3"], faces: Int[Tensor, "T 3"], backend: Backend = "auto"):
        """Prepare a mesh.

        Args:
            vertices: World positions, float32 or float64. Their device is where results arrive.
            faces: Corners of each triangle.
            backend: `auto` takes nvdiffrast for vertices on a GPU where it is installed, otherwise Embree; the
                environment variable POLYVIEW_BACKEND replaces `auto` where it names one of the two.

        Raises:
            ValueError: The mesh has no faces, a face names a vertex that does not exist, or a vertex is not finite.
            RuntimeError: nvdiffrast was asked for by name and is not installed.
        """
        _check_mesh(vertices, faces)
        self.backend = _choose(backend, vertices)
        if self.backend == "nvdiffrast":
            from common.ops.rasterize.nvdiffrast_backend import NvdiffrastMesh

            self._mesh = NvdiffrastMesh(vertices, faces)
        else:
            from common.ops.rasterize.embree import EmbreeMesh

            self._mesh = EmbreeMesh(vertices, faces)

    def visibility(
        self,
        intrinsics: Float[Tensor, "3 3"],
        world_to_cam: Float[Tensor, "4 4"],
        height: int,
        width: int,
        near: float,
        far: float,
        rows: slice | None = None,
    ) -> Visibility:
        """What every pixel sees, or every pixel of some rows.

        Args:
            intrinsics: Pixels; the centre of the top-left pixel is (0, 0). Float64 for exact positions.
            world_to_cam: OpenCV axes.
            height: Of the whole picture.
            width: Of the whole picture.
            near: Surface nearer than this depth is looked through.
            far: Surface beyond this depth is not seen.
            rows: Which rows; memory follows them. None takes all.

        Raises:
            ValueError: Sizes or depths that make no picture, or a camera with NaN.
        """
        if height < 1 or width < 1 or not 0 <= near < far:
            raise ValueError(
                f"a picture needs a positive size and 0 <= near < far, got {height} x {width}, {near}, {far}"
            )
        if not (torch.isfinite(intrinsics).all() and torch.isfinite(world_to_cam).all()):
            raise ValueError("the camera to rasterise holds numbers that are not finite")
        first, last, _ = (rows or slice(None)).indices(height)
        return self._mesh.visibility(intrinsics, world_to_cam, width, near, far, range(first, max(first, last)))


def _check_mesh(vertices: Tensor, faces: Tensor) -> None:
    if not len(faces):
        raise ValueError(f"cannot rasterise a mesh without faces (it has {len(vertices)} vertices)")
    low, high = int(faces.min()), int(faces.max())
    if low < 0 or high >= len(vertices):
        raise ValueError(f"faces name vertices {low} to {high} but the mesh has {len(vertices)} vertices")
    if not torch.isfinite(vertices).all():
        raise ValueError("the mesh has vertices that are not finite; repair it before rasterising")


def _choose(backend: str, vertices: Tensor) -> str:
    named = os.environ.get("POLYVIEW_BACKEND", "auto")
    if backend == "auto" and named in ("embree", "nvdiffrast"):
        backend = named
    installed = importlib.util.find_spec("nvdiffrast") is not None
    if backend == "auto":
        if vertices.is_cuda and not installed:
            logger.warning("nvdiffrast is not installed: meshes are rasterised on the CPU, by Embree")
        return "nvdiffrast" if vertices.is_cuda and installed else "embree"
    if backend == "nvdiffrast" and not installed:
        raise RuntimeError(
            "backend='nvdiffrast' of MeshRasterizer needs the package nvdiffrast; install it from"
            " https://github.com/NVlabs/nvdiffrast"
        )
    if backend not in ("embree", "nvdiffrast"):
        raise ValueError(f"MeshRasterizer has no back-end {backend!r}; choose from auto, embree, nvdiffrast")
    return backend
