"""Object masks: grey, RGB or RGBA pictures that are rarely binary, so every reader names its threshold."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool

from common.io.images import read_pixels, write_pixels


def read_mask(path: str | Path, threshold: int = 0, inverted: bool = False) -> Bool[np.ndarray, "H W"]:
    """Pixels that belong to the object.

    Args:
        path: The file.
        threshold: A pixel belongs to the object where any channel (of four: the alpha alone) is above it, out of 255.
        inverted: The file marks what to ignore; the result is True elsewhere.

    Raises:
        FileNotFoundError, ValueError: As `common.io.images.read_pixels`.
    """
    pixels = read_pixels(path)
    limit = threshold if pixels.dtype == np.uint8 else 257 * threshold
    if pixels.ndim == 3:
        pixels = pixels[..., 3] if pixels.shape[-1] == 4 else pixels.max(axis=-1)
    return (pixels > limit) != inverted


def write_mask(path: str | Path, mask: Bool[np.ndarray, "H W"]) -> None:
    """Write 255 where the mask is True and 0 elsewhere."""
    write_pixels(path, np.where(mask, np.uint8(255), np.uint8(0)))
