"""Depth maps as the paper shows them."""

import numpy as np
from jaxtyping import Float, UInt8

from common.visualization import apply_colormap


def depth_colors(
    depth: Float[np.ndarray, "H W"], near_far: tuple[float, float] | None = None
) -> UInt8[np.ndarray, "H W 3"]:
    """OpenCV's JET over a depth range, near blue (spec 8).

    A depth outside the range begins again at the other end, because the paper does not clip; one that is no finite
    number counts as 0.

    Args:
        depth: In scene units.
        near_far: The range; None for the smallest positive and the largest depth.
    """
    depth = np.nan_to_num(depth, posinf=0.0, neginf=0.0)
    near, far = near_far or automatic_range(depth)
    levels = np.mod(np.trunc((depth - near) / (far - near + 1e-8) * 255), 256)
    return apply_colormap((levels / 255).astype(np.float32), "jet")


def automatic_range(depth: Float[np.ndarray, "H W"]) -> tuple[float, float]:
    """The smallest positive and the largest depth; (0, 1) where no depth is positive."""
    known = depth[depth > 0]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
