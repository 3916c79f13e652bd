"""How visible points are along the pixels of a view: a mixture of two logistic distributions (spec 5.4).

    c_i(s) = 1/2 + 1/2 tanh((s - mean_i) sharpness_i)             share of surface i in front of s
    visibility = sum a_i (1 - c_i(s0))      hit = sum a_i (c_i(s1) - c_i(s0))

s is normalised inverse depth, [s0, s1] the interval of a sample. The paper calls the sharpness a variance.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from common.models.mlp import PointwiseLinear


class HitProbability(NamedTuple):
    """Of samples in a view.

    Attributes:
        visibility: Share of light that reaches the sample's interval.
        hit: Share that ends in it.
    """

    visibility: Float[Tensor, "*points"]
    hit: Float[Tensor, "*points"]

    def alpha_logit(self) -> Float[Tensor, "*points"]:
        """Logit of the opacity hit / visibility."""
        return torch.log(self.hit / (self.visibility - self.hit + 1e-5) + 1e-5)


class Mixture(NamedTuple):
    """Two logistic distributions.

    Attributes:
        mean: Normalised inverse depths, above 0.
        sharpness: Above 0.
        share: Of the first distribution, in (0, 1).
        seen: Share of light that ends in the scene at all, in (0, 1); None where that is not modelled.
    """

    mean: Float[Tensor, "*points 2"]
    sharpness: Float[Tensor, "*points 2"]
    share: Float[Tensor, "*points 1"]
    seen: Float[Tensor, "*points 1"] | None = None

    def within(self, start: Float[Tensor, "*points"], stop: Float[Tensor, "*points"]) -> HitProbability:
        """Visibility and hit probability of intervals."""
        shares = torch.cat([self.share, 1 - self.share], dim=-1)
        before, after = self._in_front_of(start), self._in_front_of(stop)
        return HitProbability((shares * (1 - before)).sum(dim=-1), (shares * (after - before)).sum(dim=-1))

    def _in_front_of(self, s: Float[Tensor, "*points"]) -> Float[Tensor, "*points 2"]:
        share = 0.5 + 0.5 * torch.tanh((s[..., None] - self.mean) * self.sharpness)
        return share if self.seen is None else share * self.seen


class DistributionDecoder(nn.Module):
    """Ray features to distributions; attributes that own parameters have the released names.

    Args:
        feats_dim: Channels of the ray features.
        bias_val: Smallest sharpness.
        use_vis: Model how much light ends in the scene at all.
    """

    def __init__(self, feats_dim: int = 32, bias_val: float = 0.05, use_vis: bool = False):
        super().__init__()
        self.bias_val = bias_val
        self.mean_decoder = _head(feats_dim, 2, nn.Softplus())
        self.var_decoder = _head(feats_dim, 2, nn.Softplus())
        self.aw_decoder = _head(feats_dim, 1, nn.Sigmoid())
        self.vis_decoder = _head(feats_dim, 1, nn.Sigmoid()) if use_vis else None

    def forward(self, ray_feats: Float[Tensor, "*points C"]) -> Mixture:
        seen = None if self.vis_decoder is None else self.vis_decoder(ray_feats)
        sharpness = self.var_decoder(ray_feats) + self.bias_val
        return Mixture(self.mean_decoder(ray_feats), sharpness, self.aw_decoder(ray_feats), seen)

    def first_mean(self, ray_feats: Float[Tensor, "*points C"]) -> Float[Tensor, "*points"]:
        """Normalised inverse depth of the first surface."""
        return self.mean_decoder(ray_feats)[..., 0]


def _head(channels: int, outputs: int, activation: nn.Module) -> nn.Sequential:
    hidden = [PointwiseLinear(channels, channels), nn.ELU(), PointwiseLinear(channels, channels), nn.ELU()]
    return nn.Sequential(*hidden, PointwiseLinear(channels, outputs), activation)
