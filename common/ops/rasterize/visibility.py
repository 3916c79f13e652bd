"""What a rasteriser answers, and attributes read there."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from common.ops._backends import choose


@dataclass(frozen=True)
class Visibility:
    """What the pixels of (some rows of) a picture see.

    Attributes:
        face: Triangle, or -1 where nothing is seen.
        barycentric: Weights of the triangle's first and second corner, each in [0, 1], their sum too; 0 where nothing
            is seen. float32.
        depth: z in the camera; 0 where nothing is seen. float32.
    """

    face: Int[Tensor, "H W"]
    barycentric: Float[Tensor, "H W 2"]
    depth: Float[Tensor, "H W"]


def interpolate(
    visibility: Visibility, faces: Int[Tensor, "T 3"], attributes: Float[Tensor, "P C"]
) -> Float[Tensor, "H W C"]:
    """Vertex attributes at what every pixel sees, 0 where nothing is seen; differentiable in the attributes."""
    return interpolate_at(visibility.face, visibility.barycentric, faces, attributes)


def interpolate_at(
    face: Int[Tensor, "*pixels"],
    barycentric: Float[Tensor, "*pixels 2"],
    faces: Int[Tensor, "T 3"],
    attributes: Float[Tensor, "P C"],
    backend: Literal["auto", "torch", "numba"] = "auto",
) -> Float[Tensor, "*pixels C"]:
    """Vertex attributes at places on triangles: `u a_0 + v a_1 + (1 - u - v) a_2`, summed in this order.

    Differentiable in the attributes, by the reference. On one back-end a place gives the same bits whatever others it
    is asked together with.

    Args:
        face: Triangle of each place; -1 gives 0.
        barycentric: Weights of the first and second corner.
        faces: Corners of each triangle.
        attributes: Of each vertex.
        backend: See `common.ops`.
    """
    constant = not (torch.is_grad_enabled() and attributes.requires_grad)
    if choose("interpolate_at", backend, (barycentric, attributes), ("numba",) if constant else ()) == "numba":
        from common.ops.rasterize.numba_kernels import interpolate_places

        return interpolate_places(face, barycentric, faces, attributes)
    return _interpolate_torch(face, barycentric, faces, attributes)


def _interpolate_torch(face: Tensor, barycentric: Tensor, faces: Tensor, attributes: Tensor) -> Tensor:
    is_empty = face < 0
    corners = faces[face.long().masked_fill(is_empty, 0)].long()
    weights = barycentric.to(attributes.dtype)
    u, v = weights[..., :1], weights[..., 1:]
    first, second, third = (attributes[corners[..., index]] for index in range(3))
    values = u * first + v * second + (1 - u - v) * third
    return values.masked_fill(is_empty[..., None], 0) if bool(is_empty.any()) else values
