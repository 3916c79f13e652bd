"""Wrong depths and wrong depth ranges for training, so that the network learns to doubt them (spec 3.6 steps 5, 6)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from neuray_mrvm.view_batch import ViewBatch

KNOWN = (1e-3, 1e4)  # depths that count as known
SLACK_MAX, SLACK_MIN = 1.1, 0.9  # around the depths that a shrunk range must hold
WIDENING_PROB, WIDENING = 0.8, (0.025, 0.1)
SMALL_REGION, SMALL_OFFSET, SMALL_LOCAL = (0.1, 0.2), (0.01, 0.05), 0.005
GLOBAL_NOISE = 0.005


def object_ranges(
    ranges: Float[Tensor, "n 2"],
    depth: Float[Tensor, "n 1 h w"] | None,
    masks: Float[Tensor, "n 1 h w"] | None,
    cfg: Mapping[str, Any],
    generator: np.random.Generator,
) -> Float[Tensor, "n 2"]:
    """Depth ranges of views of an object, now and then shrunk towards its true depths and widened.

    Args:
        ranges: Near and far.
        depth: True depth; None only widens.
        masks: Where the object is.
        cfg: `aug_gso_shrink_range_prob`.
        generator: Of the random numbers.
    """
    near, far = ranges.unbind(dim=1)
    if generator.random() < cfg["aug_gso_shrink_range_prob"] and depth is not None:
        known = (masks > 0) & (depth > KNOWN[0]) & (depth < KNOWN[1])
        seen = known.flatten(1).any(dim=1)
        if seen.any():
            deepest = torch.where(known, depth, 0.0).flatten(1).amax(dim=1)[seen]
            closest = torch.where(known, depth, torch.inf).flatten(1).amin(dim=1)[seen]
            far_ratio = float((SLACK_MAX * deepest / far[seen]).max())
            near_ratio = float((near[seen] / (SLACK_MIN * closest)).max())
            far = far * generator.uniform(far_ratio, 1) if far_ratio < 1 else far
            near = near / generator.uniform(near_ratio, 1) if near_ratio < 1 else near
    if generator.random() < WIDENING_PROB:
        near = near * (1 - generator.uniform(*WIDENING))
        far = far * (1 + generator.uniform(*WIDENING))
    return torch.stack([near, far], dim=1)


def widened_ranges(
    ranges: Float[Tensor, "n 2"], cfg: Mapping[str, Any], generator: np.random.Generator
) -> Float[Tensor, "n 2"]:
    """Depth ranges of other scenes, rarely a little wider."""
    if generator.random() >= cfg["aug_depth_range_prob"]:
        return ranges
    low = generator.uniform(cfg["aug_depth_range_min"], 1)
    high = generator.uniform(1, cfg["aug_depth_range_max"])
    return ranges * torch.tensor([low, high], dtype=ranges.dtype)


def with_noisy_depth(views: ViewBatch, cfg: Mapping[str, Any], generator: np.random.Generator) -> ViewBatch:
    """The views with their depth as `true_depth` and a disturbed copy as `depth`.

    Args:
        views: With true depth and masks.
        cfg: The settings `aug_depth_*` and `aug_global_noise_*`.
        generator: Of the random numbers.
    """
    length = (views.depth_range[:, 1] - views.depth_range[:, 0]).tolist()
    noisy = []
    for depth, mask, unit in zip(views.depth[:, 0].numpy(), views.masks[:, 0].numpy() > 0, length, strict=True):
        noise = np.zeros_like(depth)
        if cfg["aug_use_depth_offset"] and generator.random() < cfg["aug_depth_offset_prob"]:
            region = (cfg["aug_depth_offset_region_min"], cfg["aug_depth_offset_region_max"])
            offset = (cfg["aug_depth_offset_min"], cfg["aug_depth_offset_max"])
            noise += _patch(mask, region, offset, cfg["aug_depth_offset_local"], generator)
        if cfg["aug_use_depth_small_offset"] and generator.random() < cfg["aug_depth_small_offset_prob"]:
            noise += _patch(mask, SMALL_REGION, SMALL_OFFSET, SMALL_LOCAL, generator)
        if cfg["aug_use_global_noise"] and generator.random() < cfg["aug_global_noise_prob"]:
            noise += generator.uniform(-GLOBAL_NOISE, GLOBAL_NOISE, depth.shape).astype(np.float32)
        noisy.append(depth + np.float32(unit) * noise)
    return replace(views, true_depth=views.depth, depth=torch.from_numpy(np.stack(noisy))[:, None])


def _patch(
    mask: Bool[np.ndarray, "H W"],
    region: tuple[float, float],
    offset: tuple[float, float],
    local: float,
    generator: np.random.Generator,
) -> Float[np.ndarray, "H W"]:
    """A rectangle of the object moved along the rays, in lengths of the depth range.

    Args:
        mask: The object.
        region: Half sizes as shares of the object's extent.
        offset: How far, forwards or backwards.
        local: How much single pixels differ from it.
        generator: Of the random numbers.
    """
    noise = np.zeros(mask.shape, np.float32)
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return noise
    center = generator.integers(len(rows))
    half_x = generator.uniform(*region) * np.ptp(columns)
    half_y = generator.uniform(*region) * np.ptp(rows)
    inside = (np.abs(columns - columns[center]) <= half_x) & (np.abs(rows - rows[center]) <= half_y)
    moved = generator.choice([-1.0, 1.0]) * generator.uniform(*offset)
    noise[rows[inside], columns[inside]] = moved + generator.uniform(-local, local, inside.sum())
    return noise
