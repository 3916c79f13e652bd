"""World points as seen by the source views, in coordinates that are 0 to 1 across the picture and the depth range."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def project_normalised(
    points: Float[Tensor, "V *points 3"],
    extrinsics: Float[Tensor, "V 4 4"],
    intrinsics: Float[Tensor, "V 3 3"],
    near_fars: Float[Tensor, "V 2"],
    size: tuple[int, int],
    inverse_depth: bool = False,
) -> Float[Tensor, "V *points 3"]:
    """(u, w, z): 0 at the first pixel centre and at near, 1 at the last pixel centre and at far.

    Points behind a camera are not treated specially, as in the released code: their mirror image is looked up.

    Args:
        points: In the world, for each camera its own.
        extrinsics: World to camera.
        intrinsics: In pixels of pictures of `size`.
        near_fars: Depth bounds.
        size: Height and width.
        inverse_depth: z is linear in 1 / depth instead of in depth.
    """
    flat = points.flatten(1, -2)
    q = transform(intrinsics[:, None], transform(extrinsics[:, None], flat))
    depth = q[..., 2:]
    last_pixel = q.new_tensor([size[1] - 1, size[0] - 1])
    near, far = near_fars[:, None, :1], near_fars[:, None, 1:]
    if inverse_depth:
        depth, near, far = 1 / depth, 1 / near, 1 / far
    z = (depth - near) / (far - near)
    return torch.cat([q[..., :2] / q[..., 2:] / last_pixel, z], dim=-1).unflatten(1, points.shape[1:-1])


def transform(matrix: Float[Tensor, "*#batch r c"], points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """The first three rows of a 3x3 or 4x4 matrix, applied to points with the same bits on every machine.

    The point encoding multiplies positions by 512, so that a fused multiply-add or another order of the same sum, which
    a matrix product chooses by processor and by size, moves depths by 1e-4 and opens or shuts rectifiers. Hence
    separate products, added from left to right, as the released program's reference outputs were.
    """
    x, y, z = points[..., None, :].unbind(-1)
    columns = matrix[..., :3, :].unbind(-1)
    moved = columns[0] * x + columns[1] * y + columns[2] * z
    return moved + columns[3] if len(columns) == 4 else moved


def is_inside(grid: Float[Tensor, "*batch 2"]) -> Bool[Tensor, "*batch"]:
    """Whether a position in [-1, 1]^2 lies strictly within the picture."""
    return (grid.abs() < 1).all(dim=-1)
