"""Textures of built, woven and painted things. Each maker takes a generator; `canvas.py` says what a texture is."""

import cv2
import numpy as np

from common.synthetic.colors import EARTH, palette, ramp, random_color
from common.synthetic.noise import noise_field
from common.synthetic.textures.canvas import SIZE, Texture, texture_grid, worn
from common.synthetic.textures.natural import plain


def checker(rng: np.random.Generator) -> Texture:
    """Squares in two or three colours."""
    x, y = texture_grid()
    count = rng.integers(3, 13)
    cells = (np.floor(x * count) + np.floor(y * count) * rng.choice([1, 2])).astype(int) % rng.integers(2, 4)
    return worn(rng, palette(rng, 3)[cells])


def stripes(rng: np.random.Generator) -> Texture:
    """Parallel bands of random width."""
    x, y = texture_grid()
    along = x if rng.random() < 0.5 else (x + y) / 2 if rng.random() < 0.5 else y
    edges = np.sort(rng.random(rng.integers(6, 30)))
    colors = palette(rng, int(rng.integers(2, 6)))
    return worn(rng, colors[rng.integers(0, len(colors), len(edges) + 1)][np.searchsorted(edges, along)], 0.08)


def plaid(rng: np.random.Generator) -> Texture:
    """Crossing bands, as woven."""
    colors = palette(rng, 4)
    edges = np.sort(rng.random(rng.integers(5, 14)))
    band = rng.integers(0, 4, len(edges) + 1)[np.searchsorted(edges, np.arange(SIZE) / SIZE)]
    weave = ((np.arange(SIZE)[:, None] + np.arange(SIZE)[None]) // 2 % 2)[..., None]
    return worn(rng, np.where(weave == 0, colors[band][None], colors[band][:, None]), 0.1)


def bricks(rng: np.random.Generator) -> Texture:
    """Courses of bricks with mortar."""
    rows, columns = int(rng.integers(4, 12)) * 2, int(rng.integers(3, 7))
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    row = np.floor(y * rows).astype(int)
    shifted = x * columns + 0.5 * (row % 2)
    column = np.floor(shifted).astype(int) % (columns + 1)
    tone = rng.uniform(0.7, 1.2, (rows, columns + 1))[row, column]
    mortar = (np.abs(y * rows % 1 - 0.5) > 0.42) | (np.abs(shifted % 1 - 0.5) > 0.46)
    brick = random_color(rng, (0.2, 0.75), (0.35, 0.75), EARTH) if rng.random() < 0.8 else random_color(rng)
    picture = np.where(mortar[..., None], rng.uniform(0.5, 0.8), brick * tone[..., None])
    return worn(rng, np.clip(picture, 0, 1), 0.3)


def fabric(rng: np.random.Generator) -> Texture:
    """Woven threads with a coarse motif."""
    pitch = int(rng.integers(4, 10))
    y, x = np.mgrid[:SIZE, :SIZE]
    thread = np.where(
        (x // pitch + y // pitch) % 2 == 0, np.sin(np.pi * (x % pitch) / pitch), np.sin(np.pi * (y % pitch) / pitch)
    )
    motif = ramp(noise_field(rng, SIZE, 2.0, 1.0, 24.0), palette(rng, 3))
    return worn(rng, np.clip(motif * (0.55 + 0.5 * thread[..., None]), 0, 1))


def tiles(rng: np.random.Generator) -> Texture:
    """Glazed tiles with joints, some with a motif."""
    count = int(rng.integers(2, 8))
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE * count
    fx, fy = x % 1 - 0.5, y % 1 - 0.5
    colors = palette(rng, 3)
    tone = rng.uniform(0.85, 1.1, (count, count))[y.astype(int), x.astype(int)]
    radius = np.hypot(fx, fy)
    petals = radius < 0.25 + 0.15 * np.cos(rng.integers(3, 9) * np.arctan2(fy, fx))
    motif = petals & (((x.astype(int) + y.astype(int)) % 2 == 0) | (rng.random() < 0.4))
    picture = np.where(motif[..., None], colors[1], colors[0]) * tone[..., None]
    joint = np.maximum(np.abs(fx), np.abs(fy)) > 0.47
    return worn(rng, np.clip(np.where(joint[..., None], 0.6 * colors[2] + 0.2, picture), 0, 1))


def dots(rng: np.random.Generator) -> Texture:
    """Dots or rings on a ground."""
    picture = np.tile(random_color(rng), (SIZE, SIZE, 1)).astype(np.float32)
    colors = palette(rng, 4)
    for _ in range(rng.integers(15, 130)):
        center = tuple(int(value) for value in rng.integers(0, SIZE, 2))
        width = -1 if rng.random() < 0.7 else int(rng.integers(2, 8))
        cv2.circle(picture, center, int(rng.integers(4, 38)), colors[rng.integers(4)].tolist(), width, cv2.LINE_AA)
    return worn(rng, picture)


def shingles(rng: np.random.Generator) -> Texture:
    """Roof tiles in overlapping rows."""
    rows, columns = int(rng.integers(10, 22)), int(rng.integers(8, 18))
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    row = np.floor(y * rows).astype(int)
    shifted = x * columns + 0.5 * (row % 2)
    fx, fy = shifted % 1 - 0.5, y * rows % 1
    tone = rng.uniform(0.75, 1.15, (rows, columns + 2))[row, np.floor(shifted).astype(int)]
    color = random_color(rng, (0.1, 0.7), (0.35, 0.75), EARTH) if rng.random() < 0.6 else random_color(rng, (0.0, 0.35))
    shade = np.clip(0.45 + 0.6 * fy, 0, 1) * np.where(np.abs(fx) > 0.46, 0.5, 1.0)
    return worn(rng, np.clip(color * (tone * shade)[..., None], 0, 1), 0.15)


def facade(rng: np.random.Generator) -> Texture:
    """A house front: wall, windows with frames and sills."""
    picture = (bricks(rng) if rng.random() < 0.6 else plain(rng)).astype(np.float32)
    frame, glass = np.array([0.9, 0.9, 0.88]) * rng.uniform(0.6, 1.0), random_color(rng, (0.1, 0.4), (0.08, 0.4))
    rows, columns = int(rng.integers(3, 6)), int(rng.integers(3, 7))
    tall, wide = SIZE // rows, SIZE // columns
    for row in range(rows):
        for column in range(columns):
            x, y = column * wide + wide // 4, row * tall + tall // 5
            w, h = wide // 2, int(tall * 0.58)
            cv2.rectangle(picture, (x, y), (x + w, y + h), frame.tolist(), -1)
            pane = glass * rng.uniform(0.6, 1.5)
            for i in range(2):
                for j in range(2):
                    left, top = x + 4 + i * w // 2, y + 4 + j * h // 2
                    cv2.rectangle(
                        picture, (left, top), (left + w // 2 - 8, top + h // 2 - 8), np.clip(pane, 0, 1).tolist(), -1
                    )
            cv2.rectangle(picture, (x - 6, y + h), (x + w + 6, y + h + 8), (frame * 0.7).tolist(), -1)
    return np.clip(picture, 0, 1)
