"""From a lit world and a camera to a picture with depth and mask."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from common.datasets.rendered_scene import RenderedView
from common.synthetic.ray_casting import Hits, RayCaster, camera_rays
from common.synthetic.shading import ShadingTables, shade, to_srgb
from common.synthetic.world import World

TENT = np.array([0.25, 0.5, 0.25], np.float32)
BRIGHTEST = 3.0
SAMPLES_AT_ONCE = 400_000


@dataclass(frozen=True)
class Stage:
    """A world that is ready to be photographed.

    Attributes:
        exposure: Linear light times this is what the sensor records.
        background: Recorded linear light where nothing is hit.
    """

    world: World
    caster: RayCaster
    tables: ShadingTables
    exposure: float
    background: float


def render_view(
    stage: Stage, intrinsics: Float[np.ndarray, "3 3"], world_to_cam: Float[np.ndarray, "4 4"], size: tuple[int, int]
) -> RenderedView:
    """A picture of `size` (width, height).

    Colour is a tent filter over 3 x 3 samples half a pixel apart; depth and mask are those of the middle sample alone,
    so they are exact at the pixel centre and never mixed across an edge.
    """
    width, height = size
    rows = max(SAMPLES_AT_ONCE // (4 * width), 1)
    bands = [
        _render_rows(stage, intrinsics, world_to_cam, width, first, min(first + rows, height))
        for first in range(0, height, rows)
    ]
    image, depth, mask = (np.concatenate(part) for part in zip(*bands, strict=True))
    return RenderedView(image, depth, mask, intrinsics, world_to_cam)


def _render_rows(stage: Stage, intrinsics, world_to_cam, width: int, first: int, end: int):
    """Image, depth and mask of the rows from `first` to before `end`."""
    x, y = np.arange(2 * width + 1) / 2 - 0.5, np.arange(2 * first, 2 * end + 1) / 2 - 0.5
    hits, light = trace(stage, intrinsics, world_to_cam, x, y, spacing=0.5)
    light = np.minimum(light, BRIGHTEST).reshape(len(y), len(x), 3)
    rows = TENT[0] * light[:-2:2] + TENT[1] * light[1:-1:2] + TENT[2] * light[2::2]
    mean = TENT[0] * rows[:, :-2:2] + TENT[1] * rows[:, 1:-1:2] + TENT[2] * rows[:, 2::2]
    faces = hits.faces.reshape(len(y), len(x))[1::2, 1::2]
    depth = np.where(faces >= 0, hits.t.reshape(len(y), len(x))[1::2, 1::2], 0.0).astype(np.float32)
    mask = (faces >= 0) & stage.world.is_object[stage.world.face_part[faces]]
    return (to_srgb(mean) * 255.0 + 0.5).astype(np.uint8), depth, mask


def trace(stage: Stage, intrinsics, world_to_cam, x, y, spacing) -> tuple[Hits, Float32[np.ndarray, "R 3"]]:
    """Hits and recorded linear light of the rays through a grid of pixel positions."""
    origins, directions = camera_rays(intrinsics, world_to_cam, x, y)
    hits = stage.caster.first_hits(origins, directions)
    light = shade(stage.world, stage.tables, hits, origins[0], directions, spacing / intrinsics[0, 0]) * stage.exposure
    light[hits.faces < 0] = stage.background
    return hits, light
