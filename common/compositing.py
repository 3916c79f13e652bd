"""Volume rendering along rays: quadrature of the rendering integral, Eq. (3) of NeRF (https://arxiv.org/abs/2003.08934).

    alpha_n = 1 - exp(-density_n * distance_n)
    T_n     = prod_{m < n} (1 - alpha_m)              transmittance in front of sample n
    w_n     = T_n alpha_n                             weight of sample n

Samples are ordered from the camera outwards.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def alpha_from_density(density: Tensor, distance: Tensor | float = 1.0) -> Tensor:
    """Opacity in [0, 1] of an interval of length `distance` (GeFu and its relatives use 1 for every interval)."""
    return 1.0 - torch.exp(-density * distance)


def weights_from_alpha(alpha: Float[Tensor, "*batch N"], floor: float = 0.0) -> Float[Tensor, "*batch N"]:
    """Weight of every sample along its ray, in [0, 1]; the sum along a ray is the ray's opacity.

    Args:
        alpha: Opacity of each sample in [0, 1], ordered from the camera outwards.
        floor: Added to `1 - alpha` before the product, so that its gradient exists behind an opaque sample.

    Example:
        alpha 0.5, 0.5, 1.0 gives weights 0.5, 0.25, 0.25.
    """
    in_front = torch.cat([torch.ones_like(alpha[..., :1]), 1.0 - alpha[..., :-1] + floor], dim=-1)
    return in_front.cumprod(dim=-1) * alpha


def composite(weights: Float[Tensor, "*batch N"], values: Float[Tensor, "*batch N C"]) -> Float[Tensor, "*batch C"]:
    """Sum of `values` along each ray, weighted."""
    return (weights[..., None] * values).sum(dim=-2)
