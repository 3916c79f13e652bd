"""Resize feature maps, also within a window, and the matrix of a plane sweep.

Everything is corner-aligned: the centres of the outermost pixels are the ends of the range.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from common.cameras import projection_matrix, scale_intrinsics


def resize(x: Float[Tensor, "B C H W"], scale: float) -> Float[Tensor, "B C h w"]:
    """Corner-aligned bilinear resize by a factor; the input itself when the factor is 1."""
    if scale == 1:
        return x
    size = (round(x.shape[-2] * scale), round(x.shape[-1] * scale))
    return functional.interpolate(x, size, mode="bilinear", align_corners=True)


def target_to_source(
    source_intrinsics: Float[Tensor, "B S 3 3"],
    source_world_to_cam: Float[Tensor, "B S 4 4"],
    target_intrinsics: Float[Tensor, "B 3 3"],
    target_world_to_cam: Float[Tensor, "B 4 4"],
    source_scale: float = 1.0,
    target_scale: float = 1.0,
) -> Float[Tensor, "B S 3 4"]:
    """M with z' (x, y, 1)_source = M[:, :3] (u, v, 1)_target + M[:, 3] / depth; z' = source depth over target depth.

    The scales multiply the intrinsics (maps smaller than the images). Computed in float64: the inverse of a camera
    hundreds of units from the origin costs digits that the warp needs.
    """
    source = projection_matrix(scale_intrinsics(source_intrinsics.double(), source_scale), source_world_to_cam.double())
    target = projection_matrix(scale_intrinsics(target_intrinsics.double(), target_scale), target_world_to_cam.double())
    matrix = source @ torch.linalg.inv(target)[:, None]
    return matrix[..., :3, :].to(source_intrinsics.dtype)


def resize_window(
    x: Float[Tensor, "B C h w"],
    start: tuple[int, int],
    full_size: tuple[int, int],
    new_window: tuple[slice, slice],
    new_full_size: tuple[int, int],
) -> Float[Tensor, "B C H W"]:
    """A window of the corner-aligned bilinear resize of a whole map, from a part of that map.

    Args:
        x: The part.
        start: Row and column of the whole map where the part starts.
        full_size: Height and width of the whole map.
        new_window: Rows and columns of the resized map to return.
        new_full_size: Height and width of the whole resized map.
    """
    size = tuple(part.stop - part.start for part in new_window)
    if tuple(x.shape[-2:]) == full_size and size == new_full_size:
        return functional.interpolate(x, size, mode="bilinear", align_corners=True)
    x = x.permute(0, 2, 3, 1)
    for axis in range(2):
        wanted = torch.arange(new_window[axis].start, new_window[axis].stop, device=x.device, dtype=torch.float64)
        position = wanted * ((full_size[axis] - 1) / max(new_full_size[axis] - 1, 1)) - start[axis]
        before = position.floor().long().clamp(0, x.shape[1 + axis] - 1)
        after = (before + 1).clamp(max=x.shape[1 + axis] - 1)
        fraction = (position - before).to(x.dtype).clamp(0, 1)
        fraction = fraction[:, None, None] if axis == 0 else fraction[:, None]
        x = torch.lerp(x.index_select(1 + axis, before), x.index_select(1 + axis, after), fraction)
    return x.permute(0, 3, 1, 2)
