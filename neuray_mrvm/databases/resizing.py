"""How NeuRay reduces pictures: a Gaussian blur that fits the ratio, then bilinear interpolation (spec 3.2)."""

import math

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8


def blurred(image: UInt8[np.ndarray, "H W 3"], ratio: float) -> UInt8[np.ndarray, "H W 3"]:
    """The picture blurred for a reduction by `ratio`: sigma = 1 / (3 ratio), OpenCV's border reflect-101."""
    sigma = 1.0 / (3.0 * ratio)
    size = math.ceil(((sigma - 0.8) / 0.3 + 1.0) * 2.0 + 1.0)
    size = max(size + (size % 2 == 0), 1)  # at ratios above about 1 the rule asks for less than one pixel
    return cv2.GaussianBlur(image, (size, size), sigma, borderType=cv2.BORDER_REFLECT101)


def resized(image: UInt8[np.ndarray, "H W 3"], ratio: float) -> UInt8[np.ndarray, "h w 3"]:
    """The picture at `ratio` times its size, blurred first."""
    if ratio == 1.0:
        return image
    height, width = image.shape[:2]
    return cv2.resize(blurred(image, ratio), (round(width * ratio), round(height * ratio)))


def nearest(values: Shaped[np.ndarray, "H W"], size: tuple[int, int]) -> Shaped[np.ndarray, "h w"]:
    """Depths or a mask at (width, height), every value one of the stored ones."""
    if values.shape[1::-1] == tuple(size):
        return values
    small = cv2.resize(
        values.astype(np.uint8) if values.dtype == bool else values, size, interpolation=cv2.INTER_NEAREST
    )
    return small.astype(values.dtype)
