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
    x, y, z = points.flatten(1, -2).permute(2, 0, 1).contiguous()
    x, y, depth = transform(intrinsics[:, None], *transform(extrinsics[:, None], x, y, z))
    u, w = x / depth / (size[1] - 1), y / depth / (size[0] - 1)
    near, far = near_fars[:, :1], near_fars[:, 1:]
    if inverse_depth:
        depth, near, far = 1 / depth, 1 / near, 1 / far
    return torch.stack([u, w, (depth - near) / (far - near)], dim=-1).unflatten(1, points.shape[1:-1])


def transform(
    matrix: Float[Tensor, "*#batch r c"],
    x: Float[Tensor, "*batch"],
    y: Float[Tensor, "*batch"],
    z: Float[Tensor, "*batch"],
) -> list[Float[Tensor, "*batch"]]:
    """Points after a 3x3 or 4x4 matrix, with the same bits on every machine.

    The point encoding multiplies positions by 512, so that a fused multiply-add or another order of the same sum, which
    a matrix product chooses by processor and by size, moves depths by 1e-4 and opens or shuts rectifiers. Hence
    separate products, added from left to right, as the released program's reference outputs were.
    """
    moved = []
    for row in matrix[..., :3, :].unbind(-2):
        of_x, of_y, of_z, *shift = row.unbind(-1)
        total = of_x * x + of_y * y + of_z * z
        moved.append(total + shift[0] if shift else total)
    return moved


def is_inside(grid: Float[Tensor, "*batch 2"]) -> Bool[Tensor, "*batch"]:
    """Whether a position in [-1, 1]^2 lies strictly within the picture."""
    return (grid.abs() < 1).all(dim=-1)
