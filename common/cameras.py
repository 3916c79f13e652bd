"""Pinhole cameras.

    x_cam   = world_to_cam @ x_world       OpenCV axes: x right, y down, z forward
    z (u, v, 1) = intrinsics @ x_cam       pixels; the centre of the top-left pixel is (0, 0); z is the depth

Names carry their frames, chains read right to left: `cam_to_pixel @ world_to_cam`. Everything works on any leading axes
and nothing is changed in place.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Camera:
    """A view to render: a pinhole camera with an image size and depth bounds.

    Attributes:
        intrinsics: Pixels at `height` x `width`.
        world_to_cam: OpenCV axes.
        near_far: Positive depth bounds in scene units.
    """

    intrinsics: Float[Tensor, "3 3"]
    world_to_cam: Float[Tensor, "4 4"]
    height: int
    width: int
    near_far: tuple[float, float]

    def resized(self, height: int, width: int) -> "Camera":
        """The same camera with an image of another size."""
        scale = (width / self.width, height / self.height)
        return replace(self, intrinsics=scale_intrinsics(self.intrinsics, *scale), height=height, width=width)


def scale_intrinsics(
    intrinsics: Float[Tensor, "*batch 3 3"], scale_x: float, scale_y: float | None = None
) -> Float[Tensor, "*batch 3 3"]:
    """Intrinsics of an image resized by the given factors: the first two rows are multiplied, as all five papers do.

    Against an exact resampling this is off by up to half a pixel; see `common/datasets/scene.py` on pixel centres.
    """
    factors = intrinsics.new_tensor([scale_x, scale_x if scale_y is None else scale_y, 1.0])
    return intrinsics * factors[:, None]


def crop_intrinsics(intrinsics: Float[Tensor, "*batch 3 3"], left: float, top: float) -> Float[Tensor, "*batch 3 3"]:
    """Intrinsics of an image cut at column `left` and row `top`."""
    offset = intrinsics.new_tensor([[0.0, 0.0, left], [0.0, 0.0, top], [0.0, 0.0, 0.0]])
    return intrinsics - offset


def invert_rigid(transform: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 4 4"]:
    """Inverse of a rotation and translation, exact up to one product (`cam_to_world` from `world_to_cam` and back)."""
    rotation = transform[..., :3, :3].mT
    translation = -rotation @ transform[..., :3, 3:]
    return torch.cat([torch.cat([rotation, translation], dim=-1), transform[..., 3:, :]], dim=-2)


def camera_center(world_to_cam: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 3"]:
    """Camera centre in the world."""
    return -(world_to_cam[..., :3, :3].mT @ world_to_cam[..., :3, 3:])[..., 0]


def projection_matrix(
    intrinsics: Float[Tensor, "*batch 3 3"], world_to_cam: Float[Tensor, "*batch 4 4"]
) -> Float[Tensor, "*batch 4 4"]:
    """World to (u z, v z, z, 1)."""
    return torch.cat([intrinsics @ world_to_cam[..., :3, :], world_to_cam[..., 3:, :]], dim=-2)


def project(
    points: Float[Tensor, "*batch P 3"],
    intrinsics: Float[Tensor, "*#batch 3 3"],
    world_to_cam: Float[Tensor, "*#batch 4 4"],
) -> tuple[Float[Tensor, "*batch P 2"], Float[Tensor, "*batch P"]]:
    """Pixels and depth of world points; a point behind the camera keeps its depth (<= 0) and gets huge pixels."""
    points_cam = points @ world_to_cam[..., :3, :3].mT + world_to_cam[..., None, :3, 3]
    homogeneous = points_cam @ intrinsics.mT
    depth = points_cam[..., 2]
    return homogeneous[..., :2] / depth.clamp(min=1e-6)[..., None], depth


def unproject(
    pixels: Float[Tensor, "*batch P 2"],
    depth: Float[Tensor, "*batch P"],
    intrinsics: Float[Tensor, "*#batch 3 3"],
    world_to_cam: Float[Tensor, "*#batch 4 4"],
) -> Float[Tensor, "*batch P 3"]:
    """World points at the given depths behind pixels."""
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
    points_cam = homogeneous @ torch.linalg.inv(intrinsics).mT * depth[..., None]
    cam_to_world = invert_rigid(world_to_cam)
    return points_cam @ cam_to_world[..., :3, :3].mT + cam_to_world[..., None, :3, 3]
