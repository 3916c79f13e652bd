"""Mask-based modelling: what the fine network has to guess, and how it is compared (spec 5.12)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def draw_token_mask(mask_ratio: float, views: int, rays: int, samples: int, like: Tensor) -> Float[Tensor, "V R N 1"]:
    """A random mask: the share `mask_ratio` of every ray's samples, each in one to all views."""
    masked = int(samples * mask_ratio)
    random = {"device": like.device, "dtype": like.dtype}
    order = torch.rand(rays, samples, **random).argsort(dim=-1)
    ranks = torch.rand(views, rays, masked, **random).argsort(dim=0)
    last = (torch.rand(rays, masked, **random) * views).long()
    return token_mask(order, ranks, last).to(like.dtype)[..., None]


def token_mask(
    order: Int[Tensor, "R N"], ranks: Int[Tensor, "V R P"], last: Int[Tensor, "R P"]
) -> Int[Tensor, "V R N"]:
    """1 where a view's token is masked.

    Args:
        order: The ray's samples in random order; the first P are chosen.
        ranks: The views in random order, for every chosen sample.
        last: Views whose rank is at most this are masked, 0 to V - 1.
    """
    mask = torch.zeros(len(ranks), *order.shape, dtype=ranks.dtype, device=ranks.device)
    chosen = order[:, : ranks.shape[-1]].expand(len(ranks), -1, -1)
    return mask.scatter(2, chosen, (ranks <= last).to(mask.dtype))


def matching_loss(
    target: Float[Tensor, "1 R N C"], predicted: Float[Tensor, "1 R M C"], argsort: Int[Tensor, "1 R M"]
) -> Float[Tensor, ""]:
    """Mean of 2 - 2 cos(target, prediction) over the coarse samples, masked or not.

    Args:
        target: Of the coarse samples.
        predicted: Of the fine pass's samples, ascending in depth.
        argsort: The indices that sorted [coarse, fine] samples.
    """
    places = argsort.argsort(dim=-1)[..., : target.shape[2]]
    predicted = predicted.gather(2, places[..., None].expand(-1, -1, -1, predicted.shape[-1]))
    target, predicted = (functional.normalize(each, dim=-1, eps=1e-12) for each in (target, predicted))
    return (2 - 2 * (target * predicted).sum(dim=-1)).mean()


def feature_weight(step: int, begin: int, warmup: int, weight: float) -> float:
    """0 before `begin`, then a ramp of `warmup` steps to `weight`."""
    return 0.0 if step < begin else weight * min((step - begin) / max(warmup, 1e-9), 1.0)
