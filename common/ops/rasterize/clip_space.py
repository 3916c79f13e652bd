"""Pinhole cameras as OpenGL's clip space, for rasterisers that draw row 0 at y = -1.

From OpenCV camera coordinates (X, Y, Z) and a picture of W x H pixels whose top-left pixel has its centre at (0, 0):

    x = (2 f_x X + 2 s Y + (2 c_x + 1 - W) Z) / W       w = Z
    y = (2 f_y Y + (2 c_y + 1 - H) Z) / H               z = ((f + n) Z - 2 f n) / (f - n)

so that pixel (x, y) lies at ((2 x + 1) / W - 1, (2 y + 1) / H - 1) after division by w, near at -1 and far at 1.
"""

from jaxtyping import Float
from torch import Tensor


def clip_matrix(
    intrinsics: Float[Tensor, "3 3"],
    world_to_cam: Float[Tensor, "4 4"],
    height: int,
    width: int,
    near: float,
    far: float,
) -> Float[Tensor, "4 4"]:
    """World to clip space, in the type of `intrinsics`.

    Args:
        intrinsics: Pixels; the centre of the top-left pixel is (0, 0).
        world_to_cam: OpenCV axes.
        height: Of the picture.
        width: Of the picture.
        near: Depth that becomes -1.
        far: Depth that becomes 1.
    """
    corner = intrinsics.clone()  # pixels counted from the picture's corner
    corner[:2, 2] += 0.5
    size = intrinsics.new_tensor([width, height])
    projection = intrinsics.new_zeros(4, 4)
    projection[:2, :3] = (2 * corner[:2] - size[:, None] * intrinsics.new_tensor([0.0, 0.0, 1.0])) / size[:, None]
    projection[2, 2:] = intrinsics.new_tensor([far + near, -2 * far * near]) / (far - near)
    projection[3, 2] = 1.0
    return projection @ world_to_cam.to(intrinsics)
