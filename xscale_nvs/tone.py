"""From linear colour to the values of a photograph.

    srgb(c) = 12.92 c                                      if c <= 0.0031308
              (211 max(c, 1e-7)^(5/12) - 11) / 200         otherwise
    rgb     = clip(srgb(linear), 0, 1) * 1.002 - 0.001

The stretch lets the network reach 0 and 1 without saturating its sigmoid.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def linear_to_srgb(linear: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """The sRGB curve; not limited to 1."""
    bent = (211 * linear.clamp(min=1e-7) ** (5 / 12) - 11) / 200
    return torch.where(linear <= 0.0031308, 12.92 * linear, bent)


def tone(linear: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Colours in [-0.001, 1.001], which are compared with a photograph's 8-bit values divided by 256."""
    return linear_to_srgb(linear).clamp(0, 1) * 1.002 - 0.001


def to_8_bit(rgb: Float[Tensor, "*batch"]) -> Tensor:
    """Bytes as the paper writes them: 256 times the colour, limited to [0, 255] and truncated."""
    return (rgb * 256).clamp(0, 255).to(torch.uint8)
