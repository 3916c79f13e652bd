"""What the views show at the samples of rays, as density and colour (spec 5.5; the network is IBRNet's).

Arrays are `V R N C`: views, rays, samples, channels. Sums over the views are

    mean_u(g) = sum_v u_v g_v          var_u(g) = sum_v u_v (g_v - mean_u(g))^2
"""

import itertools
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from common.models.mlp import PointwiseLinear, linear
from neuray_mrvm.networks.ray_attention import RayAttention, sample_encoding

IMAGE_CHANNELS = 32
SEEN_CHANNELS = 3 + IMAGE_CHANNELS
# Stands for minus infinity, and keeps a softmax over nothing finite.
_NEVER = -1e9


class SeenSamples(NamedTuple):
    """Samples of query rays as the views see them.

    Attributes:
        rgb: Colours in [0, 1], 0 where a view does not see the sample, as are the features.
        image_feats: Image features.
        ray_feats: Ray features.
        direction: `geometry.direction_differences`.
        hit, visibility: Probabilities, 0 where a view does not see the sample.
        valid: Whether the sample falls into the view's picture.
    """

    rgb: Float[Tensor, "V R N 3"]
    image_feats: Float[Tensor, "V R N 32"]
    ray_feats: Float[Tensor, "V R N C"]
    direction: Float[Tensor, "V R N 4"]
    hit: Float[Tensor, "V R N"]
    visibility: Float[Tensor, "V R N"]
    valid: Bool[Tensor, "V R N"]


class AggregatedSamples(NamedTuple):
    """Samples of query rays.

    Attributes:
        density: At least 0.
        colors: In [0, 1].
        feature: What the ray attention says; the subject of mask-based modelling.
    """

    density: Float[Tensor, "R N"]
    colors: Float[Tensor, "R N 3"]
    feature: Float[Tensor, "R N 16"]


class Aggregation(nn.Module):
    """`agg_net`, `fine_agg_net`; attributes that own parameters have the released names.

    Args:
        neuray_dim: Channels of the embedded ray features.
        ray_channels: Channels of the ray features.
    """

    def __init__(self, neuray_dim: int = 32, ray_channels: int = 32):
        super().__init__()
        self.agg_impl = ViewBlending(neuray_dim)
        self.prob_embed = nn.Sequential(
            PointwiseLinear(ray_channels + 2, neuray_dim), nn.ReLU(), PointwiseLinear(neuray_dim, neuray_dim)
        )

    def forward(self, seen: SeenSamples, token_mask: Float[Tensor, "V R N 1"] | None = None) -> AggregatedSamples:
        probabilities = torch.stack([seen.hit, seen.visibility], dim=-1)
        embedded = self.prob_embed(torch.cat([seen.ray_feats, 2 * (probabilities - 0.5)], dim=-1))
        return self.agg_impl(seen, embedded, token_mask)


class ViewBlending(nn.Module):
    """`agg_impl`: statistics over the views, ray attention, density, blended colour."""

    def __init__(self, neuray_dim: int = 32):
        super().__init__()
        self.mask_token = nn.Parameter(torch.empty(1, 1, 1, SEEN_CHANNELS))
        self.ray_dir_fc = _layers(4, 16, SEEN_CHANNELS)
        self.base_fc = _layers(5 * SEEN_CHANNELS + neuray_dim, 64, 32)
        self.vis_fc = _layers(32, 32, 33)
        self.vis_fc2 = _layers(32, 32, 1)[:-1]
        self.geometry_fc = _layers(65, 64, 16)
        self.ray_attention = RayAttention(16)
        self.out_geometry_fc = _layers(16, 16, 1)[:-1]
        self.rgb_fc = _layers(37, 16, 8, 1)[:-1]
        self.neuray_fc = _layers(neuray_dim, 8, 1)[:-1]
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        for part in (self.base_fc, self.vis_fc, self.vis_fc2, self.geometry_fc, self.rgb_fc, self.neuray_fc):
            for layer in part:
                if isinstance(layer, nn.Linear):
                    nn.init.kaiming_normal_(layer.weight)
                    nn.init.zeros_(layer.bias)

    def forward(
        self,
        seen: SeenSamples,
        embedded: Float[Tensor, "V R N P"],
        token_mask: Float[Tensor, "V R N 1"] | None = None,
    ) -> AggregatedSamples:
        valid = seen.valid[..., None].to(seen.rgb.dtype)
        x, weight, visibility = self._views(seen, embedded, valid, token_mask)
        t = self.geometry_fc(torch.cat([*_statistics(x, weight), weight.mean(dim=0)], dim=-1))
        num_views = seen.valid.sum(dim=0)
        t = self.ray_attention(t + sample_encoding(t.shape[1], t), num_views > 1)
        density = self.out_geometry_fc(t)[..., 0].relu() * (num_views > 0)
        logits = self.rgb_fc(torch.cat([x, visibility, seen.direction], dim=-1))
        share = torch.softmax(logits.masked_fill(valid == 0, _NEVER), dim=0)
        return AggregatedSamples(density, (share * seen.rgb).sum(dim=0), t)

    def _views(
        self, seen: SeenSamples, embedded: Tensor, valid: Tensor, token_mask: Tensor | None
    ) -> tuple[Float[Tensor, "V R N 32"], Float[Tensor, "V R N 1"], Float[Tensor, "V R N 1"]]:
        """Steps 1 to 7: per view a feature, its weight and its visibility."""
        g = torch.cat([seen.rgb, seen.image_feats], dim=-1) + self.ray_dir_fc(seen.direction)
        if token_mask is not None:
            g = g * (1 - token_mask) + self.mask_token * token_mask
        weight = valid / (valid.sum(dim=0) + 1e-8)
        first_weight = torch.sigmoid(self.neuray_fc(embedded)) * weight
        shared = torch.cat([*_statistics(g, first_weight), *_statistics(g, weight)], dim=-1)
        x = self._base(shared, torch.cat([g, embedded], dim=-1))
        residual, visibility = self.vis_fc(x * weight).split([32, 1], dim=-1)
        x = x + residual
        visibility = torch.sigmoid(visibility) * valid
        visibility = torch.sigmoid(self.vis_fc2(x * visibility)) * valid
        return x, visibility / (visibility.sum(dim=0) + 1e-8), visibility

    def _base(self, shared: Float[Tensor, "R N S"], own: Float[Tensor, "V R N O"]) -> Float[Tensor, "V R N 32"]:
        """`base_fc` of what all views share, followed by each view's own, without a copy of the former per view."""
        first, *others = self.base_fc
        of_shared, of_own = first.weight.split([shared.shape[-1], own.shape[-1]], dim=1)
        x = linear(own, of_own) + linear(shared, of_shared, first.bias)
        for layer in others:
            x = layer(x)
        return x


def _statistics(
    g: Float[Tensor, "V R N C"], weight: Float[Tensor, "V R N 1"]
) -> tuple[Float[Tensor, "R N C"], Float[Tensor, "R N C"]]:
    """Weighted mean and variance over the views; the weights need not sum to 1."""
    mean = (g * weight).sum(dim=0)
    return mean, ((g - mean).square() * weight).sum(dim=0)


def _layers(*sizes: int) -> nn.Sequential:
    """Linear layers, each followed by ELU."""
    layers: list[nn.Module] = []
    for entering, leaving in itertools.pairwise(sizes):
        layers += [PointwiseLinear(entering, leaving), nn.ELU()]
    return nn.Sequential(*layers)
