"""Textures of grown and mineral matter. Each maker takes a generator; see `canvas.py` for what a texture is."""

import cv2
import numpy as np
from scipy.spatial import cKDTree

from common.synthetic.colors import EARTH, PLANTS, palette, ramp, random_color
from common.synthetic.noise import noise_field
from common.synthetic.textures.canvas import SIZE, Texture, texture_grid, worn


def plain(rng: np.random.Generator) -> Texture:
    """One colour, slightly uneven."""
    return worn(rng, np.broadcast_to(random_color(rng), (SIZE, SIZE, 3)), rng.uniform(0.05, 0.2))


def marble(rng: np.random.Generator) -> Texture:
    """Veins."""
    x, y = texture_grid()
    warp = noise_field(rng, SIZE, 1.6)
    veins = (
        np.abs(np.sin((x * rng.integers(1, 4) + y * rng.integers(1, 4) + rng.uniform(1, 2.5) * warp) * 2 * np.pi))
        ** 0.45
    )
    return worn(rng, ramp(veins, palette(rng, 3)), 0.1)


def wood(rng: np.random.Generator) -> Texture:
    """Planks with year rings."""
    x, y = texture_grid()
    planks = int(rng.integers(1, 7))
    plank = np.floor(y * planks).astype(int)
    # Noise drawn out along the grain.
    warp = cv2.resize(noise_field(rng, SIZE, 1.8)[:, :128], (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    fibres = cv2.resize(noise_field(rng, SIZE, 0.5, 4.0)[:, :40], (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    phase = y * rng.uniform(9, 24) + rng.uniform(0.8, 2.5) * warp + 3.1 * plank + 0.3 * np.sin(2 * np.pi * x)
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * phase)
    dark = random_color(rng, (0.3, 0.65), (0.25, 0.65), EARTH)
    light = np.clip(dark * rng.uniform(1.2, 1.6) + 0.03, 0, 1)
    tone = rng.uniform(0.82, 1.1, planks + 1)[plank]
    is_gap = (np.abs((y * planks) % 1.0 - 0.5) > 0.488) & (planks > 1)
    picture = ramp(np.clip(0.4 * rings + 0.6 * fibres, 0, 1), np.array([dark, light])) * tone[..., None]
    return worn(rng, np.clip(picture * np.where(is_gap, 0.4, 1.0)[..., None], 0, 1), 0.1)


def cells(rng: np.random.Generator) -> Texture:
    """Pebbles, mosaic or leather: cells around random points."""
    count = int(rng.integers(30, 500))
    points = rng.random((count, 2)) * SIZE
    tiled = np.concatenate([points + np.array([dx, dy]) for dx in (-SIZE, 0, SIZE) for dy in (-SIZE, 0, SIZE)])
    half = SIZE // 2
    y, x = np.mgrid[:half, :half] * 2.0
    distance, index = cKDTree(tiled).query(np.stack([x, y], -1).reshape(-1, 2), k=2)
    edge = (distance[:, 1] - distance[:, 0]).reshape(half, half) / np.sqrt(SIZE**2 / count)
    colors = palette(rng, 5)[rng.integers(0, 5, count)] * rng.uniform(0.7, 1.1, (count, 1))
    picture = (
        colors[index[:, 0] % count].reshape(half, half, 3) * np.clip(0.25 + edge * rng.uniform(3, 9), 0, 1)[..., None]
    )
    return worn(rng, np.clip(cv2.resize(picture.astype(np.float32), (SIZE, SIZE)), 0, 1))


def clouds(rng: np.random.Generator) -> Texture:
    """Smooth blotches: paint, rust, camouflage, moss."""
    field = noise_field(rng, SIZE, rng.uniform(1.0, 1.8), float(rng.integers(1, 6)))
    if rng.random() < 0.4:
        field = np.floor(field * 4.99) / 4
    return worn(rng, ramp(field, palette(rng, int(rng.integers(2, 6)))))


def speckle(rng: np.random.Generator) -> Texture:
    """Terrazzo, granite, sand: flecks on a ground."""
    picture = np.broadcast_to(random_color(rng), (SIZE, SIZE, 3)).copy()
    for color in palette(rng, 4):
        flecks = noise_field(rng, SIZE, rng.uniform(0.2, 0.9), 8.0, rng.uniform(25, 140)) > rng.uniform(0.75, 0.9)
        picture[flecks] = color
    return worn(rng, picture, 0.1)


def fruit(rng: np.random.Generator) -> Texture:
    """Skin: one hue with blush and fine dots."""
    base = random_color(rng, (0.55, 0.9), (0.5, 0.95), PLANTS)
    blush = np.clip(base * [1.1, 0.6, 0.5] + [0.1, 0, 0], 0, 1)
    picture = ramp(noise_field(rng, SIZE, 2.0, 1.0, 30.0), np.array([base, base * 0.9, blush]))
    return worn(
        rng, np.where((noise_field(rng, SIZE, 0.2, 40.0) > 0.93)[..., None], 0.8 * picture + 0.2, picture), 0.15
    )


def leaf(rng: np.random.Generator) -> Texture:
    """Green with veins."""
    x, y = texture_grid()
    base = random_color(rng, (0.5, 0.9), (0.3, 0.6))
    base = base[np.argsort(np.argsort([0.3, 1.0, 0.1]))] if rng.random() < 0.2 else np.sort(base)[[1, 2, 0]]
    veins = (np.abs((np.abs(x - 0.5) * 1.4 + y) * 12 % 1 - 0.5) > 0.44) | (np.abs(x - 0.5) < 0.012)
    return worn(rng, np.clip(np.where(veins[..., None], base * 1.4 + 0.08, base), 0, 1), 0.3)
