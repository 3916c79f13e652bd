"""Cost volumes of the two levels.

Coarse level: `common.ops.plane_sweep.sweep_variance`, variance and context of the warped source features. (The context
is mean^2 / S: the released model squares its running mean in place before it reuses it, and parity needs exactly that.)

Fine level, adaptive cost aggregation (paper, section 3.2): with the target feature T from the coarse rendering,

    e_s = (f_s - T)^2         w_s = 1 + omega(e_s)
    cost = 1/S sum_s w_s e_s  context = 1/S sum_s w_s f_s              (not normalised by the sum of weights)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

NORM_EPS = 1e-5


@dataclass(frozen=True)
class Statistics:
    """Mean and inverse deviation of what a group normalisation normalises, for every view and plane."""

    mean: Float[Tensor, "B S D"]
    inverse_std: Float[Tensor, "B S D"]

    def of_plane(self, plane: int) -> "Statistics":
        """Those of one plane."""
        return Statistics(self.mean[:, :, plane : plane + 1], self.inverse_std[:, :, plane : plane + 1])

    @classmethod
    def from_moments(cls, parts: Sequence[Float[Tensor, "3 B S D"]]) -> "Statistics":
        """From (count, sum, sum of squares) of the parts of every plane, in float64."""
        count, total, squares = torch.stack(list(parts)).sum(dim=0)
        mean = total / count
        variance = (squares / count - mean.square()).clamp(min=0)
        return cls(mean.float(), torch.rsqrt(variance + NORM_EPS).float())


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

    num_norms = 3

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

    def forward(self, squared_difference: Float[Tensor, "P C H W"]) -> Float[Tensor, "P 1 H W"]:
        return self.reweight_network(squared_difference)

    def with_statistics(
        self, squared_difference: Float[Tensor, "P C H W"], known: Sequence[Statistics]
    ) -> Float[Tensor, "P K H W"]:
        """The same on a part of every plane, with statistics of the whole planes.

        Returns:
            The weights when the statistics of all normalisations are known; otherwise what the first unknown one
            normalises.
        """
        (first, norm_0, _), block, last, _ = self.reweight_network
        (inner, norm_1, _), outer, norm_2 = block.stem
        x = first(squared_difference)
        if len(known) == 0:
            return x
        x = _normalise(x, norm_0, known[0]).relu_()
        y = inner(x)
        if len(known) == 1:
            return y
        y = outer(_normalise(y, norm_1, known[1]).relu_())
        if len(known) == 2:
            return y
        return torch.sigmoid(last((_normalise(y, norm_2, known[2]) + x).relu_()))


def _normalise(x: Float[Tensor, "P C H W"], norm: nn.GroupNorm, known: Statistics) -> Float[Tensor, "P C H W"]:
    mean, inverse_std = (value.reshape(-1, 1, 1, 1) for value in (known.mean, known.inverse_std))
    return (x - mean) * (inverse_std * norm.weight[:, None, None]) + norm.bias[:, None, None]


def adaptive_cost_aggregation(
    warped: Float[Tensor, "B S C D H W"], target: Float[Tensor, "B C h w"], omega: ConsistencyWeight
) -> Float[Tensor, "B 2*C D H W"]:
    """Cost and context weighted by each view's consistency with the target feature.

    Args:
        warped: Source features seen by every target pixel at every hypothesis.
        target: Target feature at half the size of the volume, enlarged by nearest neighbour.
        omega: Weights from squared differences; the planes of the volume are its batch.
    """
    B, S, _, D, H, W = warped.shape
    difference = squared_difference(warped, target)
    weight = 1.0 + omega(as_planes(difference)).reshape(B, S, 1, D, H, W)
    return torch.cat([(weight * difference).mean(dim=1), (weight * warped).mean(dim=1)], dim=1)


def moments(
    warped: Float[Tensor, "B S C D H W"],
    target: Float[Tensor, "B C h w"],
    omega: ConsistencyWeight,
    known: Sequence[Statistics],
    part: tuple[slice, slice],
) -> Float[Tensor, "3 B S D"]:
    """(count, sum, sum of squares) of what the next normalisation of `omega` sees in some rows and columns."""
    seen = omega.with_statistics(as_planes(squared_difference(warped, target)), known)[(..., *part)].double()
    total, squares = seen.sum(dim=(1, 2, 3)), seen.square().sum(dim=(1, 2, 3))
    count = torch.full_like(total, seen[0].numel())
    return torch.stack([count, total, squares]).unflatten(1, (warped.shape[0], warped.shape[1], warped.shape[3]))


def squared_difference(
    warped: Float[Tensor, "B S C D H W"], target: Float[Tensor, "B C h w"]
) -> Float[Tensor, "B S C D H W"]:
    """Of every view to the target feature, which is the same at all hypotheses."""
    return (warped - enlarge(target, warped.shape[-2:])[:, None, :, None]).square()


def enlarge(target: Float[Tensor, "B C h w"], size: tuple[int, int]) -> Float[Tensor, "B C H W"]:
    """The target feature at the size of the volume, by nearest neighbour."""
    return functional.interpolate(target, tuple(size), mode="nearest")


def as_planes(x: Float[Tensor, "B S C D H W"]) -> Float[Tensor, "BSD C H W"]:
    """Every plane of every view an image."""
    return x.movedim(3, 2).flatten(0, 2)
