"""Source colours carried to a target view through its depth map, with visibility.

A source sees a target point unless the target's own surface, splatted into the source, lies in front of it. Sources are
weighted by the angle between their ray and the target's (Buehler et al., "Unstructured Lumigraph Rendering", SIGGRAPH
2001), less near the border of their picture, and less where they disagree with the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from common.baselines.source_views import PosedImage, TargetView

_HIDDEN, _OUTSIDE = 0.02, 1e-4  # weights that only matter where no source sees the point


@dataclass(frozen=True)
class BlendingSettings:
    """How colours are weighted.

    Attributes:
        angle: Degrees at which a source's weight has fallen to 1/e.
        tolerance: A source sees a point that lies at most this fraction behind what it sees.
        border: Pixels over which a source fades in from its border.
        agreement: Colour distance from the mean at which a source's weight is halved.
    """

    angle: float = 10.0
    tolerance: float = 0.05
    border: float = 8.0
    agreement: float = 0.3


def depth_to_points(
    target: TargetView, depth: Float[np.ndarray, "h W"], first_row: int = 0
) -> Float[np.ndarray, "h W 3"]:
    """World points behind the pixels of some rows of the target."""
    y, x = np.mgrid[first_row : first_row + len(depth), : target.width].astype(np.float64)
    points_cam = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(target.intrinsics).T * depth[..., None]
    return (points_cam - target.world_to_cam[:3, 3]) @ target.world_to_cam[:3, :3]


def splatted_depth(target: TargetView, depth: Float[np.ndarray, "H W"], source: PosedImage) -> Float[np.ndarray, "_ _"]:
    """What the source sees of the target's surface: the smallest depth that falls on each pixel, huge without one."""
    x, y, z = _projected(depth_to_points(target, depth), source)
    H, W = source.image.shape[:2]
    buffer = np.full(H * W, 1e9, np.float32)
    for step_x in (0, 1):
        for step_y in (0, 1):  # all four neighbours, so that a surface seen closer than from the target has no holes
            column, row = np.floor(x).astype(np.int64) + step_x, np.floor(y).astype(np.int64) + step_y
            inside = (column >= 0) & (column < W) & (row >= 0) & (row < H) & (z > 0)
            np.minimum.at(buffer, (row * W + column)[inside], z[inside].astype(np.float32))
    return buffer.reshape(H, W)


def blend(
    target: TargetView,
    depth: Float[np.ndarray, "h W"],
    sources: Sequence[PosedImage],
    seen_depths: Sequence[Float[np.ndarray, "_ _"]],
    settings: BlendingSettings,
    first_row: int = 0,
) -> Float[np.ndarray, "h W 3"]:
    """Colours of some rows of the target.

    Args:
        target: The view.
        depth: Of these rows.
        sources: The photographs.
        seen_depths: For each source what it sees, over its whole picture at any resolution.
        settings: The weights.
        first_row: Which row of the target the first row of `depth` is.
    """
    points = depth_to_points(target, depth, first_row)
    target_center = -target.world_to_cam[:3, :3].T @ target.world_to_cam[:3, 3]
    to_target = _unit(points - target_center)
    colors, weights = [], []
    for source, seen in zip(sources, seen_depths, strict=True):
        x, y, z = _projected(points, source)
        colors.append(_sampled(source.image, x, y, cv2.INTER_CUBIC).clip(0, 1))
        angle = np.degrees(np.arccos(np.clip((to_target * _unit(points - source.center)).sum(axis=-1), -1, 1)))
        weights.append(np.exp(-angle / settings.angle) * _visibility(source, x, y, z, seen, settings))
    return _agreed(np.stack(colors), np.stack(weights).astype(np.float32), settings.agreement)


def _visibility(
    source: PosedImage, x: np.ndarray, y: np.ndarray, z: np.ndarray, seen: np.ndarray, settings: BlendingSettings
) -> Float[np.ndarray, "h W"]:
    H, W = source.image.shape[:2]
    to_border = np.minimum(np.minimum(x, W - 1 - x), np.minimum(y, H - 1 - y))
    fade = np.clip((to_border + 1) / settings.border, 0.02, 1)
    inside = np.where((to_border >= -0.5) & (z > 0), fade, _OUTSIDE)
    scale_x, scale_y = seen.shape[1] / W, seen.shape[0] / H
    surface = _sampled(seen, (x + 0.5) * scale_x - 0.5, (y + 0.5) * scale_y - 0.5, cv2.INTER_NEAREST)
    return inside * np.where(z <= surface * (1 + settings.tolerance), 1.0, _HIDDEN)


def _agreed(
    colors: Float[np.ndarray, "S h W 3"], weights: Float[np.ndarray, "S h W"], agreement: float
) -> Float[np.ndarray, "h W 3"]:
    """Weighted mean with the weight of a source reduced by its distance from the mean (two Cauchy steps)."""
    mean = (colors * (weights / weights.sum(axis=0))[..., None]).sum(axis=0)
    for _ in range(2):
        distance = np.abs(colors - mean).mean(axis=-1)
        robust = weights / (1 + (distance / agreement) ** 2)
        mean = (colors * (robust / robust.sum(axis=0))[..., None]).sum(axis=0)
    return mean.astype(np.float32)


def _projected(points: Float[np.ndarray, "h W 3"], source: PosedImage) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    points_cam = points @ source.world_to_cam[:3, :3].T + source.world_to_cam[:3, 3]
    homogeneous = points_cam @ source.intrinsics.T
    depth = homogeneous[..., 2]
    safe = np.maximum(depth, 1e-9)
    return homogeneous[..., 0] / safe, homogeneous[..., 1] / safe, depth


def _sampled(image: np.ndarray, x: np.ndarray, y: np.ndarray, interpolation: int) -> np.ndarray:
    limit = 1e6  # a point near the source's image plane lands nowhere useful, but must stay a number OpenCV can use
    columns, rows = (np.clip(values, -limit, limit).astype(np.float32) for values in (x, y))
    return cv2.remap(image, columns, rows, interpolation, borderMode=cv2.BORDER_REPLICATE)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
