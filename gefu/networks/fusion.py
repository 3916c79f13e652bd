"""Consistency-aware fusion of the blended and the regressed colour (paper, section 3.4).

Both branches are judged by how well their features agree with the source features h_s at the rendered depth:

    C = sum_s (g - h_s)^2        (w_n, w_r) = softmax(wgt_nf(C_n), wgt_rf(C_r))        rgb = w_n rgb_b + w_r rgb_r
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from common.models.mlp import PointwiseLinear


def color_head() -> nn.Sequential:
    """`color_rf`: colour regressed from decoded features."""
    return nn.Sequential(PointwiseLinear(64, 64), nn.ReLU(), PointwiseLinear(64, 3), nn.Sigmoid())


def score_head() -> nn.Sequential:
    """`wgt_rf`, `wgt_nf`: score of a branch from its inconsistency, in (0, 1) before the softmax."""
    return nn.Sequential(PointwiseLinear(8, 16), nn.ReLU(), PointwiseLinear(16, 1), nn.Sigmoid())


def inconsistency(own: Float[Tensor, "B H W C"], seen: Float[Tensor, "B S C H W"]) -> Float[Tensor, "B H W C"]:
    """Squared difference to what the source views show, summed over the views."""
    return (own.movedim(-1, 1)[:, None] - seen).square().sum(dim=1).movedim(1, -1)


def consistency_aware_fusion(
    blended: Float[Tensor, "B H W 3"],
    regressed: Float[Tensor, "B H W 3"],
    blended_score: Float[Tensor, "B H W 1"],
    regressed_score: Float[Tensor, "B H W 1"],
) -> tuple[Float[Tensor, "B H W 3"], Float[Tensor, "B H W 2"]]:
    """The fused colour, and the weights of (blended, regressed)."""
    weights = torch.softmax(torch.cat([blended_score, regressed_score], dim=-1), dim=-1)
    return weights[..., :1] * blended + weights[..., 1:] * regressed, weights
