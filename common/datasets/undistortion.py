"""Lens distortion: where a lens puts a ray, and pictures taken with and without it.

A pinhole camera and a lens differ by a map of the plane z = 1 in camera axes (OpenCV: x right, y down):

    (x, y) = (X / Z, Y / Z)        where a pinhole sees the point
    (x', y') = distort(x, y)       where the lens puts it
    pixel = intrinsics (x', y', 1)

Undistorting keeps the intrinsics and the image size, so a view's camera stays what its file says; pixels that the
lens did not see are black. Formulas, with r^2 = x^2 + y^2 and theta = atan(r):

    opencv     x' = x (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6) + 2 p1 x y + p2 (r^2 + 2 x^2)
    fisheye    x' = x theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8) / r
    fov        x' = x atan(2 r tan(omega / 2)) / (r omega)
    thin_prism_fisheye (COLMAP's model 10)    (a, b) = (x, y) theta / r, s = theta^2 = a^2 + b^2,
               x' = a (1 + k1 s + k2 s^2 + k3 s^3 + k4 s^4) + 2 p1 a b + p2 (s + 2 a^2) + sx1 s
"""

import functools

import cv2
import numpy as np
from jaxtyping import Float, Shaped

from common.datasets.scene import Distortion, PixelOrigin

LARGEST_PIXEL = 1e6  # far outside every picture, and still exact in float32
BAND_ROWS = 128


def distort_points(points: Float[np.ndarray, "*batch 2"], lens: Distortion) -> Float[np.ndarray, "*batch 2"]:
    """Where the lens puts rays: both are (x, y) on the plane z = 1 of the camera.

    Raises:
        ValueError: The lens has more coefficients than its model takes, or they are not finite.
    """
    if not np.isfinite(lens.coefficients).all():
        raise ValueError(f"lens coefficients are not finite: {lens.coefficients}")
    if lens.model not in _MODELS:
        raise ValueError(f"unknown lens model '{lens.model}', expected one of {', '.join(_MODELS)}")
    distort, most = _MODELS[lens.model]
    if len(lens.coefficients) > most:
        raise ValueError(f"lens model '{lens.model}' takes {most} coefficients, got {len(lens.coefficients)}")
    coefficients = (*lens.coefficients, *(0.0,) * (most - len(lens.coefficients)))
    x, y = distort(points[..., 0], points[..., 1], *coefficients)
    return np.stack([x, y], axis=-1)


def undistort_points(
    points: Float[np.ndarray, "*batch 2"], lens: Distortion, num_steps: int = 30
) -> Float[np.ndarray, "*batch 2"]:
    """Inverse of `distort_points` by Newton steps with numerical derivatives; NaN where the lens has no such ray."""
    rays = np.array(points, dtype=np.float64)
    step_x, step_y = np.array([1e-6, 0.0]), np.array([0.0, 1e-6])
    with np.errstate(all="ignore"):
        for _ in range(num_steps):
            error = distort_points(rays, lens) - points
            dx = (distort_points(rays + step_x, lens) - distort_points(rays - step_x, lens)) / 2e-6
            dy = (distort_points(rays + step_y, lens) - distort_points(rays - step_y, lens)) / 2e-6
            determinant = dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0]
            move_x = (error[..., 0] * dy[..., 1] - error[..., 1] * dy[..., 0]) / determinant
            move_y = (error[..., 1] * dx[..., 0] - error[..., 0] * dx[..., 1]) / determinant
            rays = rays - np.stack([move_x, move_y], axis=-1)
        found = np.abs(distort_points(rays, lens) - points).max(axis=-1) < 1e-9
    return np.where(found[..., None], rays, np.nan)


def undistort_image(
    image: Shaped[np.ndarray, "H W *channels"],
    intrinsics: Float[np.ndarray, "3 3"],
    lens: Distortion | None,
    pixel_origin: PixelOrigin = "center",
    interpolation: int = cv2.INTER_LINEAR,
) -> Shaped[np.ndarray, "H W *channels"]:
    """The picture that a pinhole with the same intrinsics and size takes; 0 where the lens did not look.

    Args:
        image: Colour, mask or depth.
        intrinsics: Of the photograph, pixels.
        lens: None or one that is a pinhole returns the picture itself.
        pixel_origin: Where `intrinsics` puts the centre of the top-left pixel.
        interpolation: OpenCV's constant; `cv2.INTER_NEAREST` for masks and depth.
    """
    if lens is None or lens.is_zero:
        return image
    return _remap(image, _lens_map(image.shape[:2], _as_tuple(intrinsics), lens, pixel_origin), interpolation)


def distort_image(
    image: Shaped[np.ndarray, "H W *channels"],
    intrinsics: Float[np.ndarray, "3 3"],
    lens: Distortion | None,
    pixel_origin: PixelOrigin = "center",
    interpolation: int = cv2.INTER_LINEAR,
) -> Shaped[np.ndarray, "H W *channels"]:
    """The picture that a camera with this lens takes, from that of the pinhole; 0 where the pinhole picture ends."""
    if lens is None or lens.is_zero:
        return image
    rays = undistort_points(_rays_of_pixels(image.shape, intrinsics, pixel_origin), lens)
    return _remap(image, _to_pixels(rays, intrinsics, pixel_origin), interpolation)


def _distort_opencv(x, y, k1, k2, p1, p2, k3, k4, k5, k6):
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    radial = radial / (1 + square * (k4 + square * (k5 + square * k6)))
    tangential_x = 2 * p1 * x * y + p2 * (square + 2 * x * x)
    tangential_y = 2 * p2 * x * y + p1 * (square + 2 * y * y)
    return x * radial + tangential_x, y * radial + tangential_y


def _distort_fisheye(x, y, k1, k2, k3, k4):
    x, y = _equidistant(x, y)
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * (k3 + square * k4)))
    return x * radial, y * radial


def _distort_fov(x, y, omega):
    radius = np.maximum(np.hypot(x, y), 1e-12)
    factor = np.arctan(2 * radius * np.tan(omega / 2)) / (radius * omega) if omega else np.ones_like(radius)
    return x * factor, y * factor


def _distort_thin_prism_fisheye(x, y, k1, k2, p1, p2, k3, k4, sx1, sy1):
    x, y = _equidistant(x, y)
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * (k3 + square * k4)))
    tangential_x = 2 * p1 * x * y + p2 * (square + 2 * x * x) + sx1 * square
    tangential_y = 2 * p2 * x * y + p1 * (square + 2 * y * y) + sy1 * square
    return x * radial + tangential_x, y * radial + tangential_y


def _equidistant(x, y):
    radius = np.maximum(np.hypot(x, y), 1e-12)
    factor = np.arctan(radius) / radius
    return x * factor, y * factor


_MODELS = {
    "opencv": (_distort_opencv, 8),
    "fisheye": (_distort_fisheye, 4),
    "fov": (_distort_fov, 1),
    "thin_prism_fisheye": (_distort_thin_prism_fisheye, 8),
}


# The pictures of a capture share one lens; a map of 2 million pixels takes 16 MB and half a second.
@functools.lru_cache(maxsize=2)
def _lens_map(
    size: tuple[int, int], intrinsics: tuple[float, ...], lens: Distortion, origin: PixelOrigin
) -> Float[np.ndarray, "H W 2"]:
    """Array positions at which the lens put the rays of a pinhole's pixels."""
    H, W = size
    matrix = np.array(intrinsics).reshape(3, 3)
    pixels = np.empty((H, W, 2), np.float32)
    for top in range(0, H, BAND_ROWS):  # intermediate numbers of a whole large picture would take gigabytes
        band = pixels[top : top + BAND_ROWS]
        from_top = matrix - np.array([[0, 0, 0], [0, 0, top], [0, 0, 0]])
        band[:] = _to_pixels(distort_points(_rays_of_pixels(band.shape, from_top, origin), lens), matrix, origin)
    return pixels


def _as_tuple(intrinsics: Float[np.ndarray, "3 3"]) -> tuple[float, ...]:
    return tuple(intrinsics.ravel().tolist())


def _rays_of_pixels(shape: tuple[int, ...], intrinsics: np.ndarray, origin: PixelOrigin) -> Float[np.ndarray, "H W 2"]:
    """(x, y) on the plane z = 1 behind every pixel centre."""
    H, W = shape[:2]
    shift = 0.5 if origin == "corner" else 0.0
    columns, rows = np.meshgrid(np.arange(W) + shift, np.arange(H) + shift)
    y = (rows - intrinsics[1, 2]) / intrinsics[1, 1]
    x = (columns - intrinsics[0, 2] - intrinsics[0, 1] * y) / intrinsics[0, 0]
    return np.stack([x, y], axis=-1)


def _to_pixels(rays: np.ndarray, intrinsics: np.ndarray, origin: PixelOrigin) -> Float[np.ndarray, "H W 2"]:
    """Array positions of rays: the top-left pixel is (0, 0)."""
    shift = 0.5 if origin == "corner" else 0.0
    pixels = rays @ intrinsics[:2, :2].T + intrinsics[:2, 2] - shift
    return np.nan_to_num(pixels, nan=-LARGEST_PIXEL).clip(-LARGEST_PIXEL, LARGEST_PIXEL).astype(np.float32)


def _remap(image: np.ndarray, pixels: np.ndarray, interpolation: int) -> np.ndarray:
    source = image.astype(np.uint8) if image.dtype == bool else image
    return cv2.remap(source, pixels, None, interpolation, borderMode=cv2.BORDER_CONSTANT).astype(image.dtype)
