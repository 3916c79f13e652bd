"""Colours that things have: single ones, palettes and gradients. sRGB in [0, 1]."""

import cv2
import numpy as np
from jaxtyping import Float

EARTH = (8.0, 42.0)  # hues of wood, clay and brick
PLANTS = (0.0, 115.0)  # hues of fruit and leaves


def random_color(
    rng: np.random.Generator,
    saturation: tuple[float, float] | None = None,
    value: tuple[float, float] = (0.2, 0.92),
    hue: tuple[float, float] = (0.0, 360.0),
) -> Float[np.ndarray, "3"]:
    """An sRGB colour. Without a saturation it is one that things have: earth and wood, muted, seldom vivid."""
    degrees = rng.uniform(*hue)
    if saturation is None:
        kind = rng.random()
        degrees = rng.normal(32, 14) % 360 if kind < 0.4 else degrees
        saturation = (
            (0.15, 0.6) if kind < 0.4 else (0.0, 0.12) if kind < 0.55 else (0.2, 0.6) if kind < 0.9 else (0.55, 0.85)
        )
    hsv = np.array([[[degrees, rng.uniform(*saturation), rng.uniform(*value)]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float64)


def palette(rng: np.random.Generator, count: int) -> Float[np.ndarray, "count 3"]:
    """Colours that differ from each other in lightness, in random order."""
    values = rng.permutation(np.linspace(rng.uniform(0.12, 0.35), rng.uniform(0.7, 0.95), count))
    return np.array([random_color(rng, value=(value, value)) for value in values])


def ramp(field: Float[np.ndarray, "H W"], colors: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "H W 3"]:
    """Colours looked up along a gradient."""
    at = np.linspace(0, 1, len(colors))
    return np.stack([np.interp(field, at, colors[:, k]) for k in range(3)], axis=-1)
