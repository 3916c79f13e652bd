"""Pictures of numbers: depth in colours, errors in colours, pictures side by side. All uint8 RGB."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

_COLORMAPS = {"turbo": cv2.COLORMAP_TURBO, "jet": cv2.COLORMAP_JET, "inferno": cv2.COLORMAP_INFERNO}


def to_uint8(rgb: Float[np.ndarray, "*batch"]) -> UInt8[np.ndarray, "*batch"]:
    """Values in [0, 1] as 8 bits: limited to the range, then truncated, as all five papers write pictures."""
    return (255 * np.nan_to_num(rgb).clip(0, 1)).astype(np.uint8)


def apply_colormap(values: Float[np.ndarray, "H W"], colormap: str = "turbo") -> UInt8[np.ndarray, "H W 3"]:
    """RGB for values in [0, 1]; values outside take the end colours.

    Raises:
        ValueError: Unknown colour map.
    """
    if colormap not in _COLORMAPS:
        raise ValueError(f"no colour map {colormap!r}; choose one of {', '.join(_COLORMAPS)}")
    return np.ascontiguousarray(cv2.applyColorMap(to_uint8(values), _COLORMAPS[colormap])[..., ::-1])


def colorize_depth(
    depth: Float[np.ndarray, "H W"], near_far: tuple[float, float] | None = None, colormap: str = "turbo"
) -> UInt8[np.ndarray, "H W 3"]:
    """Depth as colours from near to far; unknown depth (not positive or not finite) is black.

    Args:
        depth: z, any unit.
        near_far: What the ends of the colour map mean; None for the 2nd and 98th percentile of the known depths.
        colormap: See `apply_colormap`.
    """
    known = np.isfinite(depth) & (depth > 0)
    if not known.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    near, far = np.percentile(depth[known], (2, 98)) if near_far is None else near_far
    colors = apply_colormap((depth - near) / max(far - near, 1e-8), colormap)
    colors[~known] = 0
    return colors


def error_map(
    prediction: Float[np.ndarray, "H W 3"], truth: Float[np.ndarray, "H W 3"], largest: float = 0.3
) -> UInt8[np.ndarray, "H W 3"]:
    """Mean absolute colour error per pixel, black for 0, brightest from `largest` on (values in [0, 1])."""
    return apply_colormap(np.abs(prediction - truth).mean(axis=-1) / largest, "inferno")


def side_by_side(
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]], labels: Sequence[str] = (), gap: int = 0
) -> UInt8[np.ndarray, "H W 3"]:
    """One strip, left to right; pictures of other heights are resized to the first one's.

    Args:
        pictures: Any heights and widths.
        labels: Written in the upper left corner of each picture; none or one per picture.
        gap: White columns between pictures.

    Raises:
        ValueError: No picture, or another number of labels.
    """
    if not pictures or len(labels) not in (0, len(pictures)):
        raise ValueError(f"a strip needs pictures and a label for each or none, got {len(pictures)} and {len(labels)}")
    height = pictures[0].shape[0]
    pieces = []
    for index, picture in enumerate(pictures):
        if picture.shape[0] != height:
            width = max(1, round(picture.shape[1] * height / picture.shape[0]))
            picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        pieces.append(_labelled(picture, labels[index]) if labels else picture)
        pieces.append(np.full((height, gap, 3), 255, np.uint8))
    return np.concatenate(pieces[:-1], axis=1)


def _labelled(picture: np.ndarray, text: str) -> np.ndarray:
    picture = np.ascontiguousarray(picture).copy()
    scale = max(0.35, picture.shape[0] / 700)
    thickness = max(1, round(1.4 * scale))
    corner = (round(10 * scale), round(28 * scale))
    cv2.putText(picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 3 * thickness, cv2.LINE_AA)
    cv2.putText(picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), thickness, cv2.LINE_AA)
    return picture
