"""ID-NeRF's rays as a paper's release renders them: whole feature vectors, PyTorch's own operations.

Nine look-ups of all channels per view and map, 516 numbers per view and sample in memory, the layers on concatenated
inputs, attention with its matrix of scores.
"""

import contextlib
import os
from collections.abc import Iterator
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional

from common.ops.window_sampling import partner_slot, sample_windows, view_pairs
from idnerf.conditioning import Conditioning, coordinates_in_views
from idnerf.networks.attention import PASSES, ThreePassAttention
from idnerf.networks.decoder import ConditionalNerf
from idnerf.projection import is_inside
from idnerf.views import EncodedViews


@contextlib.contextmanager
def plain_pytorch() -> Iterator[None]:
    """Within, `IdNerf.encode` and `IdNerf.render` run plainly."""
    replacements = {
        "common.models.mlp.linear": functional.linear,
        "idnerf.networks.decoder.linear": functional.linear,
        "idnerf.networks.network.look_up": look_up,
        "idnerf.networks.network.samples_at_once": lambda device: None,
        "idnerf.networks.transformer.functional.scaled_dot_product_attention": attention,
    }
    methods = {
        (ConditionalNerf, "view_tokens"): view_tokens,
        (ConditionalNerf, "point_features"): point_features,
        (ConditionalNerf, "color"): color,
        (ThreePassAttention, "forward"): three_passes,
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, {"POLYVIEW_BACKEND": "torch"}))
        for name, function in replacements.items():
            stack.enter_context(mock.patch(name, function))
        for (owner, name), function in methods.items():
            stack.enter_context(mock.patch.object(owner, name, function))
        yield


def look_up(encoded: EncodedViews, points: Tensor, groups: tuple[int, int], window: object) -> Conditioning:
    """What the views show; `features` are whole vectors, to which the layer has not been applied."""
    coordinates = coordinates_in_views(encoded, points)
    grid = 2 * coordinates[..., :2] - 1
    maps = [each[:, : each.shape[1] - encoded.num_tokens].contiguous() for each in (encoded.low, encoded.high)]
    features = [sample_windows(each, grid, window) for each in maps]
    colors = sample_windows(encoded.views.images, grid)
    masks = is_inside(grid).to(points.dtype)
    return Conditioning(
        coordinates=coordinates[0],
        features=torch.cat([*features, colors, masks[..., None]], dim=-1).movedim(0, 2),
        colors=colors.movedim(0, 2),
        masks=masks.movedim(0, 2),
        similarity=torch.cat([similarity(seen, count) for seen, count in zip(features, groups, strict=True)], dim=-1),
    )


def similarity(seen: Tensor, groups: int) -> Tensor:
    """Cosines of the pairs, `V R S C` to `R S groups`."""
    blocks = seen.unflatten(-1, (len(seen) - 1, groups, -1))
    cosines = [
        functional.cosine_similarity(
            blocks[i][..., partner_slot(i, j), :, :], blocks[j][..., partner_slot(j, i), :, :], -1
        )
        for i, j in view_pairs(len(seen))
    ]
    return torch.stack(cosines).mean(dim=0)


def view_tokens(self: ConditionalNerf, seen: Conditioning) -> Tensor:
    """`cond_feat_fc` on whole vectors."""
    return self.cond_feat_fc(seen.features)


def point_features(self: ConditionalNerf, points: Tensor, scale: Tensor) -> Tensor:
    """`pts_linears`, nothing in place."""
    angles = [points * 2.0**octave for octave in range(self.point_octaves)]
    encoded = hidden = torch.cat([points, *(a.sin() for a in angles), *(a.cos() for a in angles)], dim=-1)
    for number, layer in enumerate(self.pts_linears):
        hidden = functional.relu(layer(hidden) * scale)
        if number in self.skip:
            hidden = torch.cat([encoded, hidden], dim=-1)
    return hidden


def color(self: ConditionalNerf, hidden: Tensor, direction: Tensor) -> Tensor:
    """`feature_linear`, `views_linears`, `rgb_linear`, the direction repeated for every sample."""
    inputs = torch.cat([self.feature_linear(hidden), direction.expand(*hidden.shape[:-1], 3)], dim=-1)
    return self.rgb_linear(functional.relu(self.views_linears[0](inputs))).sigmoid()


def three_passes(self: ThreePassAttention, x: Tensor, is_asking: Tensor | None = None) -> Tensor:
    """Scores as matrices, masked rows filled."""
    q, k, v = (layer(x).unflatten(-1, (4, 4)).transpose(-2, -3) for layer in (self.w_qs, self.w_ks, self.w_vs))
    for _ in range(PASSES):
        scores = q @ k.transpose(-1, -2) / 2
        if is_asking is not None:
            scores = scores.masked_fill(~is_asking[..., None, :, None], -1e9)
        q = k = v = torch.softmax(scores, dim=-1) @ v
    return self.layer_norm(self.fc(q.transpose(-2, -3).flatten(-2)) + x)


def attention(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """softmax(q k' / sqrt(C) + mask) v with the matrix of scores in memory."""
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    return torch.softmax(scores if attn_mask is None else scores + attn_mask, dim=-1) @ v
