"""Textures of a town: paving, mosaic, engraved and painted letters, leaves. `canvas.py` says what a texture is."""

import cv2
import numpy as np
from scipy.spatial import cKDTree

from common.synthetic.colors import EARTH, palette, random_color
from common.synthetic.noise import noise_field
from common.synthetic.textures.canvas import SIZE, Texture, worn

WORDS = (
    *("ANNO", "MDCCLX", "LIBRARY", "MARKET", "BAKERY", "PHARMACY", "BOOKS", "COFFEE", "TOWN HALL", "MUSEUM", "THEATRE"),
    *("STATION", "FLOWERS", "TAILOR", "PRINTER", "OPTICIAN", "HOTEL", "CINEMA", "SCHOOL", "CLOCKS", "POST", "TEA ROOM"),
)
VERSE = (
    "STONES KEEP WHAT HANDS HAVE CUT AND RAIN FORGETS TO WASH AWAY WHO STOPS HERE READS THE NAMES OF THOSE THAT "
    "BUILT THE BRIDGE THE MILL AND THE LONG WALL BESIDE THE RIVER IN THE YEAR OF THE GREAT FROST"
)


def cobbles(rng: np.random.Generator) -> Texture:
    """Small paving stones in uneven rows, each of its own grey."""
    count = int(rng.integers(26, 36))
    row, column = np.mgrid[:count, :count].reshape(2, -1)
    jitter = rng.uniform(-0.16, 0.16, (2, count * count))
    spots = np.stack([column + 0.5 * (row % 2) + jitter[0], row + 0.5 + jitter[1]], axis=1) * SIZE / count
    index, edge = _cells(spots)
    stone = random_color(rng, (0.0, 0.2), (0.45, 0.65), EARTH)
    tone = rng.uniform(0.7, 1.25, (count * count, 1)) * (1 + rng.normal(0, 0.03, (count * count, 3)))
    face = np.clip(stone * tone, 0, 1)[index] * (0.82 + 0.18 * np.clip(edge / 4.0, 0, 1))[..., None]
    joint = np.clip((edge - 0.8) / 1.4, 0, 1)[..., None]
    return worn(rng, 0.25 * stone * (1 - joint) + face * joint, 0.2)


def mosaic(rng: np.random.Generator) -> Texture:
    """A rosette laid in small square stones on rings around the middle of the picture."""
    colors = palette(rng, 5)
    petals, rings = int(rng.integers(6, 13)), 44
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE - 0.5
    radius, angle = np.hypot(x, y) * 2 * rings, np.arctan2(y, x) / (2 * np.pi) + 0.5
    ring = np.floor(radius).astype(int)
    around = np.maximum(np.round(2 * np.pi * (ring + 0.5)), 1)
    place = angle * around
    middle = (np.floor(place) + 0.5) / around * 2 * np.pi
    wave = 0.5 + 0.5 * np.cos(petals * middle + 0.35 * ring * (rng.random() < 0.5))
    band = ring * 5 // rings
    motif = np.where(wave > 0.25 + 0.5 * (ring % (rings // 4)) / (rings // 4), band % 5, (band + 2) % 5)
    motif = np.where(ring % (rings // 4) < 2, 4, motif)
    tone = rng.uniform(0.72, 1.18, (4 * rings, 8 * rings * 2))[ring, np.floor(place).astype(int)]
    joint = np.minimum(np.abs(radius - ring - 0.5), np.abs(place - np.floor(place) - 0.5) * 1.0) > 0.5
    joint |= np.maximum(np.abs(radius - ring - 0.5), np.abs(place - np.floor(place) - 0.5)) > 0.42
    return worn(rng, np.where(joint[..., None], 0.32, np.clip(colors[motif] * tone[..., None], 0, 1)), 0.12)


def inscription(rng: np.random.Generator) -> Texture:
    """Lines of letters cut into stone."""
    stone = random_color(rng, (0.03, 0.18), (0.62, 0.8), EARTH)
    grain = noise_field(rng, SIZE, 0.7, 6.0)[..., None] - 0.5
    picture = (np.tile(stone, (SIZE, SIZE, 1)) * (1 + 0.18 * grain)).astype(np.float32)
    verse = VERSE.split()
    start = int(rng.integers(len(verse)))
    words, line, y = [verse[(start + step) % len(verse)] for step in range(120)], "", 44
    for word in words:
        longer = f"{line} {word}".strip()
        if cv2.getTextSize(longer, cv2.FONT_HERSHEY_TRIPLEX, 0.85, 1)[0][0] > SIZE - 44:
            _engrave(picture, line, (22, y), stone)
            line, y = word, y + 37
        else:
            line = longer
        if y > SIZE - 16:
            break
    cv2.rectangle(picture, (8, 8), (SIZE - 9, SIZE - 9), (0.55 * stone).tolist(), 2)
    return worn(rng, np.clip(picture, 0, 1), 0.12)


def foliage(rng: np.random.Generator) -> Texture:
    """Leaves over leaves, darker below."""
    base = np.sort(random_color(rng, (0.45, 0.75), (0.45, 0.65)))[[1, 2, 0]]
    picture = np.tile(0.18 * base, (SIZE, SIZE, 1)).astype(np.float32)
    for layer in np.linspace(0.35, 1.25, 4):
        for _ in range(620):
            x, y = (int(value) for value in rng.integers(-8, SIZE + 8, 2))
            color = np.clip(base * layer * rng.uniform(0.75, 1.25) * (1 + rng.normal(0, 0.08, 3)), 0, 1)
            size = (int(rng.integers(6, 13)), int(rng.integers(3, 6)))
            turn = rng.uniform(0, 180)
            cv2.ellipse(picture, (x, y), size, turn, 0, 360, color.tolist(), -1, cv2.LINE_AA)
            vein = size[0] * np.array([np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))])
            ends = [tuple((np.array([x, y]) + sign * vein).astype(int).tolist()) for sign in (-1, 1)]
            cv2.line(picture, *ends, np.clip(1.3 * color, 0, 1).tolist(), 1, cv2.LINE_AA)
    return worn(rng, np.clip(picture, 0, 1), 0.15)


def signboards(rng: np.random.Generator) -> Texture:
    """Eight painted shop signs, one below the other."""
    picture = np.zeros((SIZE, SIZE, 3), np.float32)
    tall = SIZE // 8
    for number, word in enumerate(rng.permutation(WORDS)[:8]):
        ground, ink, line = palette(rng, 3)[[0, 1, 2]]
        if abs(ground.mean() - ink.mean()) < 0.3:
            ink = np.full(3, 0.95 if ground.mean() < 0.5 else 0.06)
        board = np.tile(ground, (tall, SIZE, 1)).astype(np.float32)
        cv2.rectangle(board, (5, 5), (SIZE - 6, tall - 6), line.tolist(), 2, cv2.LINE_AA)
        (width, height), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_TRIPLEX, 1.35, 2)
        scale = min(1.35, 1.35 * (SIZE - 50) / width)
        origin = (int((SIZE - width * scale / 1.35) / 2), int((tall + height * scale / 1.35) / 2))
        _write(board, word, origin, scale, ink, 2)
        picture[number * tall : (number + 1) * tall] = board
    return worn(rng, np.clip(picture, 0, 1), 0.1)


def _cells(spots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every texel the nearest spot (over the edges, as tiles repeat) and the distance to its border, in texels."""
    shifts = [np.array([dx, dy]) for dx in (-SIZE, 0, SIZE) for dy in (-SIZE, 0, SIZE)]
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    distance, index = cKDTree(np.concatenate([spots + shift for shift in shifts])).query(np.stack([x, y], -1), k=2)
    return index[..., 0] % len(spots), (distance[..., 1] - distance[..., 0]) / 2


def _engrave(picture: np.ndarray, text: str, origin: tuple[int, int], stone: np.ndarray) -> None:
    """Letters with a dark upper edge and a light lower one."""
    for offset, tone in ((1, 1.25), (-1, 0.3), (0, 0.42)):
        _write(picture, text, (origin[0] + offset, origin[1] + offset), 0.85, np.clip(tone * stone, 0, 1), 1)


def _write(picture: np.ndarray, text: str, origin: tuple[int, int], scale: float, color: np.ndarray, thick: int):
    ink = np.zeros(picture.shape[:2], np.uint8)  # OpenCV 5 writes text into bytes only
    cv2.putText(ink, text, origin, cv2.FONT_HERSHEY_TRIPLEX, scale, 255, thick, cv2.LINE_AA)
    picture += (ink / np.float32(255.0))[..., None] * (np.asarray(color, np.float32) - picture)


def townfront(rng: np.random.Generator) -> Texture:
    """A house front: fine courses of brick, floors of windows between bands, doors and panes at street level."""
    floors, columns = int(rng.integers(3, 5)), int(rng.integers(3, 6))
    picture = _courses(rng)
    trim = np.array([0.88, 0.86, 0.8]) * rng.uniform(0.75, 1.0)
    shutter, glass = random_color(rng, (0.3, 0.8), (0.25, 0.6)), random_color(rng, (0.1, 0.4), (0.1, 0.25))
    tall, wide = SIZE // floors, SIZE // columns
    for floor in range(floors):
        top = floor * tall
        for column in range(columns):
            left = column * wide
            if floor == floors - 1:
                _pane(picture, rng, (left + 10, top + tall // 5), (wide - 20, tall - tall // 5), trim, glass, 5)
            else:
                at, size = (left + wide // 3, top + tall // 4), (wide // 3, tall // 2)
                for side in (at[0] - wide // 6, at[0] + size[0] + 3):
                    _shutter(picture, (side, at[1]), (wide // 6 - 4, size[1]), shutter)
                _pane(picture, rng, at, size, trim, glass, 2)
        cv2.rectangle(picture, (0, top), (SIZE, top + 7), trim.tolist(), -1)
        cv2.rectangle(picture, (0, top + 8), (SIZE, top + 10), (0.45 * trim).tolist(), -1)
    return worn(rng, np.clip(picture, 0, 1), 0.12)


def _courses(rng: np.random.Generator) -> np.ndarray:
    """A wall of thin bricks, each of its own tone, with joints."""
    rows, columns = 64, 24
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    row = np.floor(y * rows).astype(int)
    shifted = x * columns + 0.5 * (row % 2)
    color = random_color(rng, (0.2, 0.6), (0.45, 0.75), EARTH)
    tone = rng.uniform(0.65, 1.2, (rows, columns + 1, 1)) * (1 + rng.normal(0, 0.05, (rows, columns + 1, 3)))
    joint = (y * rows % 1 > 0.8) | (shifted % 1 > 0.92)
    wall = np.clip(color * tone, 0, 1)[row, np.floor(shifted).astype(int)]
    return np.where(joint[..., None], 0.78, wall).astype(np.float32)


def _pane(picture, rng, at: tuple[int, int], size: tuple[int, int], trim: np.ndarray, glass: np.ndarray, bars: int):
    """A window with frame, curtains or lamplight, glazing bars and a sill."""
    (x, y), (w, h) = at, size
    cv2.rectangle(picture, (x - 5, y - 5), (x + w + 5, y + h + 5), trim.tolist(), -1)
    pane = np.array([0.95, 0.8, 0.45]) if rng.random() < 0.15 else glass * rng.uniform(0.6, 1.7)
    shade = np.linspace(0.75, 1.2, h)[:, None, None] * np.ones((1, w, 1))
    if rng.random() < 0.6:
        drape = np.abs(np.linspace(-1, 1, w)) > rng.uniform(0.35, 0.8)
        folds = 0.75 + 0.25 * np.sin(np.arange(w) * 1.3)
        shade = np.where(drape[None, :, None], folds[None, :, None] * 0.8 / max(pane.mean(), 0.05), shade)
    part = picture[max(y, 0) : y + h, max(x, 0) : x + w]
    part[:] = np.clip(pane * shade, 0, 1)[: part.shape[0], : part.shape[1]]
    for step in range(1, bars):
        cv2.line(picture, (x + step * w // bars, y), (x + step * w // bars, y + h), trim.tolist(), 2)
    for step in range(1, 3):
        cv2.line(picture, (x, y + step * h // 3), (x + w, y + step * h // 3), trim.tolist(), 2)
    cv2.rectangle(picture, (x - 8, y + h + 4), (x + w + 8, y + h + 9), (0.6 * trim).tolist(), -1)


def _shutter(picture: np.ndarray, at: tuple[int, int], size: tuple[int, int], color: np.ndarray) -> None:
    """A louvred shutter."""
    (x, y), (w, h) = at, size
    slats = color * (0.65 + 0.5 * ((np.arange(h) % 5) / 4))[:, None]
    part = picture[y : y + h, max(x, 0) : max(x + w, 0)]
    part[:] = np.clip(slats, 0, 1)[: part.shape[0], None]
