"""GeFu's layers as a paper's release writes them: PyTorch's own operations on concatenated inputs."""

import contextlib
import os
from collections.abc import Iterator
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional

from gefu.networks.nerf import DIRECTION_CHANNELS


@contextlib.contextmanager
def plain_pytorch() -> Iterator[None]:
    """Within, `Network.encode` and `Network.render_whole` run plainly."""
    replacements = {
        "common.models.conv.conv3d": conv3d,
        "common.models.conv.conv_transpose3d": conv_transpose3d,
        "common.models.conv._is_frozen": lambda norm: False,
        "common.models.mlp.linear": functional.linear,
        "gefu.networks.cost_reg_net.conv3d": conv3d,
        "gefu.networks.network.keep_freed_memory": lambda: False,
        "gefu.networks.nerf.ViewAggregator.forward": aggregate_views,
        "gefu.networks.nerf.ViewAttention.forward": attend_to_views,
        "gefu.networks.nerf.SpatialViewAggregator.blend": blend,
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, {"POLYVIEW_BACKEND": "torch"}))
        for name, function in replacements.items():
            stack.enter_context(mock.patch(name, function))
        yield


def conv3d(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: tuple[int, int, int] = (1, 1, 1)) -> Tensor:
    """PyTorch's convolution."""
    return functional.conv3d(x.contiguous(), weight, bias, stride, padding=1)


def conv_transpose3d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: tuple[int, int, int] = (2, 2, 2)
) -> Tensor:
    """PyTorch's transposed convolution."""
    return functional.conv_transpose3d(x.contiguous(), weight, bias, stride, 1, tuple(step - 1 for step in stride))


def aggregate_views(self: torch.nn.Module, view_vectors: Tensor) -> Tensor:
    """`agg`: variance and mean are repeated for every view and concatenated."""
    seen, direction = view_vectors.split([view_vectors.shape[-1] - DIRECTION_CHANNELS, DIRECTION_CHANNELS], dim=-1)
    g = seen + self.view_fc(direction)
    variance = g.var(dim=1, keepdim=True).expand_as(g)
    mean = g.mean(dim=1, keepdim=True).expand_as(g)
    hidden = self.global_fc(torch.cat([g, variance, mean], dim=-1))
    weight = torch.softmax(self.agg_w_fc(hidden), dim=1)
    return self.fc((hidden * weight).sum(dim=1))


def attend_to_views(self: torch.nn.Module, query: Tensor, view_vectors: Tensor) -> Tensor:
    """`attn`: heads on an axis of their own, scores and values as batched matrix products."""
    heads = (self.num_heads, self.head_channels)
    views = view_vectors.movedim(1, -2)
    q = self.w_qs(query).unflatten(-1, heads)[..., None, :]
    k = self.w_ks(views).unflatten(-1, heads).transpose(-2, -3)
    v = self.w_vs(views).unflatten(-1, heads).transpose(-2, -3)
    weight = torch.softmax(q @ k.transpose(-1, -2) * self.head_channels**-0.5, dim=-1)
    return self.fc((weight @ v).flatten(-3)) + query


def blend(self: torch.nn.Module, point_features: Tensor, view_vectors: Tensor) -> Tensor:
    """`color`: the point feature is repeated for every view and concatenated."""
    repeated = point_features[:, None].expand(-1, view_vectors.shape[1], *point_features.shape[1:])
    weight = torch.softmax(self.color(torch.cat([repeated, view_vectors], dim=-1)), dim=1)
    rgb = view_vectors[..., -DIRECTION_CHANNELS - 3 : -DIRECTION_CHANNELS]
    return (weight * rgb).sum(dim=1)
