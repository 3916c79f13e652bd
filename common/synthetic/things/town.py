"""The buildings of a model town, in as few triangles as they need: all detail is in their materials.

Each maker returns a thing (see `thing.py`) that faces -y; a town stands at about 1 : 150, so 60 millimetres are three
floors.
"""

import numpy as np

from common.synthetic.flat_shapes import oblong_outline, polygon, pyramid, regular_outline, walls
from common.synthetic.materials import Material, Palette
from common.synthetic.shapes import metaballs, superquadric
from common.synthetic.surfaces import Surface, block_surface
from common.synthetic.textures import PATTERNS
from common.synthetic.things.thing import Thing, shift

STILL = np.eye(3)


def material(palette: Palette, pattern: str, tile: float, roughness: float, specular=0.04, metallic=0.0) -> int:
    """A new material of the palette; see `Material` for the numbers."""
    palette.materials.append(Material(PATTERNS[pattern](palette.rng), tile, roughness, specular, metallic))
    return len(palette.materials) - 1


def town_house(palette: Palette) -> Thing:
    """A house front with a shop sign, plain backs, a gabled roof and a chimney."""
    rng = palette.rng
    width, length, tall, rise = rng.uniform(72, 104), rng.uniform(52, 72), rng.uniform(74, 112), rng.uniform(24, 46)
    front = material(palette, "townfront", tall, 0.34, 0.05)
    outline = oblong_outline(width, length)
    body = walls(outline, 0.0, tall, per_side=(tall, tall)).dressed(front)
    tiles = material(palette, "shingles", rng.uniform(60, 85), 0.45)
    # The roof hangs over; its ends are closed with brick.
    half, reach = width / 2 + 4, length / 2 + 5
    slant, drop = np.hypot(reach, rise), rise * 5 / (length / 2)
    slopes = []
    for side in (-1.0, 1.0):
        low, high = [side * reach, tall - drop], [0.0, tall + rise]
        left, right = side * half, -side * half
        corners = [[left, *low], [right, *low], [right, *high], [left, *high]]
        slopes.append(polygon(corners, [[0, 0], [2 * half, 0], [2 * half, slant], [0, slant]]))
    brick = material(palette, "bricks", 40.0, 0.8, 0.02)
    ends = []
    for side in (-1.0, 1.0):
        x = side * width / 2
        points = [[x, -side * length / 2, tall], [x, side * length / 2, tall], [x, 0.0, tall + rise]]
        ends.append(polygon(points, [[0, 0], [length, 0], [length / 2, rise]]).dressed(brick))
    stack = oblong_outline(10.0, 10.0, width * rng.uniform(-0.3, 0.3), length * 0.2)
    chimney = [walls(stack, tall, tall + rise + 12).dressed(brick), _lid(stack, tall + rise + 12).dressed(brick)]
    return [body, *(slope.dressed(tiles) for slope in slopes), *ends, *chimney, *_shop_sign(palette, width, length)]


def _shop_sign(palette: Palette, width: float, length: float) -> Thing:
    """A board with one word on the house front."""
    rng = palette.rng
    board = material(palette, "signboards", 80.0, 0.3, 0.06)
    w, y, low, tall = 0.8 * width, -length / 2 - 2.0, 25.0, 10.0
    line = 80.0 * int(rng.integers(8)) / 8
    corners = [[-w / 2, y, low], [w / 2, y, low], [w / 2, y, low + tall], [-w / 2, y, low + tall]]
    face = polygon(corners, [[0.5, line + 0.2], [79.5, line + 0.2], [79.5, line + 9.8], [0.5, line + 9.8]])
    edge = [[-w / 2, y, low + tall], [w / 2, y, low + tall], [w / 2, y + 2, low + tall], [-w / 2, y + 2, low + tall]]
    top = polygon(edge, [[1.0, line + 0.3], [79, line + 0.3], [79, line + 0.5], [1, line + 0.5]])
    return [face.dressed(board), top.dressed(board)]


def tower(palette: Palette) -> Thing:
    """A square tower with a pointed roof."""
    rng = palette.rng
    side, tall = rng.uniform(40, 52), rng.uniform(120, 150)
    front = material(palette, "townfront", 70.0, 0.4, 0.05)
    roof = material(palette, "shingles", 55.0, 0.35, 0.05)
    belt = material(palette, "mosaic", 36.0, 0.22, 0.06)
    outline = oblong_outline(side, side)
    return [
        walls(outline, 0.0, tall - 22).dressed(front),
        walls(1.06 * outline, tall - 22, tall).dressed(belt),
        pyramid(1.25 * outline, tall, tall + 48).dressed(roof),
        _underside(1.25 * outline, tall).dressed(roof),
        _underside(1.06 * outline, tall - 22).dressed(belt),
    ]


def monument(palette: Palette) -> Thing:
    """A figure of bronze on a stepped pedestal with inscriptions."""
    rng = palette.rng
    stone = material(palette, "speckle", 60.0, 0.3, 0.05)
    letters = material(palette, "inscription", 30.0, 0.5, 0.04)
    parts: Thing = []
    for half, low, high in ((32.0, 0.0, 4.0), (26.0, 4.0, 8.0), (21.0, 8.0, 12.0), (18.0, 44.0, 47.0)):
        outline = oblong_outline(2 * half, 2 * half)
        parts += [walls(outline, low, high).dressed(stone), pyramid(outline, high, high).dressed(stone)]
    parts += [walls(oblong_outline(31.0, 31.0), 12.0, 44.0, per_side=(30.0, 30.0)).dressed(letters)]
    bronze = material(palette, "clouds", 40.0, 0.38, 0.45, 0.55)
    lean = rng.uniform(-4, 4)
    spots = [
        (-5, 0, 5, 6),
        (5, 0, 5, 6),
        (-4, 0, 18, 6),
        (4, 0, 18, 6),
        (0, 0, 32, 9),
        (lean, 0, 45, 9),
        (lean, 0, 63, 7),
    ]
    spots += [(-13, 1, 44, 5), (-19, -3, 36, 4), (14, 0, 48, 5), (20, -5, 57, 4), (24, -9, 66, 4)]
    values = np.array(spots, dtype=np.float64)
    figure = metaballs(values[:, :3], values[:, 3], 2.6, cells=22).dressed(bronze)
    return [*parts, figure.moved(STILL, shift(z=46.0))]


def advertising_column(palette: Palette) -> Thing:
    """A round column with posters and a cap."""
    rng = palette.rng
    outline, tall = regular_outline(rng.uniform(14, 18), 12), rng.uniform(46, 60)
    posters = material(palette, rng.choice(["poster", "newspaper"]), rng.uniform(50, 60), 0.3, 0.05)
    cap = material(palette, "shingles", 24.0, 0.4)
    column = _rounded(walls(outline, 0.0, tall)).dressed(posters)
    return [column, pyramid(1.2 * outline, tall, tall + 13).dressed(cap), _underside(1.2 * outline, tall).dressed(cap)]


def tree(palette: Palette) -> Thing:
    """A crown on a trunk."""
    rng = palette.rng
    tall, wide = rng.uniform(34, 52), rng.uniform(34, 50)
    ball = superquadric((wide, wide, wide * rng.uniform(0.9, 1.3)), 0.9, 1.0, 10)
    vertices = ball.vertices.copy()
    places = np.round(vertices, 3)
    kinds, kind = np.unique(places, axis=0, return_inverse=True)
    vertices += rng.normal(0, 0.035 * wide, (len(kinds), 3))[kind.reshape(-1)]
    crown = block_surface(vertices, ball.faces).moved(STILL, shift(z=0.55 * tall))
    leaves = material(palette, "foliage", 46.0, 0.55, 0.03)
    trunk = _rounded(walls(regular_outline(3.2, 6), 0.0, 0.8 * tall))
    return [crown.dressed(leaves), trunk.dressed(material(palette, "wood", 20.0, 0.8, 0.02))]


def fountain(palette: Palette) -> Thing:
    """An eight-sided basin of glazed stones with water in it."""
    rng = palette.rng
    radius = rng.uniform(26, 34)
    glazed = material(palette, "mosaic", 2 * radius, 0.22, 0.06)
    water = material(palette, "cells", 60.0, 0.2, 0.06)
    outer, inner = regular_outline(radius, 8), regular_outline(0.82 * radius, 8)
    rim = []
    for k in range(8):
        corners = [outer[k], outer[(k + 1) % 8], inner[(k + 1) % 8], inner[k]]
        rim.append(polygon(np.array([[*p, 13.0] for p in corners]), corners).dressed(glazed))
    inside = walls(inner[::-1], 8.0, 13.0)
    jet = walls(regular_outline(5.0, 8), 8.0, 30.0).dressed(glazed)
    bowl = [pyramid(regular_outline(12.0, 8), 30.0, 33.0).dressed(glazed), _underside(regular_outline(12.0, 8), 30.0)]
    parts = [walls(outer, 0.0, 13.0).dressed(glazed), *rim, inside.dressed(glazed), jet, bowl[0]]
    return [*parts, bowl[1].dressed(glazed), pyramid(inner, 9.0, 9.0).dressed(water)]


def stall(palette: Palette) -> Thing:
    """A market stall with a striped awning and boxes of fruit."""
    rng = palette.rng
    width, deep, tall = rng.uniform(34, 48), rng.uniform(22, 28), rng.uniform(26, 32)
    cloth = material(palette, rng.choice(["stripes", "plaid"]), 30.0, 0.7, 0.02)
    table = oblong_outline(width * 0.92, deep * 0.8)
    wood = material(palette, "wood", 30.0, 0.6, 0.03)
    fruit = material(palette, rng.choice(["dots", "cells"]), 26.0, 0.3, 0.05)
    half, reach = width / 2 + 2, deep / 2 + 6
    front = [[-half, -reach, tall - 7], [half, -reach, tall - 7], [half, reach, tall + 5], [-half, reach, tall + 5]]
    awning = polygon(front, [[0, 0], [2 * half, 0], [2 * half, 2 * reach], [0, 2 * reach]]).dressed(cloth)
    below = Surface(awning.vertices - [0, 0, 0.6], awning.faces[:, ::-1], -awning.normals, awning.texture_points)
    posts = [walls(oblong_outline(2.0, 2.0, x, deep / 2), 0.0, tall + 2).dressed(wood) for x in (2 - half, half - 2)]
    return [
        walls(table, 0.0, 11.0).dressed(wood),
        _lid(table, 11.0).dressed(fruit),
        awning,
        below.dressed(cloth),
        *posts,
    ]


def _lid(outline: np.ndarray, height: float) -> Surface:
    return polygon(np.concatenate([outline, np.full((len(outline), 1), height)], axis=1), outline)


def _underside(outline: np.ndarray, height: float) -> Surface:
    return _lid(outline[::-1], height)


def _rounded(surface: Surface) -> Surface:
    """Walls around the origin that reflect as if they were round."""
    flat = surface.vertices * [1.0, 1.0, 0.0]
    normals = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    return Surface(surface.vertices, surface.faces, normals, surface.texture_points)


TOWN_MAKERS = (town_house, tower, monument, advertising_column, tree, fountain, stall)
