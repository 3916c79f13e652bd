"""Putting things on a table before a backdrop."""

import itertools
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from common.synthetic.materials import Palette
from common.synthetic.shapes import box
from common.synthetic.surfaces import Surface, grid_surface, rotation_z
from common.synthetic.things import MAKERS
from common.synthetic.things.thing import Thing
from common.synthetic.things.toys import books

GROUNDS = (
    "wood",
    "wood",
    "fabric",
    "fabric",
    "speckle",
    "tiles",
    "newspaper",
    "plaid",
    "cells",
    "marble",
    "clouds",
    "bricks",
    "checker",
)
WALLS = (
    "bricks",
    "fabric",
    "newspaper",
    "plaid",
    "wood",
    "speckle",
    "tiles",
    "stripes",
    "poster",
    "marble",
    "dots",
    "facade",
    "clouds",
)
BACKDROP_REACH = np.deg2rad(102.0)
BACKDROP_RADIUS = 290.0
BACKDROP_HEIGHT = 240.0


def arrange_things(rng: np.random.Generator, palette: Palette, reach: float = 118.0) -> Thing:
    """Things spread over a disk of radius `reach` on the ground, biggest in the middle, some on top of others."""
    style = rng.choice(["scatter", "center", "raised"], p=[0.45, 0.35, 0.2])
    surfaces: Thing = []
    circles: list[tuple[float, float, float]] = []
    if style != "scatter":
        scale = rng.uniform(1.15, 1.6)
        middle = _scaled(_random_thing(rng, palette), scale) if style == "center" else _on_pile(rng, palette)
        _place(rng, middle, surfaces, circles, 0.25 * reach)
    wanted = int(rng.integers(5, 12))
    for _ in range(wanted):
        thing = _scaled(_random_thing(rng, palette), rng.uniform(0.6, 1.1))
        _place(rng, thing, surfaces, circles, reach)
    return surfaces


def _random_thing(rng, palette):
    return MAKERS[rng.integers(len(MAKERS))](palette)


def _scaled(thing: Thing, scale: float) -> Thing:
    return [replace(part, vertices=part.vertices * scale, texture_points=part.texture_points * scale) for part in thing]


def _on_pile(rng, palette):
    pile = books(palette)
    top = max(part.vertices[:, 2].max() for part in pile)
    return pile + [
        part.moved(np.eye(3), np.array([0.0, 0.0, top])) for part in _scaled(_random_thing(rng, palette), 0.8)
    ]


def _place(rng, thing, surfaces, circles, reach):
    """Drop the thing at a free spot, turned at random; leave it out where none is found."""
    points = np.concatenate([part.vertices[:, :2] for part in thing])
    radius = float(np.quantile(np.linalg.norm(points, axis=1), 0.97))
    for _ in range(60):
        angle, distance = rng.uniform(0, 2 * np.pi), reach * np.sqrt(rng.random())
        x, y = distance * np.cos(angle), distance * np.sin(angle)
        if all(np.hypot(x - a, y - b) > 0.92 * (radius + r) for a, b, r in circles) and distance + 0.5 * radius < 150.0:
            circles.append((x, y, radius))
            turn = rotation_z(rng.uniform(0, 2 * np.pi))
            surfaces += [part.moved(turn, np.array([x, y, 0.0])) for part in thing]
            return


def table(rng: np.random.Generator, palette: Palette) -> Surface:
    """The ground, divided finely in the middle where shadows fall."""
    inner = np.arange(-180.0, 180.1, 4.0)
    outer = np.array([200.0, 230.0, 270.0, 330.0, 420.0, 560.0])
    lines = np.concatenate([-outer[::-1], inner, outer])
    x, y = np.meshgrid(lines, lines)
    turn = rotation_z(rng.uniform(0, 2 * np.pi))
    sheet = grid_surface(np.stack([x, y, np.zeros_like(x)], -1))
    return sheet.moved(turn, np.zeros(3)).dressed(palette.add(GROUNDS, (130, 300), 0.25))


def sheets(rng: np.random.Generator, palette: Palette) -> Thing:
    """Papers, cards and mats that lie flat under the things."""
    found = []
    for layer in range(rng.integers(0, 5)):
        size = (rng.uniform(40, 150), rng.uniform(40, 150), 0.6 + 0.5 * layer)
        shift = np.array([*rng.uniform(-110, 110, 2), 0.0])
        patterns = ("poster", "newspaper", "scribbles", "plaid", "dots", "fabric", "checker")
        found.append(
            box(size).moved(rotation_z(rng.uniform(0, 3.14)), shift).dressed(palette.add(patterns, (80, 170), 0.3))
        )
    return found


def backdrop(rng: np.random.Generator, palette: Palette) -> Thing:
    """Walls behind the things as seen from -y: a corner, some folds or a round cove."""
    style = rng.choice(["corner", "folds", "cove"], p=[0.35, 0.4, 0.25])
    corners = _backdrop_outline(rng, style)
    pieces = []
    material = palette.add(WALLS, (140, 320), 0.15)
    for start, end in itertools.pairwise(corners):
        columns = max(int(np.linalg.norm(end - start) / 9), 1) + 1
        along = start + np.linspace(0, 1, columns)[:, None] * (end - start)
        heights = np.concatenate([np.linspace(0, 60, 13), np.linspace(72, BACKDROP_HEIGHT, 13)])
        grid = np.concatenate(
            [
                np.broadcast_to(along[None], (len(heights), columns, 2)),
                np.broadcast_to(heights[:, None, None], (len(heights), columns, 1)),
            ],
            -1,
        )
        if style != "cove" and rng.random() < 0.4:
            material = palette.add(WALLS, (140, 320), 0.15)
        pieces.append(grid_surface(grid).dressed(material))
    return _continuous(pieces)


def _continuous(pieces):
    """Let the texture run on from one piece to the next."""
    start, joined = 0.0, []
    for piece in pieces:
        joined.append(replace(piece, texture_points=piece.texture_points + np.array([start, 0.0, 0.0])))
        start = joined[-1].texture_points[:, 0].max()
    return joined


def _backdrop_outline(rng, style) -> Float[np.ndarray, "K 2"]:
    """Corners of the walls in plan, from left to right; the ends are such that no camera looks past or is hidden."""
    if style == "cove":
        angles = np.linspace(-BACKDROP_REACH, BACKDROP_REACH, 42)
        radii = np.full(len(angles), BACKDROP_RADIUS)
    elif style == "corner":
        angles = np.array([-BACKDROP_REACH, rng.uniform(-0.25, 0.25), BACKDROP_REACH])
        radii = np.array([1.0, rng.uniform(0.85, 1.0), 1.0]) * BACKDROP_RADIUS
    else:
        inner = np.sort(rng.uniform(-0.75, 0.75, rng.integers(2, 5))) * BACKDROP_REACH
        angles = np.array([-BACKDROP_REACH, *inner, BACKDROP_REACH])
        radii = np.array([1.0, *rng.uniform(0.68, 1.0, len(inner)), 1.0]) * BACKDROP_RADIUS
    return np.stack([radii * np.sin(angles), radii * np.cos(angles)], axis=1)
