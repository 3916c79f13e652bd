"""Boxes, books and toys. Each maker returns a thing; see `thing.py`."""

import numpy as np

from common.synthetic.materials import ANY, Palette
from common.synthetic.shapes import box, extruded, knot, letters, metaballs, smooth_profile, superquadric, turned
from common.synthetic.surfaces import block_surface, rotation_x, rotation_z
from common.synthetic.things.thing import CERAMIC, PRINTED, Thing, shift


def crate(palette: Palette) -> Thing:
    """A box: carton, tin, block of wood."""
    rng = palette.rng
    return [box(tuple(rng.uniform(28, 85, 3))).dressed(palette.add((*PRINTED, "wood", "bricks", "fabric", "speckle")))]


def book(palette: Palette) -> Thing:
    """A closed book lying down."""
    rng = palette.rng
    width, length, thick = rng.uniform(55, 85), rng.uniform(80, 120), rng.uniform(9, 26)
    cover, pages = (
        palette.add(("poster", "fabric", "scribbles", "clouds"), (90.0, 150.0)),
        palette.add(("stripes", "plain"), (12.0, 20.0), 0.0),
    )
    lower = box((width, length, 1.8)).dressed(cover)
    inside = box((width - 4, length - 6, thick - 3.6)).moved(np.eye(3), shift(z=1.8)).dressed(pages)
    upper = lower.moved(np.eye(3), shift(z=thick - 1.8))
    spine = box((2.0, length, thick)).moved(np.eye(3), shift(x=-width / 2)).dressed(cover)
    return [lower, inside, upper, spine]


def books(palette: Palette) -> Thing:
    """A pile of books."""
    pile, top = [], 0.0
    for _ in range(palette.rng.integers(2, 4)):
        turn = rotation_z(palette.rng.normal() * 0.25)
        one = [surface.moved(turn, shift(z=top)) for surface in book(palette)]
        top = max(surface.vertices[:, 2].max() for surface in one)
        pile += one
    return pile


def figure(palette: Palette) -> Thing:
    """A toy animal or doll made of round parts."""
    rng = palette.rng
    scale, lean = rng.uniform(0.7, 1.15), rng.uniform(-6, 6)
    spots = [(0, 0, 30, 23), (lean, 0, 62, 17), (-9, 10, 10, 10), (-9, -10, 10, 10), (10, 10, 9, 9), (10, -10, 9, 9)]
    spots += [(6 + lean, 20, 45 + rng.uniform(-8, 12), 7), (6 + lean, -20, 45 + rng.uniform(-8, 12), 7)]
    ear = rng.uniform(78, 92)
    spots += [
        (lean, 10, ear, 6),
        (lean, -10, ear, 6),
        (lean, 9, ear - 8, 6),
        (lean, -9, ear - 8, 6),
        (lean + 14, 0, 58, 7),
    ]
    values = np.array(spots, dtype=np.float64) * scale
    body = metaballs(values[:, :3], values[:, 3], 2.2 * scale, 48).dressed(palette.add(("fabric", *ANY)))
    eye = superquadric((5 * scale,) * 3, 1.0, 1.0, 16).dressed(palette.add(("plain",), gloss=1.0))
    head = values[1]
    eyes = [eye.moved(np.eye(3), head[:3] + shift(15.2, side * 6.5, 3.0) * scale) for side in (-1, 1)]
    return [body, *eyes]


def sign(palette: Palette) -> Thing:
    """Standing letters."""
    rng = palette.rng
    text = "".join(rng.choice(list("ABCDEFGHJKLMNPQRSTUVXYZ2345678"), rng.integers(1, 4)))
    return [letters(text, rng.uniform(34.0, 60.0), rng.uniform(12.0, 24.0)).dressed(palette.add())]


def ring_knot(palette: Palette) -> Thing:
    """A knotted ring."""
    p, q = [(2, 3), (3, 2), (2, 5), (3, 4), (1, 4)][palette.rng.integers(5)]
    return [
        knot(palette.rng.uniform(70.0, 110.0), p, q, palette.rng.uniform(4.5, 8)).dressed(
            palette.add(tile=(20.0, 70.0))
        )
    ]


def cookie(palette: Palette) -> Thing:
    """A star, flower or cog, thick and bevelled, lying or leaning."""
    rng = palette.rng
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    teeth, depth = rng.integers(3, 12), rng.uniform(0.1, 0.35)
    wave = np.cos(teeth * angle)
    radius = rng.uniform(24, 45) * (1 + depth * (wave if rng.random() < 0.5 else np.tanh(4 * wave)))
    outline = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    surface = extruded(outline, rng.uniform(10.0, 32.0), 2.0).dressed(palette.add())
    if rng.random() < 0.35:
        tilted = surface.moved(rotation_x(np.pi / 2 - 0.12), shift())
        surface = tilted.moved(np.eye(3), shift(z=-tilted.vertices[:, 2].min()))
    return [surface]


def blocks(palette: Palette) -> Thing:
    """Building bricks stacked into a tower."""
    rng = palette.rng
    materials = [palette.add(tile=(25.0, 70.0)) for _ in range(3)]
    things, top = [], 0.0
    for _ in range(rng.integers(2, 6)):
        size = rng.uniform(22, 52, 3) * [1, 1, 0.65]
        offset = shift(*rng.uniform(-7, 7, 2), top)
        block = box(tuple(size)).moved(rotation_z(rng.uniform(-0.6, 0.6)), offset)
        things.append(block.dressed(materials[rng.integers(3)]))
        top += size[2]
    return things


def rounded(palette: Palette) -> Thing:
    """A superquadric: anything from a soap bar to a spinning top."""
    rng = palette.rng
    size = tuple(rng.uniform(32, 82, 3))
    surface = superquadric(size, rng.uniform(0.15, 1.8), rng.uniform(0.15, 1.8), 64)
    block = block_surface(surface.vertices, surface.faces) if rng.random() < 0.5 else surface
    return [block.dressed(palette.add())]


def turning(palette: Palette) -> Thing:
    """A chess-piece-like turned solid."""
    rng = palette.rng
    height = rng.uniform(55, 115)
    levels = np.sort(rng.uniform(0.08, 0.92, 6)) * height
    radii = rng.uniform(6, 26, 6)
    knots = np.concatenate([[[24, 0], [24, 4]], np.stack([radii, levels], 1), [[0.0, height]]])
    knots = knots[np.argsort(knots[:, 1], kind="stable")]
    profile = np.concatenate([[[0, 0]], smooth_profile(knots, 70)])
    return [turned(profile).dressed(palette.add(("wood", *CERAMIC), (30.0, 90.0), 0.6))]
