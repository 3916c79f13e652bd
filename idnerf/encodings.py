"""Sines and cosines: of points, and of the place of a sample on its ray."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def encode_points(
    points: Float[Tensor, "*batch 3"], octaves: int, legacy: bool = True
) -> Float[Tensor, "*batch channels"]:
    """The point followed by its sines and cosines, 3 + 6 `octaves` channels.

    Args:
        points: Positions of about unit size.
        octaves: Number of frequencies.
        legacy: True: sin(p), cos(p), ... with frequencies 2^k, x y z innermost, all sines before all cosines.
            False: frequencies 2^k pi; per coordinate all sines, then all cosines.
    """
    if not octaves:
        return points
    frequencies = 2.0 ** torch.arange(octaves, device=points.device, dtype=points.dtype)
    if legacy:
        angles = (points[..., None, :] * frequencies[:, None]).flatten(-2)
        return torch.cat([points, angles.sin(), angles.cos()], dim=-1)
    angles = points[..., :, None] * (frequencies * math.pi)
    return torch.cat([points, torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)], dim=-1)


def ray_position_table(samples: int, channels: int, like: Tensor) -> Float[Tensor, "samples channels"]:
    """Sine table of "Attention is all you need": angle s / 10000^(2 floor(j/2) / channels), even j sine, odd cosine."""
    place = torch.arange(samples, device=like.device, dtype=torch.float64)[:, None]
    pair = torch.arange(channels, device=like.device).div(2, rounding_mode="floor") * 2
    angles = place / 10000.0 ** (pair.double() / channels)
    even = torch.arange(channels, device=like.device) % 2 == 0
    return torch.where(even, angles.sin(), angles.cos()).to(like.dtype)
