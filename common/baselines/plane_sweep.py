"""Plane sweep for a view that has no photograph: which depth makes the source photographs agree?

    H_s(d) = K_s (R + t n^T / d) K_t^-1        source pixel of a target pixel on the plane z = d; n = (0, 0, 1)
    C(p, d) = a (1 - ZNCC) + b min(|difference of colour|, c)      of each pair of warped sources, over small windows

(R, t) maps the target's camera axes to the source's. Plane-induced homographies: Hartley and Zisserman, "Multiple View
Geometry", Eq. (13.2). A pair counts where both sources see the point; before that is known, the best pairs of each
pixel are averaged (Kang, Szeliski, Chai, "Handling Occlusions in Dense Multi-view Stereo", CVPR 2001).
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
        best_pairs: Fraction of pairs averaged while visibility is unknown.
        unknown: Cost where fewer than two sources see the point: worse than a match, better than a contradiction.
        smooth_radius, smooth_epsilon: Of the guided filter over each plane's costs.
    """

    window: int = 3
    zncc: float = 0.5
    color: float = 0.5
    color_limit: float = 0.15
    noise: float = 0.01
    best_pairs: float = 0.6
    best_seen_pairs: float = 1.0
    unknown: float = 0.5
    smooth_radius: int = 4
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
    guide: Float[np.ndarray, "H W"] | None = None,
    seen_depths: Sequence[Float[np.ndarray, "_ _"]] | None = None,
    tolerance: float = 0.02,
) -> Float[np.ndarray, "H W D"]:
    """Cost of every disparity at every target pixel; lower is better.

    Args:
        target: The view to render.
        sources: At least two, at about the target's resolution.
        disparities: 1 / depth of the planes.
        settings: How windows are compared.
        guide: Grey picture of the target for the guided filter; None takes the mean of the warped sources.
        seen_depths: For each source the depth of what it sees, per pixel; None while that is unknown.
        tolerance: A source sees a point that lies at most this fraction behind what it sees.
    """
    costs = np.empty((target.height, target.width, len(disparities)), np.float32)
    size = (target.width, target.height)
    for index, disparity in enumerate(disparities):
        homographies = [plane_homography(target, source, 1 / disparity) for source in sources]
        warped = [_warp(_with_alpha(s.image), h, size) for s, h in zip(sources, homographies, strict=True)]
        images, seen = [w[..., :3] for w in warped], [(w[..., 3] > 0.99).astype(np.float32) for w in warped]
        if seen_depths is not None:
            for mask, depth, homography in zip(seen, seen_depths, homographies, strict=True):
                mask *= _sees(depth, homography, 1 / disparity, size, tolerance)
        grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
        best = settings.best_pairs if seen_depths is None else settings.best_seen_pairs
        cost = _combined(_pair_costs(images, grey, settings), seen, best, settings.unknown)
        plane_guide = sum(grey) / np.float32(len(grey)) if guide is None else guide
        costs[..., index] = guided_filter(plane_guide, cost, settings.smooth_radius, settings.smooth_epsilon)
    return costs


def _pair_costs(
    images: Sequence[np.ndarray], grey: Sequence[np.ndarray], settings: MatchingSettings
) -> list[Float[np.ndarray, "H W"]]:
    window = settings.window
    means = [box_mean(g, window) for g in grey]
    variances = [np.maximum(box_mean(g * g, window) - m * m, 0) for g, m in zip(grey, means, strict=True)]
    costs = []
    for i, j in itertools.combinations(range(len(images)), 2):
        covariance = box_mean(grey[i] * grey[j], window) - means[i] * means[j]
        floor = settings.noise**2
        correlation = covariance / np.sqrt((variances[i] + floor) * (variances[j] + floor))
        difference = cv2.transform(cv2.absdiff(images[i], images[j]), _MEAN_OF_CHANNELS)
        color = box_mean(np.minimum(difference, settings.color_limit), window) / settings.color_limit
        costs.append(settings.zncc * np.minimum(1 - correlation, 1) + settings.color * color)
    return costs


def _combined(
    costs: Sequence[Float[np.ndarray, "H W"]], seen: Sequence[np.ndarray], best: float, unknown: float
) -> Float[np.ndarray, "H W"]:
    """Mean over the cheapest fraction `best` of the pairs whose two sources see the pixel; `unknown` without a pair."""
    both = [a * b for a, b in itertools.combinations(seen, 2)]
    used = np.ceil(best * np.sum(both, axis=0, dtype=np.float32) - 1e-3)
    ordered = _sorted([np.where(mask > 0, cost, _NEVER) for mask, cost in zip(both, costs, strict=True)])
    chosen = np.sum([np.where(rank < used, cost, 0) for rank, cost in enumerate(ordered)], axis=0, dtype=np.float32)
    return np.where(used > 0, chosen / np.maximum(used, 1), np.float32(unknown))


def _sorted(values: list[Float[np.ndarray, "H W"]]) -> list[Float[np.ndarray, "H W"]]:
    """Element-wise ascending; exchanging whole pictures is many times faster than sorting short columns."""
    values = list(values)
    for end in range(len(values) - 1, 0, -1):
        for index in range(end):
            pair = values[index], values[index + 1]
            values[index], values[index + 1] = np.minimum(*pair), np.maximum(*pair)
    return values


def _with_alpha(image: Float[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W 4"]:
    return np.dstack([image, np.ones(image.shape[:2], np.float32)])


def _warp(image: np.ndarray, homography: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture seen from the target through a plane; all channels 0 outside it."""
    return cv2.warpPerspective(image, homography, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def _sees(
    seen_depth: Float[np.ndarray, "_ _"], homography: np.ndarray, depth: float, size: tuple[int, int], tolerance: float
) -> Float[np.ndarray, "H W"]:
    """1 where the point at `depth` is not behind what the source sees."""
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    surface = cv2.warpPerspective(seen_depth, homography, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    own_depth = depth * (homography[2, 0] * x + homography[2, 1] * y + homography[2, 2])
    return (own_depth <= surface * (1 + tolerance)).astype(np.float32)
