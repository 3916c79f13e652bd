"""Depth hypotheses of a plane sweep, and the depth that a distribution over them stands for.

disparity = 1 / depth         "nearest first": small depth, large disparity
mean      = sum_d p_d v_d     p = softmax over the D hypotheses of the logits
std       = sqrt(sum_d p_d (v_d - mean)^2)
"""

import torch
from jaxtyping import Float
from torch import Tensor


def unit_steps(count: int, like: Tensor, dtype: torch.dtype | None = None) -> Float[Tensor, " D"]:
    """`count` numbers from 0 to 1, both included; 0.5 when `count` is 1.

    Args:
        count: How many.
        like: Its device and dtype are taken.
        dtype: The precision in which the numbers are computed, where it is not that of `like`.
    """
    if count == 1:
        return like.new_full((1,), 0.5)
    return torch.linspace(0.0, 1.0, count, device=like.device, dtype=dtype or like.dtype).to(like.dtype)


def plane_steps(count: int, like: Tensor) -> Float[Tensor, " D"]:
    """The steps between the planes of a sweep: float32 numbers even in a float64 run, as in the released GeFu."""
    return unit_steps(count, like, dtype=torch.float32)


def between(
    first: Float[Tensor, "*batch"], last: Float[Tensor, "*batch"], steps: Float[Tensor, " D"], dim: int = -1
) -> Float[Tensor, "..."]:
    """First + (last - first) * step for every step, on a new axis `dim`."""
    values = first[..., None] + (last - first)[..., None] * steps
    return values.movedim(-1, dim)


def disparity_planes(near_far: Float[Tensor, "B 2"], count: int) -> Float[Tensor, "B D"]:
    """Disparities evenly spaced from 1/near to 1/far, both included (nearest first)."""
    disparity = 1.0 / near_far
    return between(disparity[:, 0], disparity[:, 1], plane_steps(count, near_far))


def regress(
    logits: Float[Tensor, "B D H W"], values: Float[Tensor, "B D H W"], min_variance: float = 1e-10
) -> tuple[Float[Tensor, "B H W"], Float[Tensor, "B H W"]]:
    """Mean and standard deviation of `values` under the softmax of `logits` over the hypotheses."""
    probability = torch.softmax(logits, dim=1)
    mean = (probability * values).sum(dim=1)
    variance = (probability * (values - mean[:, None]).square()).sum(dim=1)
    return mean, variance.clamp(min=min_variance).sqrt()
