"""The training objective (spec 5).

    loss = sum of weight_i term_i        weights: the config's `train.loss`

Terms over rays count the rays that enough source views see (`valid_mask`); patches count where a surface was found as
well (`mid_inside_sphere`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class LossWeights:
    """The config's `train.loss`; `depth_weight` and `normal_weight` are read by nobody, as in the release."""

    color_weight: float = 1.0
    sparse_weight: float = 0.0
    sparse_scale_factor: float = 100.0
    igr_weight: float = 0.1
    mfc_weight: float = 1.0
    smooth_weight: float = 0.0
    tv_weight: float = 0.0
    pseudo_sdf_weight: float = 0.0
    pseudo_depth_weight: float = 0.0

    @classmethod
    def from_config(cls, loss: Mapping[str, Any]) -> "LossWeights":
        """The weights among a config's keys."""
        return cls(**{field.name: float(loss[field.name]) for field in fields(cls) if field.name in loss})


class GensLoss:
    """The objective of a step.

    Args:
        weights: Of the terms.
    """

    def __init__(self, weights: LossWeights):
        self.weights = weights

    def __call__(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Float[Tensor, ""]]:
        """All terms and their weighted sum, `loss`.

        Args:
            outputs: Of the network's forward pass in training.
            targets: `color`, and where they exist `pseudo_depth` and `depth` (0 where unknown), per ray.
        """
        zero = outputs["color_fine"].new_zeros(())
        valid = outputs["valid_mask"].to(zero.dtype)
        terms = {
            "color_loss": color_loss(outputs["color_fine"], targets["color"], valid),
            "eikonal_loss": outputs["gradient_error"],
            "sparse_loss": torch.exp(-self.weights.sparse_scale_factor * outputs["sparse_sdf"].abs()).mean(),
            "mfc_loss": consistency_loss(
                outputs["ref_gray_val"], outputs["sampled_gray_val"], valid * outputs["mid_inside_sphere"]
            ),
            "smooth_loss": outputs["smooth_error"],
            "tv_loss": outputs["tv_reg"],
            "depth_loss": depth_loss(outputs["render_depth"], targets.get("depth")),
            "pseudo_sdf_loss": outputs["pseudo_sdf"].abs().mean() if "pseudo_sdf" in outputs else zero,
            "pseudo_depth_loss": depth_loss(outputs["render_depth"], targets.get("pseudo_depth")),
        }
        weights = self.weights
        total = (
            weights.color_weight * terms["color_loss"]
            + weights.igr_weight * terms["eikonal_loss"]
            + weights.sparse_weight * terms["sparse_loss"]
            + weights.mfc_weight * terms["mfc_loss"]
            + weights.smooth_weight * terms["smooth_loss"]
            + weights.tv_weight * terms["tv_loss"]
            + weights.pseudo_sdf_weight * terms["pseudo_sdf_loss"]
            + weights.pseudo_depth_weight * terms["pseudo_depth_loss"]
        )
        return {"loss": total, **terms}


def color_loss(
    color: Float[Tensor, "R 3"], truth: Float[Tensor, "R 3"], valid: Float[Tensor, "R 1"]
) -> Float[Tensor, ""]:
    """Absolute difference, summed over the channels, mean over valid rays."""
    return ((color - truth).abs() * valid).sum() / (valid.sum() + 1e-5)


def depth_loss(depth: Float[Tensor, " R"], truth: Float[Tensor, " R"] | None) -> Float[Tensor, ""]:
    """Mean absolute difference where the truth is known (above 0); 0 without truth."""
    if truth is None:
        return depth.new_zeros(())
    known = (truth > 0).to(depth.dtype)
    return ((depth - truth).abs() * known).sum() / (known.sum() + 1e-8)


def consistency_loss(
    reference: Float[Tensor, "1 R P C"], sources: Float[Tensor, "S R P C"], counted: Float[Tensor, "R 1"]
) -> Float[Tensor, ""]:
    """Half the mean dissimilarity of the patches of counted rays (multi-scale feature-metric consistency)."""
    return 0.5 * (dissimilarity(reference, sources) * counted).sum() / (counted.sum() + 1e-8)


def dissimilarity(reference: Float[Tensor, "1 R P C"], sources: Float[Tensor, "S R P C"]) -> Float[Tensor, "R 1"]:
    """1 - squared normalised cross-correlation, mean over channels, of the two sources that fit best; in [0, 2].

    Raises:
        ValueError: There is only one source.
    """
    if len(sources) < 2:
        raise ValueError(f"patches are compared with the two most similar source views, got {len(sources)} source view")
    a, b = reference.movedim(-1, -2), sources.movedim(-1, -2)
    number = a.shape[-1]
    sum_a, sum_b = a.sum(dim=-1), b.sum(dim=-1)
    mean_a, mean_b = sum_a / number, sum_b / number
    cross = (a * b).sum(dim=-1) - mean_b * sum_a - mean_a * sum_b + mean_a * mean_b * number
    variance_a = a.square().sum(dim=-1) - 2 * mean_a * sum_a + mean_a.square() * number
    variance_b = b.square().sum(dim=-1) - 2 * mean_b * sum_b + mean_b.square() * number
    apart = (1 - cross.square() / (variance_a * variance_b + 1e-5)).clamp(0, 2).mean(dim=-1)
    return apart.topk(2, dim=0, largest=False).values.mean(dim=0)[:, None]
