"""Things: each maker takes a palette (which holds the generator) and returns surfaces that stand on z = 0 around the z axis.

Sizes are those of toys and table ware, 25 to 130 millimetres.
"""

from collections.abc import Callable

import numpy as np

from common.synthetic.materials import ANY, Palette
from common.synthetic.noise import sphere_noise
from common.synthetic.shapes import (
    box,
    extruded,
    knot,
    letters,
    metaballs,
    rectangle,
    smooth_profile,
    superquadric,
    tube,
    turned,
)  # fmt: skip
from common.synthetic.surfaces import Surface, block_surface, grid_surface, rotation_x, rotation_z

Thing = list[Surface]
PRINTED = ("poster", "scribbles", "dots", "stripes", "plaid", "clouds", "newspaper", "checker")
CERAMIC = ("plain", "marble", "stripes", "speckle", "dots", "clouds", "checker", "scribbles", "tiles")


def _shift(x=0.0, y=0.0, z=0.0):
    return np.array([x, y, z], dtype=np.float64)


def crate(palette: Palette) -> Thing:
    """A box: carton, tin, block of wood."""
    rng = palette.rng
    return [box(tuple(rng.uniform(28, 85, 3))).dressed(palette.add((*PRINTED, "wood", "bricks", "fabric", "speckle")))]


def book(palette: Palette) -> Thing:
    """A closed book lying down."""
    rng = palette.rng
    width, length, thick = rng.uniform(55, 85), rng.uniform(80, 120), rng.uniform(9, 26)
    cover, pages = (
        palette.add(("poster", "fabric", "scribbles", "clouds"), (90, 150)),
        palette.add(("stripes", "plain"), (12, 20), 0),
    )
    lower = box((width, length, 1.8)).dressed(cover)
    inside = box((width - 4, length - 6, thick - 3.6)).moved(np.eye(3), _shift(z=1.8)).dressed(pages)
    upper = lower.moved(np.eye(3), _shift(z=thick - 1.8))
    spine = box((2.0, length, thick)).moved(np.eye(3), _shift(x=-width / 2)).dressed(cover)
    return [lower, inside, upper, spine]


def books(palette: Palette) -> Thing:
    """A pile of books."""
    pile, top = [], 0.0
    for _ in range(palette.rng.integers(2, 4)):
        turn = rotation_z(palette.rng.normal() * 0.25)
        one = [surface.moved(turn, _shift(z=top)) for surface in book(palette)]
        top = max(surface.vertices[:, 2].max() for surface in one)
        pile += one
    return pile


def vase(palette: Palette) -> Thing:
    """A turned vase, open at the top."""
    rng = palette.rng
    height, belly = rng.uniform(60, 125), rng.uniform(18, 42)
    levels = np.linspace(0, height, rng.integers(4, 7))
    outer = np.stack([belly * rng.uniform(0.45, 1.1, len(levels)), levels], 1)
    outer[0, 0] = max(outer[0, 0], 0.5 * belly)
    profile = smooth_profile(outer, 44)
    inner = profile[::-1] - [2.5, 0.0]
    inner[:, 0] = np.maximum(inner[:, 0], 0.5)
    inner = inner[inner[:, 1] > 4.0]
    wall = np.concatenate([[[0.0, 0.0]], profile, inner, [[0.0, 4.0]]])
    return [turned(wall).dressed(palette.add(CERAMIC, (30, 90), 0.75))]


def bowl(palette: Palette) -> Thing:
    """A bowl with fruit or balls in it."""
    rng = palette.rng
    radius, height = rng.uniform(35, 60), rng.uniform(20, 38)
    outer = smooth_profile(
        [[radius * 0.45, 0], [radius * 0.55, 3], [radius * 0.9, height * 0.55], [radius, height]], 24
    )
    inner = (outer[::-1] - [3.0, 0.0])[:-6]
    things = [
        turned(np.concatenate([[[0, 0]], outer, inner, [[0.0, 5.0]]])).dressed(palette.add(CERAMIC, (30, 90), 0.8))
    ]
    material = palette.add(("fruit", "marble", "stripes"), (30, 60), 0.6)
    for k in range(rng.integers(0, 5)):
        size = radius * rng.uniform(0.5, 0.75)
        ball = superquadric((size, size, size * rng.uniform(0.85, 1.2)), 1.0, 1.0, 32).dressed(material)
        turn = 2 * np.pi * k / 4
        things.append(
            ball.moved(
                random_rotation_z(rng), _shift(radius * 0.38 * np.cos(turn), radius * 0.38 * np.sin(turn), 9 + 2 * k)
            )
        )
    return things


def random_rotation_z(rng: np.random.Generator):
    """A turn about the vertical by a random angle."""
    return rotation_z(rng.uniform(0, 2 * np.pi))


def cup(palette: Palette) -> Thing:
    """A mug with a handle."""
    rng = palette.rng
    radius, height = rng.uniform(20, 34), rng.uniform(40, 75)
    taper = rng.uniform(0.75, 1.1)
    levels = np.linspace(0, 1, 14)[:, None]
    outer = np.concatenate([radius * (taper + (1 - taper) * levels), levels * height], 1)
    inner = (outer[::-1] - [2.6, 0.0])[:-1]
    material = palette.add(CERAMIC, (40, 90), 0.8)
    body = turned(np.concatenate([[[0, 0]], outer, inner, [[0.0, 5.0]]])).dressed(material)
    angle = np.linspace(-1.9, 1.9, 30)
    reach = height * 0.33
    path = np.stack([radius * 0.93 + reach * 0.75 * np.cos(angle), 0 * angle, height * 0.52 + reach * np.sin(angle)], 1)
    return [body, tube(path, 3.6, closed=False, segments=12).dressed(material)]


def bottle(palette: Palette) -> Thing:
    """A bottle with a cap and a label."""
    rng = palette.rng
    radius, height = rng.uniform(14, 26), rng.uniform(80, 130)
    shoulder = rng.uniform(0.5, 0.72)
    knots = [
        [radius * 0.9, 0],
        [radius, 4],
        [radius, height * shoulder],
        [radius * 0.45, height * (shoulder + 0.17)],
        [radius * 0.4, height * 0.95],
    ]
    body = turned(np.concatenate([[[0, 0]], smooth_profile(knots, 50), [[0, height * 0.95]]]))
    label = np.array([[radius + 0.25, height * 0.08], [radius + 0.25, height * shoulder * 0.85]])
    sheet = turned(np.stack([np.full(16, label[0, 0]), np.linspace(label[0, 1], label[1, 1], 16)], 1))
    cap = turned(
        np.array(
            [
                [0, height * 0.9],
                [radius * 0.5, height * 0.9],
                [radius * 0.5, height - 1],
                [radius * 0.45, height],
                [0, height],
            ]
        )
    )
    return [
        body.dressed(palette.add(("plain", "clouds", "marble"), (60, 120), 0.9)),
        sheet.dressed(palette.add(("poster", "newspaper", "scribbles"), (60, 100), 0.4)),
        cap.dressed(palette.add(("plain", "stripes"), (30, 60), 0.6)),
    ]


def can(palette: Palette) -> Thing:
    """A tin can with a printed label."""
    rng = palette.rng
    radius, height = rng.uniform(20, 36), rng.uniform(35, 95)
    wall = np.stack([np.full(20, radius), np.linspace(1.5, height - 1.5, 20)], 1)
    lid = np.array(
        [
            [radius, height - 1.5],
            [radius + 0.7, height],
            [radius - 1.5, height],
            [radius - 2.5, height - 2.5],
            [0, height - 2.5],
        ]
    )
    sides = turned(wall).dressed(palette.add((*PRINTED, "fruit"), (60, 140)))
    metal = palette.add(("plain",), (40, 80), 1.0)
    rim = np.array([[0, 0], [radius, 0], [radius, 1.5]])
    return [sides, turned(lid).dressed(metal), turned(rim).dressed(metal)]


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
    centers = rng.uniform(-26, 26, (count, 3)) + [0, 0, 34]
    centers[:, 2] = np.abs(centers[:, 2])
    return [metaballs(centers, rng.uniform(9, 20, count), rng.uniform(2, 6)).dressed(palette.add())]


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
    eyes = [eye.moved(np.eye(3), head[:3] + [15.2 * scale, side * 6.5 * scale, 3 * scale]) for side in (-1, 1)]
    return [body, *eyes]


def sign(palette: Palette) -> Thing:
    """Standing letters."""
    rng = palette.rng
    text = "".join(rng.choice(list("ABCDEFGHJKLMNPQRSTUVXYZ2345678"), rng.integers(1, 4)))
    return [letters(text, rng.uniform(34, 60), rng.uniform(12, 24)).dressed(palette.add())]


def ring_knot(palette: Palette) -> Thing:
    """A knotted ring."""
    p, q = [(2, 3), (3, 2), (2, 5), (3, 4), (1, 4)][palette.rng.integers(5)]
    return [knot(palette.rng.uniform(70, 110), p, q, palette.rng.uniform(4.5, 8)).dressed(palette.add(tile=(20, 70)))]


def cookie(palette: Palette) -> Thing:
    """A star, flower or cog, thick and bevelled, lying or leaning."""
    rng = palette.rng
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    teeth, depth = rng.integers(3, 12), rng.uniform(0.1, 0.35)
    wave = np.cos(teeth * angle)
    radius = rng.uniform(24, 45) * (1 + depth * (wave if rng.random() < 0.5 else np.tanh(4 * wave)))
    outline = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    surface = extruded(outline, rng.uniform(10, 32), 2.0).dressed(palette.add())
    if rng.random() < 0.35:
        tilted = surface.moved(rotation_x(np.pi / 2 - 0.12), _shift())
        surface = tilted.moved(np.eye(3), _shift(z=-tilted.vertices[:, 2].min()))
    return [surface]


def house(palette: Palette) -> Thing:
    """A model house with a gabled roof and a chimney."""
    rng = palette.rng
    width, length, tall = rng.uniform(45, 75), rng.uniform(55, 100), rng.uniform(35, 70)
    ridge, over = rng.uniform(18, 38), 4.0
    wall = palette.add(("facade",), (50, 110), 0.2)
    roof = palette.add(("shingles",), (50, 100), 0.3)
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
    chimney = box((9, 9, ridge + 12)).moved(np.eye(3), _shift(width * 0.22, length * rng.uniform(-0.3, 0.3), tall))
    return [*surfaces, chimney.dressed(palette.add(("bricks",), (30, 50), 0.0))]


def _underside(sheet: Surface, thickness: float = 1.5) -> Surface:
    lowered = sheet.vertices - sheet.normals * thickness
    return Surface(lowered, sheet.faces[:, ::-1], -sheet.normals, sheet.texture_points)


def plant(palette: Palette) -> Thing:
    """A pot with curved leaves."""
    rng = palette.rng
    radius, height = rng.uniform(16, 26), rng.uniform(22, 38)
    profile = np.array(
        [[0, 0], [radius * 0.7, 0], [radius, height], [radius - 3, height], [radius - 4, height - 5], [0, height - 4]]
    )
    pot = turned(np.concatenate([np.linspace(a, b, 8) for a, b in zip(profile[:-1], profile[1:], strict=True)]))
    things = [pot.dressed(palette.add((*CERAMIC, "bricks"), (30, 80), 0.4))]
    green = palette.add(("leaf",), (18, 30), 0.3)
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
        sheet = sheet.moved(rotation_z(turn), _shift()).dressed(green)
        things += [sheet, _underside(sheet, 0.8).dressed(green)]
    return things


def blocks(palette: Palette) -> Thing:
    """Building bricks stacked into a tower."""
    rng = palette.rng
    materials = [palette.add(tile=(25, 70)) for _ in range(3)]
    things, top = [], 0.0
    for _ in range(rng.integers(2, 6)):
        size = rng.uniform(22, 52, 3) * [1, 1, 0.65]
        shift = _shift(*rng.uniform(-7, 7, 2), top)
        things.append(
            box(tuple(size)).moved(rotation_z(rng.uniform(-0.6, 0.6)), shift).dressed(materials[rng.integers(3)])
        )
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
    return [turned(profile).dressed(palette.add(("wood", *CERAMIC), (30, 90), 0.6))]


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
        palette.add(("fruit", "fruit", "stripes", "clouds"), (50, 120), 0.5)
    )
    return [skin, stalk.dressed(palette.add(("wood",), (20, 30), 0.1))]


MAKERS: tuple[Callable[[Palette], Thing], ...] = (
    crate, book, books, vase, bowl, cup, bottle, can, stone, melted, figure, sign, ring_knot, cookie, house, plant, blocks, rounded,
    turning, pumpkin,
)  # fmt: skip
