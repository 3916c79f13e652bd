"""Volume rendering along rays: quadrature of the rendering integral, Eq. (3) of NeRF (https://arxiv.org/abs/2003.08934).

    alpha_n = 1 - exp(-density_n * distance_n)
    T_n     = prod_{m < n} (1 - alpha_m)              transmittance in front of sample n
    w_n     = T_n alpha_n                             weight of sample n

Samples are ordered from the camera outwards; the axis of the samples is `dim`.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def alpha_from_density(density: Tensor, distance: Tensor | float = 1.0) -> Tensor:
    """Opacity in [0, 1] of an interval of length `distance` (GeFu and its relatives use 1 for every interval)."""
    return 1.0 - torch.exp(-density * distance)


def weights_from_alpha(alpha: Float[Tensor, "*batch"], dim: int = -1, floor: float = 0.0) -> Float[Tensor, "*batch"]:
    """Weight of every sample along its ray, in [0, 1]; the sum along a ray is the ray's opacity.

    Args:
        alpha: Opacity of each sample in [0, 1].
        dim: The axis of the samples.
        floor: Added to `1 - alpha` before the product, so that its gradient exists behind an opaque sample.

    Example:
        alpha 0.5, 0.5, 1.0 gives weights 0.5, 0.25, 0.25.
    """
    count = alpha.shape[dim]
    passing = 1.0 - alpha.narrow(dim, 0, count - 1) + floor
    in_front = torch.cat([torch.ones_like(alpha.narrow(dim, 0, 1)), passing], dim=dim)
    return in_front.cumprod(dim=dim) * alpha


def composite(weights: Tensor, values: Tensor, dim: int) -> Tensor:
    """Sum of `values` along the sample axis `dim`, weighted; `values` carries one more (last) axis than `weights`."""
    return (weights[..., None] * values).sum(dim=dim)
