"""All makers of things."""

from collections.abc import Callable

from common.synthetic.materials import Palette
from common.synthetic.things.outdoors import house, melted, plant, pumpkin, stone
from common.synthetic.things.tableware import bottle, bowl, can, cup, vase
from common.synthetic.things.thing import Thing
from common.synthetic.things.toys import blocks, book, books, cookie, crate, figure, ring_knot, rounded, sign, turning

TABLEWARE = (vase, bowl, cup, bottle, can)
TOYS = (crate, book, books, figure, sign, ring_knot, cookie, blocks, rounded, turning)
OUTDOORS = (house, plant, pumpkin, stone, melted)

MAKERS: tuple[Callable[[Palette], Thing], ...] = (*TABLEWARE, *TOYS, *OUTDOORS)
