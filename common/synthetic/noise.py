"""Tileable random fields with a chosen spectrum, from which textures and displacements are made."""

import numpy as np
from jaxtyping import Float


def noise_field(
    rng: np.random.Generator, size: int, slope: float = 1.5, lowest: float = 1.0, highest: float = 1e9
) -> Float[np.ndarray, "size size"]:
    """A tileable field in [0, 1] with amplitude ~ 1 / frequency^slope between two frequencies (cycles per tile)."""
    fy = np.fft.fftfreq(size)[:, None] * size
    fx = np.fft.rfftfreq(size)[None] * size
    frequency = np.hypot(fx, fy)
    amplitude = np.where((frequency >= lowest) & (frequency <= highest), 1.0 / np.maximum(frequency, 1.0) ** slope, 0.0)
    spectrum = amplitude * np.exp(2j * np.pi * rng.random(amplitude.shape))
    field = np.fft.irfft2(spectrum, s=(size, size))
    low, high = np.quantile(field, [0.01, 0.99])
    return np.clip((field - low) / max(high - low, 1e-12), 0.0, 1.0).astype(np.float32)


def sphere_noise(
    rng: np.random.Generator, directions: Float[np.ndarray, "P 3"], octaves: int, frequency: float
) -> Float[np.ndarray, " P"]:
    """Smooth noise on points, roughly in [-1, 1]: random waves, each octave half as high and twice as dense."""
    value = np.zeros(len(directions))
    for octave in range(octaves):
        waves = rng.normal(size=(7, 3)) * frequency * 2**octave
        phases = rng.random(7) * 2 * np.pi
        value += np.sin(directions @ waves.T + phases).sum(axis=1) / np.sqrt(7) / 2**octave
    return value / 1.6
