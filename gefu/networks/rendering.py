"""From a level's depth to its picture: samples along the rays, what the sources show there, compositing."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from common.compositing import alpha_from_density, composite, weights_from_alpha
from common.depth_hypotheses import between, unit_steps
from gefu.networks.depth import LevelDepth, ray_interval, volume_coordinate


@dataclass(frozen=True)
class RaySamples:
    """Samples on the rays of every pixel.

    Attributes:
        points: World positions.
        z_vals: Disparity or depth of each sample, in the level's quantity, nearest first.
        coordinates: (x, y, z) in [0, 1] across the level's volume (W, H, D).
    """

    points: Float[Tensor, "B H W N 3"]
    z_vals: Float[Tensor, "B H W N"]
    coordinates: Float[Tensor, "B H W N 3"]


def sample_rays(
    depth: LevelDepth,
    origins: Float[Tensor, "B 3"],
    directions: Float[Tensor, "B H W 3"],
    across: Float[Tensor, "H W 2"],
    count: int,
    inverse: bool,
) -> RaySamples:
    """`count` samples per pixel, evenly spaced over the pixel's interval, both ends included.

    Args:
        depth: The level's maps, resized to the picture.
        origins: Centre of the target camera.
        directions: Of unit z, through every pixel.
        across: (x, y) of every pixel across the level's volume, 0 to 1.
        count: Samples per ray.
        inverse: The level works in disparity.
    """
    z_vals = between(*ray_interval(depth, inverse), unit_steps(count, directions))
    along = 1.0 / z_vals.clamp(min=1e-6) if inverse else z_vals
    points = origins[:, None, None, None] + directions[..., None, :] * along[..., None]
    through = volume_coordinate(z_vals, depth.near, depth.far, inverse)
    coordinates = torch.cat([across[:, :, None].expand(*through.shape, 2), through[..., None]], dim=-1)
    return RaySamples(points, z_vals, coordinates)


@dataclass(frozen=True)
class RenderedLevel:
    """A level's picture.

    Attributes:
        image: Composited point features (88) and colour (3).
        depth: In the level's quantity (disparity at the coarse level).
        weights: Softmax over the samples of the compositing weights.
    """

    image: Float[Tensor, "B H W 91"]
    depth: Float[Tensor, "B H W"]
    weights: Float[Tensor, "B H W N"]

    @property
    def rgb(self) -> Float[Tensor, "B H W 3"]:
        """Composited colour."""
        return self.image[..., -3:]

    def cropped(self, rows: slice, columns: slice) -> "RenderedLevel":
        """A part of the picture."""
        return RenderedLevel(self.image[:, rows, columns], self.depth[:, rows, columns], self.weights[:, rows, columns])


def composite_samples(
    rgb: Float[Tensor, "B H W N 3"],
    density: Float[Tensor, "B H W N"],
    features: Float[Tensor, "B H W N C"],
    z_vals: Float[Tensor, "B H W N"],
    white_background: bool = False,
) -> RenderedLevel:
    """Composite features and colour; depth is averaged with the softmax of the weights, as in the released model.

    `white_background` adds (1 - sum of the softmaxed weights), which is zero up to rounding: parity keeps it.
    """
    weights = weights_from_alpha(alpha_from_density(density), floor=1e-10)
    softmaxed = torch.softmax(weights, dim=-1)
    color = composite(weights, rgb)
    if white_background:
        color = color + (1.0 - softmaxed.sum(dim=-1))[..., None]
    depth = (softmaxed * z_vals.detach()).sum(dim=-1)
    return RenderedLevel(torch.cat([composite(weights, features), color], dim=-1), depth, softmaxed)
