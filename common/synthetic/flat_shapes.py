"""Shapes of a few large flat triangles, and how to divide them for baked light. z is up; millimetres.

Flat shapes keep their edges sharp: no two of their faces share vertices.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from common.synthetic.surfaces import Surface, join_surfaces


def polygon(corners, texture) -> Surface:
    """A flat convex polygon.

    Args:
        corners: N points, counter-clockwise when seen from outside.
        texture: N places (u, v) on the material, millimetres.
    """
    corners, texture = np.asarray(corners, np.float64), np.asarray(texture, np.float64)
    count = len(corners)
    faces = np.stack([np.zeros(count - 2), np.arange(1, count - 1), np.arange(2, count)], 1).astype(np.int64)
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    normals = np.tile(normal / np.linalg.norm(normal), (count, 1))
    return Surface(corners, faces, normals, np.concatenate([texture, np.zeros((count, 1))], axis=1))


def regular_outline(radius: float, corners: int, turn: float = 0.0) -> Float[np.ndarray, "N 2"]:
    """A regular polygon in plan, counter-clockwise."""
    angle = turn + 2 * np.pi * np.arange(corners) / corners
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def oblong_outline(width: float, length: float, x: float = 0.0, y: float = 0.0) -> Float[np.ndarray, "4 2"]:
    """A rectangle in plan around (x, y), counter-clockwise, beginning with the side that faces -y."""
    return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array([width, length]) / 2 + np.array([x, y])


def walls(
    outline: Float[np.ndarray, "N 2"], low: float, high: float, per_side: tuple[float, float] | None = None
) -> Surface:
    """Upright walls above a convex outline.

    Args:
        outline: In plan, counter-clockwise.
        low: Height of the foot.
        high: Height of the top.
        per_side: Width and height of the material that each side shows, stretched to fit; None wraps it around the
            outline at its own size.
    """
    sides, start = [], 0.0
    for a, b in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        length = float(np.linalg.norm(b - a))
        u, v = (np.array([start, start + length]), high - low) if per_side is None else ((0, per_side[0]), per_side[1])
        corners = [[*a, low], [*b, low], [*b, high], [*a, high]]
        sides.append(polygon(corners, [[u[0], 0], [u[1], 0], [u[1], v], [u[0], v]]))
        start += length
    return join_surfaces(sides)


def pyramid(outline: Float[np.ndarray, "N 2"], low: float, high: float) -> Surface:
    """Triangles from a convex outline to a point above the origin; a flat cover where `low` is `high`."""
    sides = []
    for a, b in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        corners = np.array([[*a, low], [*b, low], [0.0, 0.0, high]])
        if low == high:
            texture = corners[:, :2]
        else:
            length, slant = np.linalg.norm(b - a), np.linalg.norm([*((a + b) / 2), high - low])
            texture = [[0, 0], [length, 0], [length / 2, slant]]
        sides.append(polygon(corners, texture))
    return join_surfaces(sides)


def divided(surface: Surface, spacing: float) -> Surface:
    """The same surface in triangles with edges of at most `spacing`; normals and texture points are interpolated."""
    corners = surface.vertices[surface.faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1).max(axis=1)
    steps = np.maximum(np.ceil(longest / spacing), 1).astype(int)
    pieces = [_divided(surface, np.flatnonzero(steps == count), int(count)) for count in np.unique(steps)]
    return join_surfaces(pieces)


def _divided(surface: Surface, chosen: np.ndarray, count: int) -> Surface:
    """Some faces, each in count^2 triangles."""
    index = {}
    for i in range(count + 1):
        for j in range(count + 1 - i):
            index[i, j] = len(index)
    weights = np.array([[count - i - j, i, j] for i, j in index]) / count
    upright = [(index[i, j], index[i + 1, j], index[i, j + 1]) for i, j in index if i + j < count]
    turned = [(index[i + 1, j], index[i + 1, j + 1], index[i, j + 1]) for i, j in index if i + j < count - 1]
    faces = np.array(upright + turned)
    offsets = np.arange(len(chosen))[:, None, None] * len(index)

    def mixed(values):
        return np.einsum("ws,fsk->fwk", weights, values[surface.faces[chosen]]).reshape(-1, 3)

    normals = mixed(surface.normals)
    return replace(
        surface,
        vertices=mixed(surface.vertices),
        faces=(faces + offsets).reshape(-1, 3),
        normals=normals / np.linalg.norm(normals, axis=1, keepdims=True),
        texture_points=mixed(surface.texture_points),
    )
