"""Distances between a rendered picture and the photograph it should equal.

    PSNR = 10 log10(1 / MSE)                                              pictures in [0, 1]
    SSIM = mean (2 m_a m_b + C1)(2 s_ab + C2) / ((m_a^2 + m_b^2 + C1)(s_a^2 + s_b^2 + C2))
           C1 = (0.01 L)^2, C2 = (0.03 L)^2, L the data range; Wang et al., IEEE TIP 2004

These are the bare formulas. The papers crop, mask, clip and choose windows differently; `common/metrics/protocols.py`
has each of their recipes by name.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter, uniform_filter


def psnr(
    prediction: Float[np.ndarray, "H W 3"],
    truth: Float[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"] | None = None,
) -> float:
    """Peak signal-to-noise ratio in dB for pictures in [0, 1]; infinite for equal pictures.

    Args:
        prediction: In [0, 1].
        truth: In [0, 1].
        mask: Pixels that count; None for all.

    Raises:
        ValueError: The mask leaves no pixel.
    """
    difference = prediction.astype(np.float64) - truth.astype(np.float64)
    if mask is not None:
        if not mask.any():
            raise ValueError("PSNR needs at least one pixel inside the mask, but the mask is empty")
        difference = difference[mask]
    error = float(np.mean(difference**2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def ssim(
    prediction: Float[np.ndarray, "H W 3"],
    truth: Float[np.ndarray, "H W 3"],
    data_range: float = 1.0,
    window: int = 7,
    sigma: float | None = None,
) -> float:
    """Structural similarity, at most 1: per channel, mean over channels and over all positions where the window fits.

    Args:
        prediction: The picture.
        truth: What it should be.
        data_range: L of the formula. Float pictures in [0, 1] have 1; some papers used 2.
        window: Side of the window in pixels, odd.
        sigma: None for a uniform window with sample covariances (N / (N - 1)); otherwise a Gaussian of this deviation
            in pixels with uncorrected ones, as in the original paper.

    Raises:
        ValueError: The pictures are smaller than the window.
    """
    height, width = truth.shape[:2]
    if min(height, width) < window:
        raise ValueError(f"SSIM with a window of {window} pixels needs larger pictures than {width} x {height}")

    def mean(values: np.ndarray) -> np.ndarray:
        if sigma is None:
            return uniform_filter(values, size=(window, window, 1))
        return gaussian_filter(values, sigma=(sigma, sigma, 0), radius=(window // 2, window // 2, 0))

    a, b = prediction.astype(np.float64), truth.astype(np.float64)
    correction = window**2 / (window**2 - 1) if sigma is None else 1.0
    mean_a, mean_b = mean(a), mean(b)
    variance_a = correction * (mean(a * a) - mean_a * mean_a)
    variance_b = correction * (mean(b * b) - mean_b * mean_b)
    covariance = correction * (mean(a * b) - mean_a * mean_b)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    similarity /= (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    edge = window // 2
    return float(similarity[edge : height - edge, edge : width - edge].mean())
