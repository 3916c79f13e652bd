"""Plane sweep for a view, with or without a photograph of its own: which depth makes the photographs agree?

    H_s(d) = K_s (R + t n^T / d) K_t^-1        source pixel of a target pixel on the plane z = d; n = (0, 0, 1)
    C(p, d) = a (1 - ZNCC) + b min(|difference of colour|, c)      of each pair of warped sources, over small windows

(R, t) maps the target's camera axes to the source's. Plane-induced homographies: Hartley and Zisserman, "Multiple View
Geometry", Eq. (13.2). A pair counts where both pictures contain the point; because some may be hidden, the best
pairs of each pixel are averaged (Kang, Szeliski, Chai, "Handling Occlusions in Dense Multi-view Stereo", CVPR 2001).
Where the view has a photograph, only pairs with it tell what it shows.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from common.baselines.cost_aggregation import box_mean, guided_filter
from common.baselines.source_views import PosedImage, TargetView

_MEAN_OF_CHANNELS = np.full((1, 3), 1 / 3, np.float32)
_NEVER = np.float32(1e9)


@dataclass(frozen=True)
class MatchingSettings:
    """How two warped photographs are compared.

    Attributes:
        window: Radius of the matching windows in pixels.
        zncc: Weight a of one minus the zero-mean normalised cross-correlation, which is cut off at 1.
        color: Weight b of the mean absolute colour difference.
        color_limit: The difference c above which a colour is simply wrong.
        noise: Standard deviation of grey values below which a window has no texture to correlate.
        best_pairs: Fraction of pairs that are averaged, the cheapest ones.
        unknown: Cost where fewer than two pictures contain the point: worse than a match, better than a contradiction.
        smooth_radius, smooth_epsilon: Of the guided filter over each plane's costs.
    """

    window: int = 3
    zncc: float = 0.5
    color: float = 0.5
    color_limit: float = 0.15
    noise: float = 0.01
    best_pairs: float = 0.6
    unknown: float = 0.6
    smooth_radius: int = 6
    smooth_epsilon: float = 1e-3


def plane_homography(target: TargetView, source: PosedImage, depth: float) -> Float[np.ndarray, "3 3"]:
    """H_s(d): maps target pixels to source pixels times their depth in the source divided by `depth`."""
    relative = source.world_to_cam @ np.linalg.inv(target.world_to_cam)
    plane = relative[:3, :3].copy()
    plane[:, 2] += relative[:3, 3] / depth
    return source.intrinsics @ plane @ np.linalg.inv(target.intrinsics)


def matching_costs(
    target: TargetView,
    sources: Sequence[PosedImage],
    disparities: Float[np.ndarray, " D"],
    settings: MatchingSettings,
    own_photograph: bool = False,
) -> Float[np.ndarray, "H W D"]:
    """Cost of every disparity at every target pixel; lower is better.

    Args:
        target: The view to render.
        sources: At least two, at about the target's resolution.
        disparities: 1 / depth of the planes.
        settings: How windows are compared.
        own_photograph: The first source is the target's own photograph.
    """
    pairs = list(itertools.combinations(range(len(sources)), 2))
    if own_photograph:
        pairs = pairs[: len(sources) - 1]  # those with the first one
    costs = np.empty((target.height, target.width, len(disparities)), np.float32)
    for index, disparity in enumerate(disparities):
        warped = [_warped(target, source, 1 / disparity) for source in sources]
        images, seen = [w[..., :3] for w in warped], [(w[..., 3] > 0.99).astype(np.float32) for w in warped]
        grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
        cost = _combined(_pair_costs(images, grey, pairs, settings), [seen[i] * seen[j] for i, j in pairs], settings)
        guide = grey[0] if own_photograph else sum(grey) / np.float32(len(grey))
        costs[..., index] = guided_filter(guide, cost, settings.smooth_radius, settings.smooth_epsilon)
    return costs


def _warped(target: TargetView, source: PosedImage, depth: float) -> Float[np.ndarray, "H W 4"]:
    """The picture seen from the target through a plane; the fourth channel is 1 inside it, all are 0 outside."""
    opaque = np.dstack([source.image, np.ones(source.image.shape[:2], np.float32)])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(
        opaque, plane_homography(target, source, depth), (target.width, target.height), flags=flags
    )


def _pair_costs(
    images: Sequence[np.ndarray],
    grey: Sequence[np.ndarray],
    pairs: Sequence[tuple[int, int]],
    settings: MatchingSettings,
) -> list[Float[np.ndarray, "H W"]]:
    window = settings.window
    means = [box_mean(g, window) for g in grey]
    variances = [np.maximum(box_mean(g * g, window) - m * m, 0) for g, m in zip(grey, means, strict=True)]
    costs = []
    for i, j in pairs:
        covariance = box_mean(grey[i] * grey[j], window) - means[i] * means[j]
        floor = settings.noise**2
        correlation = covariance / np.sqrt((variances[i] + floor) * (variances[j] + floor))
        difference = cv2.transform(cv2.absdiff(images[i], images[j]), _MEAN_OF_CHANNELS)
        color = box_mean(np.minimum(difference, settings.color_limit), window) / settings.color_limit
        costs.append(settings.zncc * np.minimum(1 - correlation, 1) + settings.color * color)
    return costs


def _combined(
    costs: Sequence[Float[np.ndarray, "H W"]], both: Sequence[np.ndarray], settings: MatchingSettings
) -> Float[np.ndarray, "H W"]:
    """Mean over the best of the pairs whose two sources have the pixel in their picture (`both` is 1 there)."""
    used = np.ceil(settings.best_pairs * np.sum(both, axis=0, dtype=np.float32) - 1e-3)
    ordered = _sorted([np.where(mask > 0, cost, _NEVER) for mask, cost in zip(both, costs, strict=True)])
    chosen = np.sum([np.where(rank < used, cost, 0) for rank, cost in enumerate(ordered)], axis=0, dtype=np.float32)
    return np.where(used > 0, chosen / np.maximum(used, 1), np.float32(settings.unknown))


def _sorted(values: list[Float[np.ndarray, "H W"]]) -> list[Float[np.ndarray, "H W"]]:
    """Element-wise ascending; exchanging whole pictures is many times faster than sorting short columns."""
    values = list(values)
    for end in range(len(values) - 1, 0, -1):
        for index in range(end):
            pair = values[index], values[index + 1]
            values[index], values[index + 1] = np.minimum(*pair), np.maximum(*pair)
    return values
