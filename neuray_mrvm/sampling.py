"""Samples along rays and their intervals in normalised inverse depth (spec 5.4, 5.8).

x(z) = (-1/z - n) / (f - n)        n = -1/near, f = -1/far; 0 is near, 1 is far, not clamped
"""

import torch
from jaxtyping import Float
from torch import Tensor

from common.depth_hypotheses import unit_steps

# Stands for the distance behind the last sample.
LAST_SPACING = 1e6


def inverse_depth(
    depth: Float[Tensor, "*points"], depth_range: Float[Tensor, "*#points 2"]
) -> Float[Tensor, "*points"]:
    """x(z); depths below 1e-5 count as 1e-5."""
    near, far = (-1 / depth_range).unbind(dim=-1)
    return (-1 / depth.clamp(min=1e-5) - near) / (far - near)


def depth_of(x: Float[Tensor, "*points"], depth_range: Float[Tensor, "*#points 2"]) -> Float[Tensor, "*points"]:
    """The depth z of a normalised inverse depth x."""
    near, far = (-1 / depth_range).unbind(dim=-1)
    return -1 / (x * (far - near) + near)


def coarse_depths(depth_range: Float[Tensor, "2"], count: int) -> Float[Tensor, " N"]:
    """Depths evenly spaced in inverse depth, the first exactly near and the last exactly far."""
    near, far = depth_range
    inside = 1 / (1 / near + unit_steps(count, depth_range)[1:-1] * (1 / far - 1 / near))
    return torch.cat([near[None], inside, far[None]])


def even_positions(count: int, like: Tensor) -> Float[Tensor, " F"]:
    """The numbers (i + 0.5) / count: where evaluation reads the inverse of the cumulative distribution."""
    return (torch.arange(count, device=like.device, dtype=like.dtype) + 0.5) / count


def importance_depths(
    depth: Float[Tensor, "R N"],
    weights: Float[Tensor, "R N"],
    depth_range: Float[Tensor, "2"],
    u: Float[Tensor, "#R F"],
) -> Float[Tensor, "R F"]:
    """Depths drawn from the coarse weights, in the order of `u`; no gradient.

    Args:
        depth: Of the coarse samples, ascending.
        weights: Of the coarse samples.
        depth_range: Of the query.
        u: Numbers in [0, 1): the inverse of the cumulative distribution is read there.
    """
    x = inverse_depth(depth.detach(), depth_range)
    edges = torch.cat([x[:, :1], (x[:, 1:] + x[:, :-1]) / 2, x[:, -1:]], dim=-1)
    share = weights.detach() + 1e-5
    share = share / share.sum(dim=-1, keepdim=True)
    total = torch.cat([torch.zeros_like(share[:, :1]), share.cumsum(dim=-1)], dim=-1)
    u = u.expand(len(depth), -1).contiguous()
    index = torch.searchsorted(total, u, right=True)
    below, above = (index - 1).clamp(min=0), index.clamp(max=depth.shape[1])
    first, step = total.gather(1, below), total.gather(1, above) - total.gather(1, below)
    part = (u - first) / torch.where(step < 1e-5, 1.0, step)
    start = edges.gather(1, below)
    return depth_of(start + part * (edges.gather(1, above) - start), depth_range)


def spacings(x: Float[Tensor, "R N"]) -> Float[Tensor, "R N"]:
    """Distances from each sample of a query ray to the next one; the last is `LAST_SPACING`."""
    return torch.cat([x[:, 1:] - x[:, :-1], torch.full_like(x[:, :1], LAST_SPACING)], dim=-1)


def view_intervals(
    x: Float[Tensor, "V R N"], spacing: Float[Tensor, "R N"]
) -> tuple[Float[Tensor, "V R N"], Float[Tensor, "V R N"]]:
    """Start and end of the samples as reference views see them: half the query's spacings around x."""
    before, after = half_spacings(spacing)
    return x - before, x + after


def half_spacings(spacing: Float[Tensor, "R N"]) -> tuple[Float[Tensor, "R N"], Float[Tensor, "R N"]]:
    """How far a sample's interval reaches towards the query and away from it."""
    half = spacing / 2
    return torch.cat([half[:, :1], half[:, :-1]], dim=-1), half


def own_intervals(
    x: Float[Tensor, "R N"], spacing: Float[Tensor, "R N"]
) -> tuple[Float[Tensor, "R N"], Float[Tensor, "R N"]]:
    """Start and end of the samples of a ray: the middles between them."""
    middle = (x[:, 1:] + x[:, :-1]) / 2
    first, last = x[:, :1] - spacing[:, :1] / 2, x[:, -1:] + spacing[:, -1:] / 2
    return torch.cat([first, middle], dim=-1), torch.cat([middle, last], dim=-1)
