"""Textures of printed and drawn things. Each maker takes a generator; see `canvas.py` for what a texture is."""

import cv2
import numpy as np

from common.synthetic.colors import palette, ramp, random_color
from common.synthetic.noise import noise_field
from common.synthetic.textures.canvas import SIZE, Texture, texture_grid, worn


def newspaper(rng: np.random.Generator) -> Texture:
    """Columns of print, headlines and pictures on paper."""
    paper = np.array([0.93, 0.91, 0.84]) * rng.uniform(0.85, 1.0)
    picture = np.tile(paper, (SIZE, SIZE, 1)).astype(np.float32)
    ink = random_color(rng, (0.0, 0.3), (0.05, 0.2))
    y = 20
    while y < SIZE:
        if rng.random() < 0.12:
            _print(picture, rng, _words(rng, 3), (8, y + 26), rng.uniform(0.9, 1.5), ink, 3)
            y += 44
        elif rng.random() < 0.08:
            tall, x = int(rng.integers(60, 130)), int(rng.integers(0, 300))
            patch = ramp(noise_field(rng, SIZE, 1.8)[:tall, :180], palette(rng, 4))
            picture[y : y + tall, x : x + 180] = patch[: picture[y : y + tall].shape[0], : SIZE - x]
            y += tall + 14
        else:
            _print(picture, rng, _words(rng, 12), (int(rng.integers(6, 14)), y + 8), 0.42, ink, 1)
            y += 15
    return worn(rng, np.clip(picture, 0, 1), 0.08)


def poster(rng: np.random.Generator) -> Texture:
    """A cover or label: fields, a figure, big letters."""
    colors = palette(rng, 5)
    picture = ramp(np.clip(texture_grid()[1] + 0.3 * noise_field(rng, SIZE, 2.0), 0, 1), colors[:2]).astype(np.float32)
    for _ in range(rng.integers(3, 10)):
        points = (rng.random((rng.integers(3, 7), 1, 2)) * SIZE).astype(np.int32)
        color = colors[rng.integers(5)].tolist()
        if rng.random() < 0.5:
            cv2.fillPoly(picture, [cv2.convexHull(points)], color, cv2.LINE_AA)
        else:
            center = (int(points[0, 0, 0]), int(points[0, 0, 1]))
            cv2.ellipse(
                picture,
                center,
                tuple(int(v) for v in rng.integers(15, 140, 2)),
                rng.uniform(0, 180),
                0,
                360,
                color,
                -1,
                cv2.LINE_AA,
            )
    for _ in range(rng.integers(2, 6)):
        origin = (int(rng.integers(5, 60)), int(rng.integers(40, SIZE - 10)))
        _print(
            picture,
            rng,
            _words(rng, 2),
            origin,
            rng.uniform(0.8, 3.2),
            colors[rng.integers(5)],
            int(rng.integers(2, 8)),
        )
    return worn(rng, np.clip(picture, 0, 1), 0.1)


def scribbles(rng: np.random.Generator) -> Texture:
    """Curves drawn with thick pens."""
    picture = np.tile(random_color(rng, (0.0, 0.3), (0.6, 0.95)), (SIZE, SIZE, 1)).astype(np.float32)
    for color in palette(rng, int(rng.integers(4, 9))):
        t = np.linspace(0, 2 * np.pi, 160)[:, None]
        waves = rng.normal(size=(2, 5)) / np.arange(1, 6)
        curve = SIZE / 2 + SIZE / 3 * np.stack(
            [(np.sin(t * np.arange(1, 6) + 6 * rng.random(5)) * wave).sum(1) for wave in waves], -1
        )
        cv2.polylines(picture, [curve.astype(np.int32)], True, color.tolist(), int(rng.integers(3, 16)), cv2.LINE_AA)
    return worn(rng, np.clip(picture, 0, 1))


def _words(rng, count=8):
    alphabet = "ABCDEFGHIJKLMNOPRSTUVWYZabdefghiklmnoprstuvwz0123456789"
    return " ".join("".join(rng.choice(list(alphabet), rng.integers(2, 9))) for _ in range(count))


def _print(picture, rng, text, origin, scale, color, thick):
    font = [cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_COMPLEX][
        rng.integers(4)
    ]
    ink = np.zeros(picture.shape[:2], np.uint8)  # OpenCV 5 writes text into bytes only
    cv2.putText(ink, text, origin, font, scale, 255, thick, cv2.LINE_AA)
    picture += (ink / np.float32(255.0))[..., None] * (np.asarray(color, np.float32) - picture)
