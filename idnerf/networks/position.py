"""Sine positions added to the features of every attention window."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def picture_position(height: int, width: int, channels: int, like: Tensor) -> Float[Tensor, "channels height width"]:
    """Half of the channels encode the row, half the column.

    With n = channels / 2: angle 2 pi (row + 1) / (height + 1e-6) / 10000^(2 floor(k/2) / n), even k sine, odd k cosine.
    """
    half = channels // 2
    k = torch.arange(half, device=like.device)
    frequencies = 10000.0 ** -(k.div(2, rounding_mode="floor") * 2 / half).double()

    def encode(count: int) -> Float[Tensor, "count half"]:
        place = torch.arange(1, count + 1, device=like.device, dtype=torch.float64) * (2 * math.pi / (count + 1e-6))
        angles = place[:, None] * frequencies
        return torch.where(k % 2 == 0, angles.sin(), angles.cos()).to(like.dtype)

    rows = encode(height).T[:, :, None].expand(-1, -1, width)
    columns = encode(width).T[:, None, :].expand(-1, height, -1)
    return torch.cat([rows, columns])


def add_window_position(features: Float[Tensor, "N C h w"], splits: int) -> Float[Tensor, "N C h w"]:
    """Add to each of the splits x splits windows the same table of the window's size."""
    channels, height, width = features.shape[1:]
    table = picture_position(height // splits, width // splits, channels, features)
    return features + table.repeat(1, splits, splits)
