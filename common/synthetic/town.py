"""A model town on a round base: large flat triangles under fine materials.

Photogrammetry of a town leaves such meshes: what is printed, laid and grown on the surface is far smaller than the
triangles that carry it.
"""

from dataclasses import replace

import numpy as np

from common.synthetic.flat_shapes import pyramid, regular_outline, walls
from common.synthetic.materials import Palette
from common.synthetic.surfaces import rotation_z
from common.synthetic.things.thing import Thing, shift
from common.synthetic.things.town import (
    advertising_column,
    fountain,
    material,
    monument,
    stall,
    tower,
    town_house,
    tree,
)

BASE = 232.0
HOUSE_RING = 166.0
SQUARE_RING = 92.0


def model_town(rng: np.random.Generator, palette: Palette) -> tuple[Thing, Thing]:
    """Buildings, and the base that they stand on, in as few triangles as they need."""
    buildings = _placed(monument(palette), 0.0, 0.0, rng.uniform(0, 2 * np.pi))
    makers = [town_house] * 5 + [tower]
    start = rng.uniform(0, 2 * np.pi)
    gaps = rng.dirichlet(np.full(6, 4.0)) * 0.9 * 2 * np.pi / 6 + 0.85 * 2 * np.pi / 6
    gaps *= 2 * np.pi / gaps.sum()
    for maker, azimuth in zip(rng.permutation(np.array(makers, object)), start + np.cumsum(gaps), strict=True):
        buildings += _placed(maker(palette), azimuth, HOUSE_RING, 0.0)
    trees = [tree(palette) for _ in range(3)]
    around = [fountain(palette), *(maker(palette) for maker in (advertising_column, stall) for _ in range(2)), *trees]
    for number, place in enumerate(rng.permutation(len(around))):
        azimuth = start + (number + rng.uniform(-0.15, 0.15)) * 2 * np.pi / len(around)
        buildings += _placed(around[place], azimuth, SQUARE_RING + rng.uniform(-12, 6), rng.normal(0, 0.3))
    for number, azimuth in enumerate(start + np.cumsum(gaps) - gaps / 2):
        buildings += _placed(trees[number % 3], azimuth, HOUSE_RING + rng.uniform(10, 30), rng.uniform(0, 6))
    return buildings, _base(palette)


def _placed(thing: Thing, azimuth: float, distance: float, turn: float) -> Thing:
    """The thing on a ring around the origin, its front towards the middle but for `turn` radians."""
    place = shift(distance * np.cos(azimuth), distance * np.sin(azimuth))
    return [part.moved(rotation_z(azimuth - np.pi / 2 + turn), place) for part in thing]


def _base(palette: Palette) -> Thing:
    """The paved ground with a mosaic around the monument."""
    paving = material(palette, "cobbles", 120.0, 0.5, 0.035)
    floor = material(palette, "mosaic", 130.0, 0.3, 0.05)
    edge = material(palette, "wood", 90.0, 0.5, 0.04)
    rim, disk = regular_outline(BASE, 32), regular_outline(64.0, 24)
    inlay = pyramid(disk, 0.8, 0.8)
    # The middle of the pattern lies in the middle of the square.
    inlay = replace(inlay, texture_points=inlay.texture_points + shift(65.0, 65.0))
    ground = pyramid(rim, 0.0, 0.0).dressed(paving)
    return [ground, walls(rim, -9.0, 0.0).dressed(edge), walls(disk, 0.0, 0.8).dressed(paving), inlay.dressed(floor)]
