"""Putting things beside each other and on top of each other."""

from dataclasses import replace

import numpy as np

from common.synthetic.materials import Palette
from common.synthetic.surfaces import rotation_z
from common.synthetic.things import MAKERS
from common.synthetic.things.thing import Thing, random_turn, shift
from common.synthetic.things.toys import books

USUAL_REACH = 118.0
TRIES = 60


def arrange_things(rng: np.random.Generator, palette: Palette, reach: float = USUAL_REACH) -> Thing:
    """Things spread over a disk of radius `reach` on the ground: scattered, around a big one, or around a pile."""
    surfaces: Thing = []
    circles: list[tuple[float, float, float]] = []
    style = rng.choice(["scatter", "center", "pile"], p=[0.45, 0.35, 0.2])
    if style == "center":
        _place(rng, scaled(_random_thing(rng, palette), rng.uniform(1.15, 1.6)), surfaces, circles, 0.25 * reach)
    elif style == "pile":
        _place(rng, _on_books(rng, palette), surfaces, circles, 0.25 * reach)
    growth = max(reach / USUAL_REACH, 0.6)
    for _ in range(int(rng.integers(5, 12) * growth)):
        size = rng.uniform(0.6, 1.1) * growth**0.5
        _place(rng, scaled(_random_thing(rng, palette), size), surfaces, circles, reach)
    return surfaces


def scaled(thing: Thing, scale: float) -> Thing:
    """The thing in another size, with its texture."""
    return [replace(part, vertices=part.vertices * scale, texture_points=part.texture_points * scale) for part in thing]


def _random_thing(rng: np.random.Generator, palette: Palette) -> Thing:
    return MAKERS[rng.integers(len(MAKERS))](palette)


def _on_books(rng: np.random.Generator, palette: Palette) -> Thing:
    pile = books(palette)
    top = max(part.vertices[:, 2].max() for part in pile)
    return pile + [part.moved(np.eye(3), shift(z=top)) for part in scaled(_random_thing(rng, palette), 0.8)]


def _place(rng: np.random.Generator, thing: Thing, surfaces: Thing, circles: list, reach: float) -> None:
    """Drop the thing at a free spot, turned at random; leave it out where none is found."""
    points = np.concatenate([part.vertices[:, :2] for part in thing])
    radius = float(np.quantile(np.linalg.norm(points, axis=1), 0.97))
    for _ in range(TRIES):
        x, y = (rotation_z(rng.uniform(0, 2 * np.pi)) @ shift(reach * np.sqrt(rng.random())))[:2]
        is_free = all(np.hypot(x - other_x, y - other_y) > 0.92 * (radius + r) for other_x, other_y, r in circles)
        if is_free and np.hypot(x, y) + 0.5 * radius < 1.27 * max(reach, 100.0):
            circles.append((x, y, radius))
            turn = random_turn(rng)
            surfaces += [part.moved(turn, shift(x, y)) for part in thing]
            return
