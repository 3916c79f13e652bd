"""All texture makers by name."""

from collections.abc import Callable

import numpy as np

from common.synthetic.textures.canvas import Texture
from common.synthetic.textures.made import bricks, checker, dots, fabric, facade, plaid, shingles, stripes, tiles
from common.synthetic.textures.natural import cells, clouds, fruit, leaf, marble, plain, speckle, wood
from common.synthetic.textures.printed import newspaper, poster, scribbles
from common.synthetic.textures.town import cobbles, foliage, inscription, mosaic, signboards, townfront

NATURAL = (plain, marble, wood, cells, clouds, speckle, fruit, leaf)
MADE = (checker, stripes, plaid, bricks, fabric, tiles, dots, shingles, facade)
PRINTED = (newspaper, poster, scribbles)
TOWN = (cobbles, mosaic, inscription, foliage, signboards, townfront)

PATTERNS: dict[str, Callable[[np.random.Generator], Texture]] = {
    maker.__name__: maker for maker in (*NATURAL, *MADE, *PRINTED, *TOWN)
}
