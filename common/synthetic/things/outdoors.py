"""Houses, plants, fruit and stones. Each maker returns a thing; see `thing.py`."""

import itertools

import numpy as np

from common.synthetic.materials import ANY, Palette
from common.synthetic.noise import sphere_noise
from common.synthetic.shapes import box, metaballs, rectangle, superquadric, tube, turned
from common.synthetic.surfaces import Surface, block_surface, grid_surface, rotation_z
from common.synthetic.things.thing import CERAMIC, Thing, shift


def house(palette: Palette) -> Thing:
    """A model house with a gabled roof and a chimney."""
    rng = palette.rng
    width, length, tall = rng.uniform(45, 75), rng.uniform(55, 100), rng.uniform(35, 70)
    ridge, over = rng.uniform(18, 38), 4.0
    wall = palette.add(("facade",), (50.0, 110.0), 0.2)
    roof = palette.add(("shingles",), (50.0, 100.0), 0.3)
    surfaces = [box((width, length, tall)).dressed(wall)]
    for side in (-1.0, 1.0):
        rows = np.linspace(0, 1, 14)[:, None]
        edge = np.array([-width / 2, side * length / 2, tall])
        far, top = np.array([width / 2, side * length / 2, tall]), np.array([0.0, side * length / 2, tall + ridge])
        left, right = edge + rows * (top - edge), far + rows * (top - far)
        grid = left[:, None] + np.linspace(0, 1, 16)[None, :, None] * (right - left)[:, None]
        surfaces.append(grid_surface(grid if side < 0 else grid[:, ::-1]).dressed(wall))
        slope = np.array([side * (width / 2 + over), 0, -ridge * (1 + 2 * over / width)])
        corner = np.array([0.0, -side * (length / 2 + over), tall + ridge + 1.0]) + slope
        sheet = rectangle(corner, [0, side * (length + 2 * over), 0], -slope)
        surfaces += [sheet.dressed(roof), _underside(sheet).dressed(roof)]
    chimney = box((9.0, 9.0, ridge + 12)).moved(np.eye(3), shift(width * 0.22, length * rng.uniform(-0.3, 0.3), tall))
    return [*surfaces, chimney.dressed(palette.add(("bricks",), (30.0, 50.0), 0.0))]


def plant(palette: Palette) -> Thing:
    """A pot with curved leaves."""
    rng = palette.rng
    radius, height = rng.uniform(16, 26), rng.uniform(22, 38)
    profile = np.array(
        [[0, 0], [radius * 0.7, 0], [radius, height], [radius - 3, height], [radius - 4, height - 5], [0, height - 4]]
    )
    pot = turned(np.concatenate([np.linspace(a, b, 8) for a, b in itertools.pairwise(profile)]))
    things = [pot.dressed(palette.add((*CERAMIC, "bricks"), (30.0, 80.0), 0.4))]
    green = palette.add(("leaf",), (18.0, 30.0), 0.3)
    for turn in np.linspace(0, 2 * np.pi, rng.integers(7, 15), endpoint=False) + rng.normal(size=1) * 2:
        reach, rise, width = rng.uniform(22, 52), rng.uniform(25, 75), rng.uniform(6, 11)
        t = np.linspace(0, 1, 18)[:, None]
        spine = np.concatenate(
            [2 + reach * t**1.4, 0 * t, height - 5 + rise * (1 - (1 - t) ** 2) - rise * 0.45 * t**3], 1
        )
        half = width * np.sin(np.pi * np.clip(t, 0.04, 0.985)) ** 0.7
        across = np.linspace(-1, 1, 5)[None, :, None]
        sheet = grid_surface(
            spine[:, None] + across * half[:, None] * [0, 1.0, 0] + across**2 * half[:, None] * [0, 0, 0.35]
        )
        sheet = sheet.moved(rotation_z(turn), shift()).dressed(green)
        things += [sheet, _underside(sheet, 0.8).dressed(green)]
    return things


def pumpkin(palette: Palette) -> Thing:
    """A ribbed fruit with a stalk."""
    rng = palette.rng
    size, ribs, depth = rng.uniform(45, 85), rng.integers(5, 14), rng.uniform(0.02, 0.12)
    ball = superquadric((size, size, size * rng.uniform(0.6, 1.1)), 0.9, 1.0, 72)
    turn = np.arctan2(ball.vertices[:, 1], ball.vertices[:, 0])
    vertices = ball.vertices * np.stack([1 - depth * np.cos(ribs * turn) ** 2] * 2 + [np.ones(len(turn))], 1)
    top = vertices[:, 2].max()
    vertices[:, 2] -= (
        0.16
        * top
        * np.exp(-((np.hypot(vertices[:, 0], vertices[:, 1]) / (0.16 * size)) ** 2))
        * (vertices[:, 2] > top / 2)
    )
    stalk = tube(
        np.array([[0, 0, top * 0.78], [1, 0, top * 0.95], [3, 1, top * 1.08], [7, 2, top * 1.15]]), 3.0, closed=False
    )
    skin = block_surface(vertices, ball.faces).dressed(
        palette.add(("fruit", "fruit", "stripes", "clouds"), (50.0, 120.0), 0.5)
    )
    return [skin, stalk.dressed(palette.add(("wood",), (20.0, 30.0), 0.1))]


def stone(palette: Palette) -> Thing:
    """A lump: pebble, potato, rock, clay."""
    rng = palette.rng
    unit = superquadric((2.0, 2.0, 2.0), 1.0, 1.0, 72).vertices - [0, 0, 1]
    rough = rng.uniform(0.05, 0.3)
    radius = 1 + rough * sphere_noise(rng, unit, int(rng.integers(2, 6)), rng.uniform(1.0, 2.2))
    vertices = unit * np.clip(radius, 0.45, 1.7)[:, None] * rng.uniform(18, 42, 3)
    vertices[:, 2] -= vertices[:, 2].min() + 2.0
    faces = superquadric((2.0, 2.0, 2.0), 1.0, 1.0, 72).faces
    return [block_surface(vertices, faces).dressed(palette.add(ANY))]


def melted(palette: Palette) -> Thing:
    """Balls melted together."""
    rng = palette.rng
    count = rng.integers(4, 10)
    centers = rng.uniform(-26, 26, (count, 3)) + shift(z=34.0)
    centers[:, 2] = np.abs(centers[:, 2])
    return [metaballs(centers, rng.uniform(9, 20, count), rng.uniform(2.0, 6.0)).dressed(palette.add())]


def _underside(sheet: Surface, thickness: float = 1.5) -> Surface:
    lowered = sheet.vertices - sheet.normals * thickness
    return Surface(lowered, sheet.faces[:, ::-1], -sheet.normals, sheet.texture_points)
