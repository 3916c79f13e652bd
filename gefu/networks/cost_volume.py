"""Cost volumes of the two levels.

Coarse level: `common.ops.plane_sweep.sweep_variance`, variance and context of the warped source features. (The context
is mean^2 / S: the released model squares its running mean in place before it reuses it, and parity needs exactly that.)

Fine level, adaptive cost aggregation (paper, section 3.2): with the target feature T from the coarse rendering,

    e_s = (f_s - T)^2         w_s = 1 + omega(e_s)
    cost = 1/S sum_s w_s e_s  context = 1/S sum_s w_s f_s              (not normalised by the sum of weights)
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class _ResidualBlock(nn.Module):
    """1x1 convolutions with group normalisation around a skip."""

    def __init__(self, channels: int):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Sequential(nn.Conv2d(channels, channels, 1), nn.GroupNorm(1, channels), nn.ReLU()),
            nn.Conv2d(channels, channels, 1),
            nn.GroupNorm(1, channels),
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return functional.relu(self.stem(x) + x)


class ConsistencyWeight(nn.Module):
    """`omega`: from the squared difference of a view to the target feature to a weight in (0, 1), one per pixel."""

    def __init__(self, in_channels: int = 16, hidden_channels: int = 4):
        super().__init__()
        self.reweight_network = nn.Sequential(
            nn.Sequential(
                nn.Conv2d(in_channels, hidden_channels, 3, padding=1), nn.GroupNorm(1, hidden_channels), nn.ReLU()
            ),
            _ResidualBlock(hidden_channels),
            nn.Conv2d(hidden_channels, 1, 1),
            nn.Sigmoid(),
        )

    def forward(self, squared_difference: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 1 H W"]:
        return self.reweight_network(squared_difference)


def adaptive_cost_aggregation(
    warped: Float[Tensor, "B S C D H W"], target: Float[Tensor, "B C h w"], omega: ConsistencyWeight
) -> Float[Tensor, "B 2*C D H W"]:
    """Cost and context weighted by each view's consistency with the target feature.

    Args:
        warped: Source features seen by every target pixel at every hypothesis.
        target: Target feature at half the size of the volume, enlarged by nearest neighbour.
        omega: Weights from squared differences; the planes of the volume are its batch.
    """
    B, S, C, D, H, W = warped.shape
    target = functional.interpolate(target, (H, W), mode="nearest")
    difference = (warped - target[:, None, :, None]).square()
    planes = difference.movedim(3, 2).reshape(B * S * D, C, H, W)
    weight = 1.0 + omega(planes).reshape(B, S, 1, D, H, W)
    cost = (weight * difference).mean(dim=1)
    context = (weight * warped).mean(dim=1)
    return torch.cat([cost, context], dim=1)
