"""What stands around the things: table, papers, backdrop, room, plate."""

import itertools
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from common.synthetic.materials import Palette
from common.synthetic.shapes import box, turned
from common.synthetic.surfaces import Surface, grid_surface, rotation_z
from common.synthetic.things.thing import Thing, random_turn, shift

Kind = Literal["backdrop", "room", "table", "plate"]

# A pattern that stands twice is drawn twice as often.
GROUNDS = (
    *("wood", "wood", "fabric", "fabric", "speckle", "tiles", "newspaper"),
    *("plaid", "cells", "marble", "clouds", "bricks", "checker", "plain"),
)
WALLS = (
    *("bricks", "fabric", "newspaper", "plaid", "wood", "speckle", "tiles"),
    *("stripes", "poster", "marble", "dots", "facade", "clouds", "plain"),
)
PAPERS = ("poster", "newspaper", "scribbles", "plaid", "dots", "fabric", "checker")
BACKDROP_REACH = np.deg2rad(102.0)
BACKDROP_RADIUS = 290.0
BACKDROP_HEIGHT = 240.0
ROOM_HEIGHT = 620.0


def surroundings(rng: np.random.Generator, palette: Palette, kind: Kind, reach: float) -> Thing:
    """The ground first, then what else the kind has.

    Args:
        rng: Chooses.
        palette: Takes the materials.
        kind: "backdrop" is a table before walls that close in behind it, for DTU's narrow depth range; "room" a table
            top as wide as a room with three walls; "table" a table without walls; "plate" a round base and nothing
            else.
        reach: Radius of the disk on which things stand.
    """
    if kind == "plate":
        return [_plate(palette, reach)]
    extent = {"backdrop": 560.0, "room": 900.0, "table": 1.9 * reach}[kind]
    ground = [_table(rng, palette, 1.5 * reach, extent), *_papers(rng, palette, 0.95 * reach)]
    if kind == "backdrop":
        return ground + _walls(rng, palette, _backdrop_outline(rng), BACKDROP_HEIGHT)
    if kind == "room":
        return ground + _walls(rng, palette, _room_outline(rng), ROOM_HEIGHT)
    return ground


def _plate(palette: Palette, reach: float) -> Surface:
    radius = 1.35 * reach
    rim = [[radius - 4.0, -7.0], [radius, -4.0], [radius, -2.0], [radius - 2.0, 0.0]]
    rings = np.linspace(radius - 2.0, 0.0, 28)[:, None]
    profile = np.concatenate([[[0.0, -7.0]], rim, np.concatenate([rings, 0.0 * rings], axis=1)])
    sheet = turned(profile, 72)
    flat = np.concatenate([sheet.vertices[:, :2], np.zeros((len(sheet.vertices), 1))], axis=1)
    return replace(sheet, texture_points=flat).dressed(palette.add(GROUNDS, (90.0, 200.0), 0.4))


def _table(rng: np.random.Generator, palette: Palette, fine: float, extent: float) -> Surface:
    """A table top, divided finely in the middle where shadows fall."""
    middle = np.linspace(-fine, fine, 2 * int(fine / 4.0) + 1)
    outside = np.geomspace(4.0, max(extent - fine, 5.0), 7) + fine
    lines = np.concatenate([-outside[::-1], middle, outside])
    x, y = np.meshgrid(lines, lines)
    sheet = grid_surface(np.stack([x, y, np.zeros_like(x)], -1))
    return sheet.moved(random_turn(rng), shift()).dressed(
        palette.add(GROUNDS, (130.0, 300.0), gloss=0.25, smoothest=0.42)
    )


def _papers(rng: np.random.Generator, palette: Palette, reach: float) -> Thing:
    """Papers, cards and mats that lie flat under the things."""
    found = []
    for layer in range(rng.integers(0, 5)):
        size = (rng.uniform(40, 150), rng.uniform(40, 150), 0.6 + 0.5 * layer)
        material = palette.add(PAPERS, (80.0, 170.0), gloss=0.3, smoothest=0.3)
        place = shift(*rng.uniform(-reach, reach, 2))
        found.append(box(size).moved(rotation_z(rng.uniform(0, np.pi)), place).dressed(material))
    return found


def _walls(rng: np.random.Generator, palette: Palette, outline: Float[np.ndarray, "K 2"], height: float) -> Thing:
    """Upright walls along an outline in plan, facing to its right; some change their pattern at a corner."""
    changes = 0.4 if len(outline) < 8 else 0.0
    material = palette.add(WALLS, (140.0, 320.0), gloss=0.15, smoothest=0.42)
    levels = np.concatenate([np.linspace(0, 60, 13), np.linspace(72, height, int(height / 14))])
    walls, start = [], 0.0
    for corner, following in itertools.pairwise(outline):
        columns = max(int(np.linalg.norm(following - corner) / 9), 1) + 1
        plan = corner + np.linspace(0, 1, columns)[:, None] * (following - corner)
        grid = np.empty((len(levels), columns, 3))
        grid[..., :2], grid[..., 2] = plan, levels[:, None]
        if rng.random() < changes:
            material = palette.add(WALLS, (140.0, 320.0), gloss=0.15, smoothest=0.42)
        wall = grid_surface(grid).dressed(material)
        # The pattern runs on around the corner.
        walls.append(replace(wall, texture_points=wall.texture_points + shift(start)))
        start = walls[-1].texture_points[:, 0].max()
    return walls


def _backdrop_outline(rng: np.random.Generator) -> Float[np.ndarray, "K 2"]:
    """A cove, a corner or folds, from left to right; at its ends no camera of the DTU rig looks past or is hidden."""
    style = rng.choice(["corner", "folds", "cove"], p=[0.35, 0.4, 0.25])
    if style == "cove":
        angles = np.linspace(-BACKDROP_REACH, BACKDROP_REACH, 42)
        radii = np.ones(len(angles))
    elif style == "corner":
        angles = np.array([-BACKDROP_REACH, rng.uniform(-0.25, 0.25), BACKDROP_REACH])
        radii = np.array([1.0, rng.uniform(0.85, 1.0), 1.0])
    else:
        inner = np.sort(rng.uniform(-0.75, 0.75, rng.integers(2, 5))) * BACKDROP_REACH
        angles = np.array([-BACKDROP_REACH, *inner, BACKDROP_REACH])
        radii = np.array([1.0, *rng.uniform(0.68, 1.0, len(inner)), 1.0])
    return BACKDROP_RADIUS * np.stack([radii * np.sin(angles), radii * np.cos(angles)], axis=1)


def _room_outline(rng: np.random.Generator) -> Float[np.ndarray, "K 2"]:
    """Left wall, back wall, right wall."""
    left, right, back = -rng.uniform(380, 700), rng.uniform(380, 700), rng.uniform(330, 640)
    slant = rng.uniform(-90, 90)
    return np.array([[left, -450.0], [left, back + slant], [right, back - slant], [right, -450.0]])
