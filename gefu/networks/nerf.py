"""The radiance field of a level: spatial-view aggregator and the blending decoder (paper, section 3.3).

Every sample on every ray of the image holds a voxel feature (8) and, from each source view, a view vector: features,
rgb, and four direction numbers (see `view_vectors` in `rendering.py`). Samples are laid out `B H W N`, so that the
regulariser is a 3-D convolution over the image and the samples of a ray.

Layers that act on a concatenation are evaluated in parts, W [a, b] = W_a a + W_b b: what all views share is multiplied
once.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from common.models.mlp import PointwiseLinear, linear, linear_relu
from gefu.networks.cost_reg_net import RayRegNet

VOXEL_CHANNELS = 8
AGGREGATED_CHANNELS = 16
HIDDEN_CHANNELS = 64
DIRECTION_CHANNELS = 4
POINT_CHANNELS = HIDDEN_CHANNELS + VOXEL_CHANNELS + AGGREGATED_CHANNELS
STRIP_SAMPLES = 1 << 17  # whose layers run together where a picture is rendered whole, as in training
_T = TypeVar("_T")


class ViewAggregator(nn.Module):
    """`agg`: one descriptor of a point from what its source views show there.

    g_s = [features, rgb]_s + view_fc(direction_s); a weight per view from [g_s, variance over views, mean over views].
    """

    def __init__(self, color_feature_channels: int):
        super().__init__()
        self.view_fc = linear_relu(DIRECTION_CHANNELS, color_feature_channels)
        self.global_fc = linear_relu(3 * color_feature_channels, 32)
        self.agg_w_fc = linear_relu(32, 1)
        self.fc = linear_relu(32, AGGREGATED_CHANNELS)

    def forward(self, view_vectors: Float[Tensor, "B S *points C"]) -> Float[Tensor, "B *points 16"]:
        seen = view_vectors[..., :-DIRECTION_CHANNELS]
        g = seen + self._view_fc_on_vectors(view_vectors)
        mean = g.mean(dim=1)
        variance = (g - mean[:, None]).square().sum(dim=1) / (g.shape[1] - 1)
        layer = self.global_fc[0]
        own, of_variance, of_mean = layer.weight.chunk(3, dim=1)
        shared = linear(variance, of_variance) + linear(mean, of_mean, layer.bias)
        hidden = linear(g, own).add_(shared[:, None]).relu_()
        # The ReLU in front of the softmax is part of the released model.
        weight = torch.softmax(self.agg_w_fc(hidden), dim=1)
        return self.fc((weight * hidden).sum(dim=1))

    def _view_fc_on_vectors(self, view_vectors: Float[Tensor, "B S *points C"]) -> Float[Tensor, "B S *points F"]:
        """`view_fc` of the direction numbers, as a layer on whole vectors: no copy of a slice."""
        layer = self.view_fc[0]
        padding = (view_vectors.shape[-1] - DIRECTION_CHANNELS, 0)
        return functional.relu(linear(view_vectors, functional.pad(layer.weight, padding), layer.bias))


class ViewAttention(nn.Module):
    """`attn`: one query per point attends to its source views; 8 heads of 4 channels, residual, no normalisation."""

    num_heads = 8
    head_channels = 4

    def __init__(self, query_channels: int, view_channels: int):
        super().__init__()
        channels = self.num_heads * self.head_channels
        self.w_qs = PointwiseLinear(query_channels, channels, bias=False)
        self.w_ks = PointwiseLinear(view_channels, channels, bias=False)
        self.w_vs = PointwiseLinear(view_channels, channels, bias=False)
        self.fc = PointwiseLinear(channels, query_channels, bias=False)
        # In the released checkpoint but never applied there; it has to load, and gets no gradient.
        self.layer_norm = nn.LayerNorm(query_channels, eps=1e-6)

    def attention(
        self, query: Float[Tensor, "B *points Q"], view_vectors: Float[Tensor, "B S *points C"]
    ) -> Float[Tensor, "B S *points 8"]:
        """Weight of every view in every head."""
        products = self.w_qs(query)[:, None] * self.w_ks(view_vectors)
        scores = linear(products, self._heads(products)) * self.head_channels**-0.5
        return torch.softmax(scores, dim=1)

    def forward(
        self, query: Float[Tensor, "B *points Q"], view_vectors: Float[Tensor, "B S *points C"]
    ) -> Float[Tensor, "B *points Q"]:
        weight = self.attention(query, view_vectors)
        attended = (linear(weight, self._heads(weight).mT) * self.w_vs(view_vectors)).sum(dim=1)
        return self.fc(attended) + query

    def _heads(self, like: Tensor) -> Float[Tensor, "8 32"]:
        """Ones where a channel belongs to a head: sums over a head's channels, and its transpose copies to them."""
        return torch.eye(self.num_heads, device=like.device, dtype=like.dtype).repeat_interleave(
            self.head_channels, dim=1
        )


class SpatialViewAggregator(nn.Module):
    """`nerf_i`: density, colour and feature of every sample.

    The spatial half is `regnet`, a 3-D U-Net over the rays of the whole image; the view half is `agg` and `attn`.
    """

    def __init__(self, feature_channels: int):
        super().__init__()
        seen_channels = feature_channels + 3
        view_channels = seen_channels + DIRECTION_CHANNELS
        self.agg = ViewAggregator(seen_channels)
        self.lr0 = linear_relu(VOXEL_CHANNELS + AGGREGATED_CHANNELS, HIDDEN_CHANNELS)
        self.sigma = nn.Sequential(PointwiseLinear(HIDDEN_CHANNELS, 1), nn.Softplus())
        self.color = nn.Sequential(
            PointwiseLinear(POINT_CHANNELS + view_channels, 64), nn.ReLU(), PointwiseLinear(64, 1), nn.ReLU()
        )
        for part in (self.agg, self.lr0, self.sigma, self.color):
            part.apply(_initialise_linear)
        self.regnet = RayRegNet(HIDDEN_CHANNELS)
        self.attn = ViewAttention(HIDDEN_CHANNELS, view_channels)

    def forward(
        self, voxel_features: Float[Tensor, "B H W N 8"], view_vectors: Float[Tensor, "B S H W N C"]
    ) -> tuple[Float[Tensor, "B H W N 3"], Float[Tensor, "B H W N"], Float[Tensor, "B H W N 88"]]:
        width, samples = voxel_features.shape[2:4]
        rows = max(1, STRIP_SAMPLES // (width * samples))
        views = view_vectors.split(rows, dim=2)
        described = [
            _recomputed(self._describe, *strip) for strip in zip(voxel_features.split(rows, 1), views, strict=True)
        ]
        hidden = torch.cat([hidden for hidden, _ in described], dim=1)
        hidden = self.regnet(hidden.permute(0, 4, 3, 1, 2)).permute(0, 3, 4, 2, 1).split(rows, 1)
        descriptors = [descriptor for _, descriptor in described]
        parts = [_recomputed(self.decode, *strip) for strip in zip(hidden, descriptors, views, strict=True)]
        rgb, density, features = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        return rgb, density, features

    def _describe(
        self, voxel_features: Float[Tensor, "B H W N 8"], view_vectors: Float[Tensor, "B S H W N C"]
    ) -> tuple[Float[Tensor, "B H W N 64"], Float[Tensor, "B H W N 24"]]:
        descriptor = self.describe(voxel_features, view_vectors)
        return self.lr0(descriptor), descriptor

    def describe(
        self, voxel_features: Float[Tensor, "B H W N 8"], view_vectors: Float[Tensor, "B S H W N C"]
    ) -> Float[Tensor, "B H W N 24"]:
        """What is known about a sample without its neighbours."""
        return torch.cat([voxel_features, self.agg(view_vectors)], dim=-1)

    def decode(
        self,
        x: Float[Tensor, "B H W N 64"],
        descriptor: Float[Tensor, "B H W N 24"],
        view_vectors: Float[Tensor, "B S H W N C"],
    ) -> tuple[Float[Tensor, "B H W N 3"], Float[Tensor, "B H W N"], Float[Tensor, "B H W N 88"]]:
        """Colour, density and feature of every sample, after `regnet`."""
        x = self.attn(x, view_vectors)
        density = self.sigma(x)[..., 0]
        point_features = torch.cat([x, descriptor], dim=-1)
        return self.blend(point_features, view_vectors), density, point_features

    def blend(
        self, point_features: Float[Tensor, "B H W N 88"], view_vectors: Float[Tensor, "B S H W N C"]
    ) -> Float[Tensor, "B H W N 3"]:
        """A convex combination of the views' colours."""
        layer = self.color[0]
        of_point, of_view = layer.weight.split([POINT_CHANNELS, view_vectors.shape[-1]], dim=1)
        shared = linear(point_features, of_point, layer.bias)
        hidden = linear(view_vectors, of_view).add_(shared[:, None]).relu_()
        weight = torch.softmax(self.color[3](self.color[2](hidden)), dim=1)
        rgb = view_vectors[..., -DIRECTION_CHANNELS - 3 : -DIRECTION_CHANNELS]
        return (weight * rgb).sum(dim=1)


def _recomputed(function: Callable[..., _T], *values: Tensor) -> _T:
    """`function(*values)`; where gradients are needed, its insides are computed again for them instead of being kept.

    They are what fills the memory in training: some 20 times what goes in and out.
    """
    if not torch.is_grad_enabled():
        return function(*values)
    return checkpoint(function, *values, use_reentrant=False, preserve_rng_state=False)


def _initialise_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(module.bias)
