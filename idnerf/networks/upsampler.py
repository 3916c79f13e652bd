"""Learned up-sampling of feature maps, twice the size per step."""

import math

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class FeatureUpsampler(nn.Module):
    """A coarse branch that is enlarged bilinearly plus a branch of details, at 2^n times the size.

    Args:
        factor: Enlargement, a power of two.
        channels: Of the maps.

    Raises:
        ValueError: The factor is no power of two.
    """

    def __init__(self, factor: int = 2, channels: int = 128):
        super().__init__()
        steps = round(math.log2(factor)) if factor > 0 else -1
        if steps < 0 or 2**steps != factor:
            raise ValueError(f"encoder.upsample_factor is {factor}; give a power of two")
        self.conv_ls = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(steps))
        self.conv_l2rs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(steps + 1))

    def forward(self, x: Float[Tensor, "N C h w"]) -> Float[Tensor, "N C H W"]:
        right, left = self.conv_l2rs[0](x), x
        for conv_left, conv_across in zip(self.conv_ls, self.conv_l2rs[1:], strict=True):
            left = functional.interpolate(left, scale_factor=2.0, mode="nearest")
            left = functional.leaky_relu(conv_left(left), 0.2)
            right = functional.interpolate(right, scale_factor=2.0, mode="bilinear", align_corners=False)
            right = right + conv_across(left)
        return right
