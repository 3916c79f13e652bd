"""What a thing is, for the modules that make them.

A thing is a list of surfaces that stands on z = 0 around the z axis, millimetres. A maker takes a palette, which holds
the scene's materials and the generator. Sizes are those of toys and table ware, 25 to 130 millimetres.
"""

import numpy as np
from jaxtyping import Float

from common.synthetic.surfaces import Surface, rotation_z

Thing = list[Surface]

PRINTED = ("poster", "scribbles", "dots", "stripes", "plaid", "clouds", "newspaper", "checker")
CERAMIC = ("plain", "marble", "stripes", "speckle", "dots", "clouds", "checker", "scribbles", "tiles")


def shift(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Float[np.ndarray, "3"]:
    """A translation."""
    return np.array([x, y, z], dtype=np.float64)


def random_turn(rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """A turn about the vertical by any angle."""
    return rotation_z(rng.uniform(0, 2 * np.pi))
