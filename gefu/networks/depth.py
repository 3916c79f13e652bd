"""Depth in the cascade: hypotheses of both levels, and the interval that is sampled along each ray.

The coarse level works in disparity, the fine one in depth; means, deviations and ranges are in the level's quantity.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from common.depth_hypotheses import between, disparity_planes, plane_steps


@dataclass(frozen=True)
class LevelDepth:
    """What a level knows about the target's depth.

    Attributes:
        mean: Disparity at the coarse level, depth at the fine one.
        std: Deviation of the same quantity.
        near: The nearest hypothesis, the same quantity.
        far: The farthest hypothesis.
    """

    mean: Float[Tensor, "B H W"]
    std: Float[Tensor, "B H W"]
    near: Float[Tensor, "B H W"]
    far: Float[Tensor, "B H W"]

    def resized(self, height: int, width: int) -> "LevelDepth":
        """Every map resized, corner-aligned."""
        maps = functional.interpolate(self.stacked(), (height, width), mode="bilinear", align_corners=True)
        return LevelDepth(*maps.unbind(dim=1))

    def stacked(self) -> Float[Tensor, "B 4 H W"]:
        """The maps in the order of the attributes."""
        return torch.stack([self.mean, self.std, self.near, self.far], dim=1)

    def rows(self, start: int, stop: int) -> "LevelDepth":
        """A strip of every map."""
        return LevelDepth(*self.stacked()[:, :, start:stop].unbind(dim=1))


def coarse_hypotheses(near_far: Float[Tensor, "B 2"], count: int, height: int, width: int) -> Float[Tensor, "B D H W"]:
    """Depths evenly spaced in disparity from near to far, both included, the same at every pixel."""
    depth_values = 1.0 / disparity_planes(near_far, count)
    return depth_values[:, :, None, None].expand(-1, -1, height, width)


def fine_hypotheses(coarse: LevelDepth, count: int) -> Float[Tensor, "B D H W"]:
    """Depths evenly spaced (in depth) over the coarse disparity plus and minus its deviation, within its range.

    Args:
        coarse: Resized to the fine volume.
        count: Planes.
    """
    near, far = ray_interval(coarse, inverse=True)
    return between(1.0 / near, 1.0 / far, plane_steps(count, near), dim=1)


def ray_interval(depth: LevelDepth, inverse: bool) -> tuple[Float[Tensor, "B H W"], Float[Tensor, "B H W"]]:
    """Near and far end of the samples along each pixel's ray: mean plus and minus deviation, within the range."""
    if inverse:
        near = torch.minimum(depth.mean + depth.std, depth.near)
        far = torch.maximum(depth.mean - depth.std, depth.far)
    else:
        near = torch.maximum(depth.mean - depth.std, depth.near)
        far = torch.minimum(depth.mean + depth.std, depth.far)
    return near, far


def volume_coordinate(
    z_vals: Float[Tensor, "B H W N"], near: Float[Tensor, "B H W"], far: Float[Tensor, "B H W"], inverse: bool
) -> Float[Tensor, "B H W N"]:
    """Where a sample lies between the first (0) and the last (1) hypothesis of its pixel."""
    near, far = near[..., None], far[..., None]
    if inverse:
        return (near - z_vals) / (near - far).clamp(min=1e-6)
    return (z_vals - near) / (far - near).clamp(min=1e-6)
