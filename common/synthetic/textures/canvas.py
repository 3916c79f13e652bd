"""What a texture is: an sRGB picture in [0, 1] of `SIZE` x `SIZE`, repeated by mirroring."""

import functools

import numpy as np
from jaxtyping import Float, UInt8

from common.synthetic.noise import noise_field

SIZE = 512
Texture = Float[np.ndarray, "512 512 3"]


def texture_grid() -> tuple[Float[np.ndarray, "512 512"], Float[np.ndarray, "512 512"]]:
    """X and y of every texel, from 0 to 1."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    return x, y


def worn(rng: np.random.Generator, picture: Texture, amount: float = 0.12) -> Texture:
    """The picture with grain and stains, so that nothing is perfectly even."""
    grain = _stock_noise(rng, 0.6, 4.0) - 0.5
    stain = _stock_noise(rng, 1.8, 1.0) - 0.5
    return np.clip(picture * (1 + amount * grain + amount * 1.6 * stain)[..., None], 0, 1)


def _stock_noise(rng: np.random.Generator, slope: float, lowest: float) -> Float[np.ndarray, "512 512"]:
    """One of a few noise fields, shifted at random: making a field for every texture would take most of the time."""
    field = _kept_noise(int(rng.integers(4)), slope, lowest)
    return np.roll(field, tuple(int(value) for value in rng.integers(0, SIZE, 2)), axis=(0, 1))


@functools.lru_cache
def _kept_noise(number: int, slope: float, lowest: float) -> Float[np.ndarray, "512 512"]:
    return noise_field(np.random.default_rng([number, 3]), SIZE, slope, lowest)


def to_bytes(picture: Float[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """The picture in 8 bits."""
    return np.clip(np.asarray(picture) * 255.0 + 0.5, 0, 255).astype(np.uint8)
