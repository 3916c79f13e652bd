"""The training objective (spec 6.1): the sum of the means of all entries whose name starts with `loss`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from neuray_mrvm import geometry, sampling
from neuray_mrvm.config_defaults import LOSSES, TRAINER
from neuray_mrvm.networks.masked_modeling import feature_weight, matching_loss
from neuray_mrvm.view_batch import TrainingItem

Outputs = Mapping[str, Tensor]


def compute_losses(
    names: Sequence[str], outputs: Outputs, item: TrainingItem, cfg: Mapping[str, Any]
) -> dict[str, Tensor]:
    """All entries of the named losses.

    Args:
        names: Of `render`, `depth`, `feat`, `consist`.
        outputs: Of the network.
        item: What it was asked.
        cfg: Settings of a configuration file; weights that are absent are 1, that of `feat` 0.

    Raises:
        ValueError: An unknown loss.
    """
    unknown = sorted(set(names) - set(_LOSSES))
    if unknown:
        raise ValueError(f"unknown loss {unknown[0]!r}; expected some of {', '.join(_LOSSES)}")
    cfg = {**TRAINER, **LOSSES, **cfg}
    terms: dict[str, Tensor] = {}
    for name in names:
        terms |= _LOSSES[name](outputs, item, cfg)
    return terms


def total_loss(terms: Mapping[str, Tensor]) -> Float[Tensor, ""]:
    """What training minimises."""
    return torch.stack([term.mean() for name, term in terms.items() if name.startswith("loss")]).sum()


def render_loss(outputs: Outputs, item: TrainingItem, cfg: Mapping[str, Any]) -> dict[str, Tensor]:
    """Squared colour errors of every pass, over the rays that enough views see in the coarse pass."""
    passes = ["nr", *(name for name in ("nr_fine", "dr", "dr_fine") if cfg[f"use_{name}_loss"])]
    terms = {}
    for name in passes:
        error = (outputs[f"pixel_colors_{name}"] - outputs["pixel_colors_gt"]).square().sum(dim=-1)
        if cfg["use_ray_mask"]:
            mask = outputs["ray_mask"].to(error.dtype)
            mean = (error * mask).sum() / (mask.sum() + 1e-3)
        else:
            mean = error.mean()
        terms[f"loss_rgb_{name}"] = cfg["lambda_rgb"] * mean
    return terms


def depth_loss(outputs: Outputs, item: TrainingItem, cfg: Mapping[str, Any]) -> dict[str, Tensor]:
    """Error of the first surface in every reference view, where true depth is known and the network computed one.

    Where the input depth was made noisy (`gso`), pixels whose noise is large do not count.
    """
    views = item.references
    if views.true_depth is None or "depth_mean" not in outputs:
        return {"loss_depth": outputs["pixel_colors_nr"].new_zeros(1)}
    coords = outputs["depth_coords"]

    def known(depth: Float[Tensor, "V 1 h w"]) -> Float[Tensor, "V P"]:
        x = sampling.inverse_depth(depth, views.depth_range[:, None, None, None]).clamp(0, 1)
        return geometry.look_up(x, coords, views.size)[..., 0]

    truth, mask = known(views.true_depth), None
    if item.scene_name.startswith("gso"):
        mask = ((known(views.depth) - truth).abs() < cfg["depth_correct_thresh"]).to(truth.dtype)
    terms = {}
    for suffix in ("", "_fine"):
        if f"depth_mean{suffix}" in outputs:
            error = _depth_error(outputs[f"depth_mean{suffix}"], truth, cfg)
            mean = error.mean(dim=-1) if mask is None else (error * mask).sum(dim=-1) / (mask.sum(dim=-1) + 1e-4)
            terms[f"loss_depth{suffix}"] = cfg["lambda_depth"] * mean
    return terms


def consistency_loss(outputs: Outputs, item: TrainingItem, cfg: Mapping[str, Any]) -> dict[str, Tensor]:
    """Cross entropy between where a ray ends according to the network and to the query's own ray features."""
    terms = {}
    for suffix in ("", "_fine"):
        if f"hit_prob_self{suffix}" in outputs:
            wanted, own = outputs[f"hit_prob_nr{suffix}"].detach(), outputs[f"hit_prob_self{suffix}"]
            entropy = -wanted * torch.log(own + 1e-5) - (1 - wanted) * torch.log(1 - own + 1e-5)
            terms[f"loss_prob{suffix}"] = cfg["lambda_consist"] * entropy.mean()
    return terms


def feature_loss(outputs: Outputs, item: TrainingItem, cfg: Mapping[str, Any]) -> dict[str, Tensor]:
    """How far predicted features of masked samples are from the coarse network's; `feats_not_weighted` is for logs."""
    if "out_feat" not in outputs:
        return {"loss_feats": outputs["pixel_colors_nr"].new_zeros(1)}
    loss = matching_loss(outputs["out_feat"], outputs["out_feat_fine"], outputs["argsort"])
    weight = feature_weight(item.step, cfg["stage_two_begin"], cfg["stage_two_warmup"], cfg["lambda_feat"])
    return {"loss_feats": weight * loss, "feats_not_weighted": loss.detach()}


def _depth_error(
    predicted: Float[Tensor, "V P"], truth: Float[Tensor, "V P"], cfg: Mapping[str, Any]
) -> Float[Tensor, "V P"]:
    if cfg["depth_loss_type"] == "l2":
        return (predicted - truth).square()
    return functional.smooth_l1_loss(predicted, truth, reduction="none", beta=cfg["depth_loss_l1_beta"])


_LOSSES: dict[str, Callable[[Outputs, TrainingItem, Mapping[str, Any]], dict[str, Tensor]]] = {
    "render": render_loss,
    "depth": depth_loss,
    "feat": feature_loss,
    "consist": consistency_loss,
}
