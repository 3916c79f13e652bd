"""Materials: a texture, how large it is printed, and how the surface reflects."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from common.synthetic.textures import PATTERNS, TOWN

_SPECIAL = ("facade", "shingles", "leaf", "newspaper", *(maker.__name__ for maker in TOWN))
ANY = tuple(name for name in PATTERNS if name not in _SPECIAL)


@dataclass(frozen=True)
class Material:
    """How a surface looks.

    Attributes:
        texture: sRGB in [0, 1], repeated by mirroring.
        tile: Millimetres that one repetition covers.
        roughness: Of the microfacet lobe, about 0.2 (varnish) to 1 (chalk).
        specular: Reflectance at normal incidence, 0 (dull) to about 0.08 (varnish), 0.5 for metal.
        metallic: 1 where the highlight takes the colour of the texture and nothing is diffuse.
    """

    texture: Float[np.ndarray, "S S 3"]
    tile: float
    roughness: float
    specular: float
    metallic: float = 0.0


class Palette:
    """The materials of one scene, made on demand and numbered."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.materials: list[Material] = []

    def add(
        self,
        patterns: tuple[str, ...] = ANY,
        tile: tuple[float, float] = (40.0, 130.0),
        gloss: float = 0.5,
        smoothest: float = 0.18,
    ) -> int:
        """A new material with one of the patterns; its number is returned.

        Args:
            patterns: Names in `PATTERNS`.
            tile: Bounds of the millimetres that one repetition covers.
            gloss: Chance of a shiny surface.
            smoothest: Least roughness of a shiny surface.
        """
        rng = self.rng
        texture = PATTERNS[patterns[rng.integers(len(patterns))]](rng)
        shiny = rng.random() < gloss
        metal = shiny and rng.random() < 0.08
        roughness = rng.uniform(smoothest, max(0.45, smoothest + 0.1)) if shiny else rng.uniform(0.55, 1.0)
        specular = rng.uniform(0.3, 0.5) if metal else rng.uniform(0.03, 0.06) if shiny else rng.uniform(0.0, 0.03)
        self.materials.append(Material(texture, rng.uniform(*tile), roughness, specular, 0.7 if metal else 0.0))
        return len(self.materials) - 1
