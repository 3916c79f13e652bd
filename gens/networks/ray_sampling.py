"""Where along a ray to look: equal steps, then four rounds closer to the surface (spec 4.8, NeuS section 3).

Positions z are distances along unit directions, shared bounds near and far. No gradient flows through this file.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# The distance given to points that no view sees.
FAR_AWAY = 100.0

MaskedSdf = Callable[[Float[Tensor, "P 3"]], tuple[Float[Tensor, " P"], Bool[Tensor, " P"]]]


@dataclass(frozen=True)
class SamplingSettings:
    """The config's `render` block.

    Attributes:
        n_samples: Equal steps.
        n_importance: Samples added near the surface.
        up_sample_steps: Rounds in which they are added.
        perturb: Above 0, every ray's steps are shifted by a random fraction of a step; in validation as well.
    """

    n_samples: int = 64
    n_importance: int = 64
    up_sample_steps: int = 4
    perturb: float = 1.0

    def __post_init__(self) -> None:
        if self.n_samples < 2 or self.n_importance < 0 or self.up_sample_steps < 1:
            raise ValueError(
                "render needs n_samples of at least 2, n_importance of at least 0 and up_sample_steps of at least 1, "
                f"got {self.n_samples}, {self.n_importance} and {self.up_sample_steps}"
            )


@dataclass(frozen=True)
class RaySamples:
    """Samples in order along their rays; `sdf` is `FAR_AWAY` where no view sees the point (`seen`)."""

    z: Float[Tensor, "R N"]
    sdf: Float[Tensor, "R N"]
    seen: Bool[Tensor, "R N"]


def equal_steps(
    near: Float[Tensor, "1 1"], far: Float[Tensor, "1 1"], num_rays: int, settings: SamplingSettings
) -> Float[Tensor, "R N"]:
    """`n_samples` positions from near to far, shifted by up to half of 2 / n_samples."""
    steps = torch.linspace(0, 1, settings.n_samples, device=near.device, dtype=near.dtype)
    z = (near + (far - near) * steps).expand(num_rays, -1)
    if settings.perturb > 0:
        z = z + (torch.rand((num_rays, 1), device=near.device, dtype=near.dtype) - 0.5) * (2 / settings.n_samples)
    return z


@torch.no_grad()
def importance_samples(
    origins: Float[Tensor, "R 3"],
    directions: Float[Tensor, "R 3"],
    z: Float[Tensor, "R N"],
    masked_sdf: MaskedSdf,
    settings: SamplingSettings,
) -> Float[Tensor, "R _"]:
    """The given positions and `n_importance` more, sorted."""
    if settings.n_importance == 0:
        return z
    samples = _evaluate(origins, directions, z, masked_sdf)
    number = settings.n_importance // settings.up_sample_steps
    for step in range(settings.up_sample_steps - 1):
        new_z = near_surface(origins, directions, samples, number, 64.0 * 2**step)
        samples = merge(samples, _evaluate(origins, directions, new_z, masked_sdf))
    new_z = near_surface(origins, directions, samples, number, 64.0 * 2 ** (settings.up_sample_steps - 1))
    return torch.cat([samples.z, new_z], dim=-1).sort(dim=-1).values


def near_surface(
    origins: Float[Tensor, "R 3"],
    directions: Float[Tensor, "R 3"],
    samples: RaySamples,
    number: int,
    inv_s: float,
) -> Float[Tensor, "R M"]:
    """New positions where a surface of sharpness `inv_s` would be opaque."""
    z, sdf, seen = samples.z, samples.sdf, samples.seen
    in_sphere = (origins[:, None] + directions[:, None] * z[..., None]).norm(dim=-1) < 1
    inside = (in_sphere[:, :-1] | in_sphere[:, 1:]) & seen[:, :-1] & seen[:, 1:]
    distance = z[:, 1:] - z[:, :-1]
    cosine = (sdf[:, 1:] - sdf[:, :-1]) / (distance + 1e-5)
    before = torch.cat([torch.zeros_like(cosine[:, :1]), cosine[:, :-1]], dim=-1)
    cosine = torch.minimum(cosine, before).clamp(-1e3, 0) * inside
    middle = (sdf[:, 1:] + sdf[:, :-1]) / 2
    c0 = torch.sigmoid((middle - cosine * distance / 2) * inv_s)
    c1 = torch.sigmoid((middle + cosine * distance / 2) * inv_s)
    alpha = (c0 - c1 + 1e-5) / (c0 + 1e-5)
    return sample_distribution(z, weights_from_alpha(alpha), number)


def sample_distribution(
    bins: Float[Tensor, "R N"], weights: Float[Tensor, "R N-1"], number: int
) -> Float[Tensor, "R M"]:
    """Positions at equal steps of the cumulative distribution that is linear within each bin."""
    weights = weights + 1e-5
    cdf = torch.cumsum(weights / weights.sum(dim=-1, keepdim=True), dim=-1)
    cdf = torch.cat([torch.zeros_like(cdf[:, :1]), cdf], dim=-1)
    u = torch.linspace(0.5 / number, 1 - 0.5 / number, number, device=bins.device, dtype=bins.dtype)
    u = u.expand(len(bins), number).contiguous()
    index = torch.searchsorted(cdf, u, right=True)
    below, above = (index - 1).clamp(min=0), index.clamp(max=cdf.shape[-1] - 1)
    cdf_below, cdf_above = cdf.gather(1, below), cdf.gather(1, above)
    bin_below, bin_above = bins.gather(1, below), bins.gather(1, above)
    span = cdf_above - cdf_below
    span = torch.where(span < 1e-5, torch.ones_like(span), span)
    return bin_below + (u - cdf_below) / span * (bin_above - bin_below)


def merge(samples: RaySamples, new: RaySamples) -> RaySamples:
    """Both, in order along the rays."""
    z, order = torch.cat([samples.z, new.z], dim=-1).sort(dim=-1)
    sdf = torch.cat([samples.sdf, new.sdf], dim=-1).gather(1, order)
    return RaySamples(z, sdf, torch.cat([samples.seen, new.seen], dim=-1).gather(1, order))


def weights_from_alpha(alpha: Float[Tensor, "R N"]) -> Float[Tensor, "R N"]:
    """Alpha times the light that reaches the sample; 1e-7 keeps its gradient alive behind an opaque one."""
    passed = torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha[:, :-1] + 1e-7], dim=-1)
    return alpha * passed.cumprod(dim=-1)


def _evaluate(origins: Tensor, directions: Tensor, z: Tensor, masked_sdf: MaskedSdf) -> RaySamples:
    points = origins[:, None] + directions[:, None] * z[..., None]
    sdf, seen = masked_sdf(points.flatten(0, 1))
    return RaySamples(z, sdf.view(z.shape), seen.view(z.shape))
