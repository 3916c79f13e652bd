"""Pictures that materials are made of: sRGB in [0, 1], `SIZE` x `SIZE`, repeated by mirroring. Each maker takes a generator."""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from common.synthetic.noise import noise_field

SIZE = 512
Texture = Float[np.ndarray, "SIZE SIZE 3"]


def random_color(
    rng: np.random.Generator, saturation: tuple[float, float] | None = None, value: tuple[float, float] = (0.2, 0.92)
) -> Float[np.ndarray, "3"]:
    """An sRGB colour. Without a saturation it is one that things have: earth and wood, muted, seldom vivid."""
    hue = rng.uniform(0, 360)
    if saturation is None:
        kind = rng.random()
        hue = rng.normal(32, 14) % 360 if kind < 0.4 else hue
        saturation = (
            (0.15, 0.6) if kind < 0.4 else (0.0, 0.12) if kind < 0.55 else (0.2, 0.6) if kind < 0.9 else (0.55, 0.85)
        )
    hsv = np.array([[[hue, rng.uniform(*saturation), rng.uniform(*value)]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float64)


def palette(rng: np.random.Generator, count: int) -> Float[np.ndarray, "count 3"]:
    """Colours that differ from each other in lightness, in random order."""
    values = rng.permutation(np.linspace(rng.uniform(0.12, 0.35), rng.uniform(0.7, 0.95), count))
    return np.array([random_color(rng, value=(value, value)) for value in values])


def ramp(field: Float[np.ndarray, "H W"], colors: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "H W 3"]:
    """Colours looked up along a gradient."""
    at = np.linspace(0, 1, len(colors))
    return np.stack([np.interp(field, at, colors[:, k]) for k in range(3)], axis=-1)


def _grid():
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    return x, y


def _worn(rng, picture, amount=0.12):
    grain = noise_field(rng, SIZE, 0.6, 4) - 0.5
    stain = noise_field(rng, SIZE, 1.8) - 0.5
    return np.clip(picture * (1 + amount * grain + amount * 1.6 * stain)[..., None], 0, 1)


def plain(rng):
    """One colour, slightly uneven."""
    return _worn(rng, np.broadcast_to(random_color(rng), (SIZE, SIZE, 3)), rng.uniform(0.05, 0.2))


def marble(rng):
    """Veins."""
    x, y = _grid()
    warp = noise_field(rng, SIZE, 1.6)
    veins = (
        np.abs(np.sin((x * rng.integers(1, 4) + y * rng.integers(1, 4) + rng.uniform(1, 2.5) * warp) * 2 * np.pi))
        ** 0.45
    )
    return _worn(rng, ramp(veins, palette(rng, 3)), 0.1)


def wood(rng):
    """Planks with year rings."""
    x, y = _grid()
    planks = rng.integers(1, 7)
    plank = np.floor(y * planks).astype(int)
    warp = noise_field(rng, SIZE, 1.8)
    long = cv2.resize(noise_field(rng, SIZE, 0.8, 2)[:, :64], (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    rings = np.sin((y * rng.uniform(8, 22) + 2.5 * warp + 3.1 * plank + 0.4 * np.sin(x * 6.28)) * 6.28) * 0.5 + 0.5
    dark = random_color(rng, (0.4, 0.75), (0.18, 0.5))
    dark[[0, 1, 2]] = np.sort(dark)[::-1]
    light = np.clip(dark * rng.uniform(1.3, 1.9) + 0.05, 0, 1)
    tone = rng.uniform(0.8, 1.1, planks + 1)[plank]
    gap = np.abs((y * planks) % 1.0 - 0.5) > 0.488
    picture = ramp(np.clip(0.55 * rings + 0.45 * long, 0, 1), np.array([dark, light])) * tone[..., None]
    return np.clip(picture * np.where(gap & (planks > 1), 0.35, 1.0)[..., None], 0, 1)


def checker(rng):
    """Squares in two or three colours."""
    x, y = _grid()
    count = rng.integers(3, 13)
    cells = (np.floor(x * count) + np.floor(y * count) * rng.choice([1, 2])).astype(int) % rng.integers(2, 4)
    return _worn(rng, palette(rng, 3)[cells])


def stripes(rng):
    """Parallel bands of random width."""
    x, y = _grid()
    along = x if rng.random() < 0.5 else (x + y) / 2 if rng.random() < 0.5 else y
    edges = np.sort(rng.random(rng.integers(6, 30)))
    colors = palette(rng, rng.integers(2, 6))
    return _worn(rng, colors[rng.integers(0, len(colors), len(edges) + 1)][np.searchsorted(edges, along)], 0.08)


def plaid(rng):
    """Crossing bands, as woven."""
    colors = palette(rng, 4)
    edges = np.sort(rng.random(rng.integers(5, 14)))
    band = rng.integers(0, 4, len(edges) + 1)[np.searchsorted(edges, np.arange(SIZE) / SIZE)]
    weave = ((np.arange(SIZE)[:, None] + np.arange(SIZE)[None]) // 2 % 2)[..., None]
    return _worn(rng, np.where(weave == 0, colors[band][None], colors[band][:, None]), 0.1)


def bricks(rng):
    """Courses of bricks with mortar."""
    rows, columns = int(rng.integers(4, 12)) * 2, int(rng.integers(3, 7))
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    row = np.floor(y * rows).astype(int)
    shifted = x * columns + 0.5 * (row % 2)
    column = np.floor(shifted).astype(int) % (columns + 1)
    tone = rng.uniform(0.7, 1.2, (rows, columns + 1))[row, column]
    mortar = (np.abs(y * rows % 1 - 0.5) > 0.42) | (np.abs(shifted % 1 - 0.5) > 0.46)
    brick = random_color(rng, (0.3, 0.75), (0.35, 0.7))
    picture = np.where(mortar[..., None], rng.uniform(0.5, 0.8), brick * tone[..., None])
    return _worn(rng, np.clip(picture, 0, 1), 0.3)


def cells(rng):
    """Pebbles, mosaic or leather: cells around random points."""
    count = int(rng.integers(30, 500))
    points = rng.random((count, 2)) * SIZE
    tiled = np.concatenate([points + [dx, dy] for dx in (-SIZE, 0, SIZE) for dy in (-SIZE, 0, SIZE)])
    half = SIZE // 2
    y, x = np.mgrid[:half, :half] * 2.0
    from scipy.spatial import cKDTree

    distance, index = cKDTree(tiled).query(np.stack([x, y], -1).reshape(-1, 2), k=2)
    edge = (distance[:, 1] - distance[:, 0]).reshape(half, half) / np.sqrt(SIZE**2 / count)
    colors = palette(rng, 5)[rng.integers(0, 5, count)] * rng.uniform(0.7, 1.1, (count, 1))
    picture = (
        colors[index[:, 0] % count].reshape(half, half, 3) * np.clip(0.25 + edge * rng.uniform(3, 9), 0, 1)[..., None]
    )
    return _worn(rng, np.clip(cv2.resize(picture.astype(np.float32), (SIZE, SIZE)), 0, 1))


def clouds(rng):
    """Smooth blotches: paint, rust, camouflage, moss."""
    field = noise_field(rng, SIZE, rng.uniform(1.0, 1.8), rng.integers(1, 6))
    if rng.random() < 0.4:
        field = np.floor(field * 4.99) / 4
    return _worn(rng, ramp(field, palette(rng, rng.integers(2, 6))))


def speckle(rng):
    """Terrazzo, granite, sand: flecks on a ground."""
    picture = np.broadcast_to(random_color(rng), (SIZE, SIZE, 3)).copy()
    for color in palette(rng, 4):
        flecks = noise_field(rng, SIZE, rng.uniform(0.2, 0.9), 8, rng.uniform(25, 140)) > rng.uniform(0.75, 0.9)
        picture[flecks] = color
    return _worn(rng, picture, 0.1)


def fabric(rng):
    """Woven threads with a coarse motif."""
    pitch = int(rng.integers(4, 10))
    y, x = np.mgrid[:SIZE, :SIZE]
    thread = np.where(
        (x // pitch + y // pitch) % 2 == 0, np.sin(np.pi * (x % pitch) / pitch), np.sin(np.pi * (y % pitch) / pitch)
    )
    motif = ramp(noise_field(rng, SIZE, 2.0, 1, 24), palette(rng, 3))
    return _worn(rng, np.clip(motif * (0.55 + 0.5 * thread[..., None]), 0, 1))


def tiles(rng):
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
    return _worn(rng, np.clip(np.where(joint[..., None], 0.6 * colors[2] + 0.2, picture), 0, 1))


def dots(rng):
    """Dots or rings on a ground."""
    picture = np.tile(random_color(rng), (SIZE, SIZE, 1)).astype(np.float32)
    colors = palette(rng, 4)
    for _ in range(rng.integers(15, 130)):
        center = tuple(int(value) for value in rng.integers(0, SIZE, 2))
        width = -1 if rng.random() < 0.7 else int(rng.integers(2, 8))
        cv2.circle(picture, center, int(rng.integers(4, 38)), colors[rng.integers(4)].tolist(), width, cv2.LINE_AA)
    return _worn(rng, picture)


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


def newspaper(rng):
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
    return _worn(rng, np.clip(picture, 0, 1), 0.08)


def poster(rng):
    """A cover or label: fields, a figure, big letters."""
    colors = palette(rng, 5)
    picture = ramp(np.clip(_grid()[1] + 0.3 * noise_field(rng, SIZE, 2.0), 0, 1), colors[:2]).astype(np.float32)
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
    return _worn(rng, np.clip(picture, 0, 1), 0.1)


def facade(rng):
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


def shingles(rng):
    """Roof tiles in overlapping rows."""
    rows, columns = int(rng.integers(10, 22)), int(rng.integers(8, 18))
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    row = np.floor(y * rows).astype(int)
    shifted = x * columns + 0.5 * (row % 2)
    fx, fy = shifted % 1 - 0.5, y * rows % 1
    tone = rng.uniform(0.75, 1.15, (rows, columns + 2))[row, np.floor(shifted).astype(int)]
    shade = np.clip(0.45 + 0.6 * fy, 0, 1) * np.where(np.abs(fx) > 0.46, 0.5, 1.0)
    return _worn(rng, np.clip(random_color(rng, (0.1, 0.7), (0.35, 0.75)) * (tone * shade)[..., None], 0, 1), 0.15)


def scribbles(rng):
    """Curves drawn with thick pens."""
    picture = np.tile(random_color(rng, (0.0, 0.3), (0.6, 0.95)), (SIZE, SIZE, 1)).astype(np.float32)
    for color in palette(rng, int(rng.integers(4, 9))):
        t = np.linspace(0, 2 * np.pi, 160)[:, None]
        waves = rng.normal(size=(2, 5)) / np.arange(1, 6)
        curve = SIZE / 2 + SIZE / 3 * np.stack(
            [(np.sin(t * np.arange(1, 6) + 6 * rng.random(5)) * wave).sum(1) for wave in waves], -1
        )
        cv2.polylines(picture, [curve.astype(np.int32)], True, color.tolist(), int(rng.integers(3, 16)), cv2.LINE_AA)
    return _worn(rng, np.clip(picture, 0, 1))


def fruit(rng):
    """Skin: one hue with blush and fine dots."""
    base = random_color(rng, (0.6, 0.95), (0.5, 0.95))
    blush = np.clip(base * [1.1, 0.6, 0.5] + [0.1, 0, 0], 0, 1)
    picture = ramp(noise_field(rng, SIZE, 2.0, 1, 30), np.array([base, base * 0.9, blush]))
    return _worn(rng, np.where((noise_field(rng, SIZE, 0.2, 40) > 0.93)[..., None], 0.8 * picture + 0.2, picture), 0.15)


def leaf(rng):
    """Green with veins."""
    x, y = _grid()
    base = random_color(rng, (0.5, 0.9), (0.3, 0.6))
    base = base[np.argsort(np.argsort([0.3, 1.0, 0.1]))] if rng.random() < 0.2 else np.sort(base)[[1, 2, 0]]
    veins = (np.abs((np.abs(x - 0.5) * 1.4 + y) * 12 % 1 - 0.5) > 0.44) | (np.abs(x - 0.5) < 0.012)
    return _worn(rng, np.clip(np.where(veins[..., None], base * 1.4 + 0.08, base), 0, 1), 0.3)


PATTERNS: dict[str, Callable[[np.random.Generator], Texture]] = {
    maker.__name__: maker
    for maker in (
        plain, marble, wood, checker, stripes, plaid, bricks, cells, clouds, speckle, fabric, tiles, dots, newspaper, poster,
        facade, shingles, scribbles, fruit, leaf,
    )
}  # fmt: skip


def to_bytes(texture: Texture) -> UInt8[np.ndarray, "SIZE SIZE 3"]:
    """The texture in 8 bits, as it is stored."""
    return np.clip(np.asarray(texture) * 255.0 + 0.5, 0, 255).astype(np.uint8)
