"""Lamps, and the light that reaches each vertex of a scene, computed once and shared by all views."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from common.synthetic.ray_casting import RayCaster
from common.synthetic.world import World

SURFACE_OFFSET = 0.35
SKY_REACH = 260.0


@dataclass(frozen=True)
class Lamp:
    """A round area light.

    Attributes:
        position: Centre, world frame, millimetres.
        radius: Millimetres; larger gives softer shadows.
        color: Linear irradiance of a surface at the origin that faces the lamp.
        samples: Rays per vertex.
    """

    position: Float[np.ndarray, "3"]
    radius: float
    color: Float[np.ndarray, "3"]
    samples: int


@dataclass(frozen=True)
class Lighting:
    """All light of a scene: lamps, and a sky that fades into the colour of the ground below the horizon."""

    lamps: tuple[Lamp, Lamp]
    sky: Float[np.ndarray, "3"]
    ground: Float[np.ndarray, "3"]


def random_lighting(rng: np.random.Generator, ground_color: Float[np.ndarray, "3"], front: float) -> Lighting:
    """A key lamp, a fill lamp and a sky.

    Args:
        rng: Chooses.
        ground_color: Mean linear colour of the ground, which colours the light from below.
        front: Azimuth (radians) of the side from which the cameras look.
    """
    warm = rng.uniform(-1, 1)
    tint = np.array([1 + 0.12 * warm, 1.0, 1 - 0.14 * warm])
    key_side = rng.choice([-1, 1])
    key = _lamp(
        front + key_side * rng.uniform(0.25, 1.5),
        rng.uniform(0.6, 1.3),
        rng.uniform(50, 200),
        tint * rng.uniform(1.0, 1.6),
        24,
    )
    fill = _lamp(
        front - key_side * rng.uniform(0.3, 1.4), rng.uniform(0.4, 1.1), 260.0, tint[::-1] * rng.uniform(0.1, 0.5), 12
    )
    sky = tint[::-1] * rng.uniform(0.35, 0.8)
    return Lighting((key, fill), sky, (0.25 * sky + 0.3 * tint) * ground_color)


def _lamp(azimuth, elevation, radius, color, samples, distance=950.0):
    flat = np.cos(elevation)
    direction = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])
    return Lamp(direction * distance, radius, color, samples)


def bake_visibility(world: World, caster: RayCaster, lighting: Lighting) -> Float32[np.ndarray, "P 3"]:
    """How much each vertex sees of the first lamp, the second lamp and the sky, each in [0, 1]."""
    starts = world.vertices + SURFACE_OFFSET * world.normals
    columns = [_lamp_visibility(starts, world.normals, caster, lamp) for lamp in lighting.lamps]
    columns.append(_sky_visibility(starts, world.normals, caster, samples=24))
    return np.stack(columns, axis=1).astype(np.float32)


def _spiral(count: int) -> Float[np.ndarray, "count 2"]:
    """Points spread evenly over the unit disk."""
    index = np.arange(count) + 0.5
    radius, angle = np.sqrt(index / count), index * np.pi * (3 - np.sqrt(5))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _lamp_visibility(starts, normals, caster, lamp):
    axis = lamp.position / np.linalg.norm(lamp.position)
    side, up = _frame(axis[None])
    seen = np.zeros(len(starts), np.float32)
    for dx, dy in _spiral(lamp.samples) * lamp.radius:
        directions = (lamp.position + dx * side[0] + dy * up[0] - starts).astype(np.float32)
        facing = np.flatnonzero((directions * normals).sum(axis=1) > 0)
        blocked = caster.is_blocked(starts[facing], directions[facing], 1.0)
        seen[facing] += ~blocked
    return seen / lamp.samples


def _sky_visibility(starts, normals, caster, samples):
    side, up = _frame(normals)
    seen = np.zeros(len(starts), np.float32)
    for dx, dy in _spiral(samples):
        height = np.sqrt(max(1.0 - dx * dx - dy * dy, 0.02))
        directions = (dx * side + dy * up + height * normals).astype(np.float32)
        seen += ~caster.is_blocked(starts, directions, SKY_REACH)
    return seen / samples


def _frame(axes):
    """Two unit vectors across each axis."""
    helper = np.where(np.abs(axes[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    side = np.cross(helper, axes)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    return side, np.cross(axes, side)
