"""Things that hold something: vases, bowls, cups, bottles, cans. Each maker returns a thing; see `thing.py`."""

import numpy as np

from common.synthetic.materials import Palette
from common.synthetic.shapes import smooth_profile, superquadric, tube, turned
from common.synthetic.things.thing import CERAMIC, PRINTED, Thing, random_turn, shift


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
    return [turned(wall).dressed(palette.add(CERAMIC, (30.0, 90.0), 0.75))]


def bowl(palette: Palette) -> Thing:
    """A bowl with fruit or balls in it."""
    rng = palette.rng
    radius, height = rng.uniform(35, 60), rng.uniform(20, 38)
    outer = smooth_profile(
        [[radius * 0.45, 0], [radius * 0.55, 3], [radius * 0.9, height * 0.55], [radius, height]], 24
    )
    inner = (outer[::-1] - [3.0, 0.0])[:-6]
    things = [
        turned(np.concatenate([[[0, 0]], outer, inner, [[0.0, 5.0]]])).dressed(palette.add(CERAMIC, (30.0, 90.0), 0.8))
    ]
    material = palette.add(("fruit", "marble", "stripes"), (30.0, 60.0), 0.6)
    for k in range(rng.integers(0, 5)):
        size = radius * rng.uniform(0.5, 0.75)
        ball = superquadric((size, size, size * rng.uniform(0.85, 1.2)), 1.0, 1.0, 32).dressed(material)
        turn = 2 * np.pi * k / 4
        things.append(
            ball.moved(
                random_turn(rng), shift(radius * 0.38 * np.cos(turn), radius * 0.38 * np.sin(turn), 9.0 + 2.0 * k)
            )
        )
    return things


def cup(palette: Palette) -> Thing:
    """A mug with a handle."""
    rng = palette.rng
    radius, height = rng.uniform(20, 34), rng.uniform(40, 75)
    taper = rng.uniform(0.75, 1.1)
    levels = np.linspace(0, 1, 14)[:, None]
    outer = np.concatenate([radius * (taper + (1 - taper) * levels), levels * height], 1)
    inner = (outer[::-1] - [2.6, 0.0])[:-1]
    material = palette.add(CERAMIC, (40.0, 90.0), 0.8)
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
        body.dressed(palette.add(("plain", "clouds", "marble"), (60.0, 120.0), 0.9)),
        sheet.dressed(palette.add(("poster", "newspaper", "scribbles"), (60.0, 100.0), 0.4)),
        cap.dressed(palette.add(("plain", "stripes"), (30.0, 60.0), 0.6)),
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
    sides = turned(wall).dressed(palette.add((*PRINTED, "fruit"), (60.0, 140.0)))
    metal = palette.add(("plain",), (40.0, 80.0), 1.0)
    rim = np.array([[0, 0], [radius, 0], [radius, 1.5]])
    return [sides, turned(lid).dressed(metal), turned(rim).dressed(metal)]
