"""Patches around surface points, as the reference view and the sources show them (spec 4.10).

A patch lies in the surface's tangent plane: with X the point and n the unit normal in the reference camera's frame, a
pixel q of the reference image is seen by view k at H_k q,

    H_k = K_k (R_k^T R_0 + R_k^T (C_0 - C_k) n^T / (n . X)) K_0^-1        R, C: rotation and centre of cam_to_world
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from common.ops.grid_sample import grid_sample

RADIUS = 5
LEVELS = 3


class Patches(NamedTuple):
    """Values of 11 x 11 pixels, x fastest."""

    reference: Float[Tensor, "1 R 121 C"]
    sources: Float[Tensor, "S R 121 C"]


def patch_maps(features: Sequence[Float[Tensor, "V C _ _"]]) -> Float[Tensor, "V 3*C H W"]:
    """The three finest levels at the size of the finest, as constants."""
    size = features[0].shape[-2:]
    maps = [features[0]]
    for level in features[1:LEVELS]:
        maps.append(functional.interpolate(level, size, mode="bilinear", align_corners=False))
    return torch.cat(maps, dim=1).detach()


def warp_patches(
    points: Float[Tensor, "R 3"],
    normals_cam: Float[Tensor, "R 3"],
    maps: Float[Tensor, "V C H W"],
    intrinsics: Float[Tensor, "V 4 4"],
    cam_to_world: Float[Tensor, "V 4 4"],
) -> Patches:
    """What the views show around surface points; only the sources' values carry a gradient to the points.

    Args:
        points: In the cube.
        normals_cam: Unit normals in the frame of view 0.
        maps: To read from, at the size of the images.
        intrinsics: At the size of the images.
        cam_to_world: Cameras; view 0 is the reference.
    """
    rotation, center = cam_to_world[:, :3, :3], cam_to_world[:, :3, 3]
    points_cam = (points - center[0]) @ rotation[0]
    projected = points_cam @ intrinsics[0, :3, :3].mT
    pixels = (projected[:, :2] / (projected[:, 2:] + 1e-8))[:, None] + _offsets(points)
    homographies = _homographies(points_cam, normals_cam, intrinsics[:, :3, :3], rotation, center)
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
    warped = torch.einsum("srij,rpj->srpi", homographies, homogeneous)
    warped = warped[..., :2] / (warped[..., 2:] + 1e-8)
    return Patches(_read(maps[:1], pixels.detach()[None]), _read(maps[1:], warped))


def _homographies(
    points_cam: Float[Tensor, "R 3"],
    normals_cam: Float[Tensor, "R 3"],
    intrinsics: Float[Tensor, "V 3 3"],
    rotation: Float[Tensor, "V 3 3"],
    center: Float[Tensor, "V 3"],
) -> Float[Tensor, "S R 3 3"]:
    """Reference pixels to source pixels, through every point's plane."""
    offset = (normals_cam * points_cam).sum(dim=-1) + 1e-10
    to_source = rotation[1:].mT
    turned = (to_source @ rotation[0])[:, None]
    moved = torch.einsum("sij,sj->si", to_source, center[0] - center[1:])
    plane = turned + moved[:, None, :, None] * (normals_cam / offset[:, None])[None, :, None]
    return intrinsics[1:, None] @ plane @ torch.linalg.inv(intrinsics[0])


def _offsets(like: Tensor) -> Float[Tensor, "121 2"]:
    step = torch.arange(-RADIUS, RADIUS + 1, device=like.device, dtype=like.dtype)
    return torch.cartesian_prod(step, step).flip(-1)


def _read(maps: Float[Tensor, "V C H W"], pixels: Float[Tensor, "V R P 2"]) -> Float[Tensor, "V R P C"]:
    H, W = maps.shape[-2:]
    grid = pixels * (2 / pixels.new_tensor([W - 1, H - 1])) - 1
    return grid_sample(maps, grid, align_corners=True).movedim(1, -1)
