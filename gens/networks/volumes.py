"""Feature volumes around the scene, and looking values up in them (spec 4.2, 4.4).

A volume is a tensor X Y Z of voxels in the scene's cube [-1, 1]^3, the outermost centres on the cube's faces. Level i
of the volumes goes with level i of the feature maps, whose intrinsics are the image's times 0.5^i (first two rows).
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from common.cameras import scale_intrinsics
from common.ops.grid_sample import grid_sample
from common.ops.view_statistics import view_statistics

SMALLEST = 1e-20

Volumes = Sequence[Float[Tensor, "1 _ _ _ _"]]


def level_intrinsics(intrinsics: Float[Tensor, "V 4 4"], level: int) -> Float[Tensor, "V 3 3"]:
    """Intrinsics of the feature maps of a level."""
    return scale_intrinsics(intrinsics[:, :3, :3], 0.5**level)


def build_volumes(
    features: Sequence[Float[Tensor, "V C _ _"]],
    intrinsics: Float[Tensor, "V 4 4"],
    cam_to_world: Float[Tensor, "V 4 4"],
    dims: Sequence[int],
) -> Iterator[tuple[Float[Tensor, "1 2*C _ _ _"], Float[Tensor, "1 1 _ _ _"]]]:
    """Level by level: mean and variance over the views in every voxel, and a mask, 1 where more than one view sees it.

    Args:
        features: Maps, fine to coarse.
        intrinsics: At the size of the images.
        cam_to_world: Cameras in the cube's frame.
        dims: Voxels along an axis, fine to coarse.
    """
    world_to_cam = torch.linalg.inv(cam_to_world)
    for level, (maps, dim) in enumerate(zip(features, dims, strict=True)):
        axis = torch.linspace(-1, 1, dim, device=maps.device, dtype=maps.dtype)
        volume, count = view_statistics(maps, level_intrinsics(intrinsics, level), world_to_cam, (axis,) * 3)
        # In this order the strides say, also of the batch axis, that channels lie innermost; else it would be copied.
        volume = volume.movedim(0, -1)[None].movedim(-1, 1)
        yield volume, (count > 1).to(maps.dtype)[None, None]
        del volume  # the finest is the largest array of all


def look_up(volumes: Volumes, points: Float[Tensor, "P 3"]) -> Float[Tensor, "P C"]:
    """Features at points of the cube, levels side by side; differentiable as often as the losses need."""
    # Written out rather than PyTorch's own: the regularised Hessian is differentiated once more in training.
    grid = points.flip(-1)[None]
    return torch.cat([grid_sample(volume, grid, True, "gather")[0] for volume in volumes]).T


def is_seen(masks: Volumes, points: Float[Tensor, "P 3"]) -> Bool[Tensor, " P"]:
    """The mask of any level is set in the voxel nearest to a point.

    The nearest voxel is found as if the cube's faces were the outer borders of the voxels, unlike in `look_up`: the
    released model was trained so.
    """
    grid = points.detach().flip(-1)[None, :, None, None]
    seen = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    for mask in masks:
        value = functional.grid_sample(mask, grid, mode="nearest", padding_mode="zeros", align_corners=False)
        seen |= value.flatten() != 0
    return seen


def total_variation(volumes: Volumes, masks: Volumes | None = None) -> Float[Tensor, ""]:
    """How much neighbouring voxels differ, weighed by 1/2 per level; pairs count where both masks are 1.

    All three axes are divided by the number of pairs along the first, as the release does.
    """
    total = volumes[0].new_zeros(())
    for level, volume in enumerate(volumes):
        mask = torch.ones_like(volume[:, :1]) if masks is None else masks[level]
        squares = volume.new_zeros(())
        for axis in (2, 3, 4):
            pairs = _neighbours(mask, axis)
            both = pairs[0] * pairs[1]
            first, second = _neighbours(volume, axis)
            squares = squares + ((second - first).square() * both).sum()
            if axis == 2:
                number = both.sum() + 1e-8
        # Where two views share no pair of a level's voxels, its slope is 0; that of the root is infinite.
        total = total + 0.5**level * torch.sqrt((squares / number).clamp_min(SMALLEST))
    return total


def _neighbours(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    length = x.shape[axis] - 1
    return x.narrow(axis, 0, length), x.narrow(axis, 1, length)
