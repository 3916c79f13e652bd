"""`generate`: a whole scene from a seed."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from common.datasets.rendered_scene import RenderedScene, RenderedView
from common.synthetic.arrangement import arrange_things
from common.synthetic.lighting import bake_visibility, random_lighting
from common.synthetic.materials import Palette
from common.synthetic.ray_casting import RayCaster, cast_depth
from common.synthetic.rendering import Stage, render_view, trace
from common.synthetic.rigs import RIGS, Rig
from common.synthetic.shading import build_tables, to_linear
from common.synthetic.surfaces import Surface
from common.synthetic.surroundings import surroundings
from common.synthetic.town import model_town
from common.synthetic.world import World, build_world

SMALLEST = 8
ATTEMPTS = 8
ENOUGH_INSIDE = 0.997
LIGHT_SPACING = 4.0


def generate(
    seed: int,
    rig: str = "dtu",
    size: tuple[int, int] = (160, 128),
    num_views: int | None = None,
    name: str | None = None,
) -> RenderedScene:
    """Things on a table, photographed from all positions of a rig; the same seed gives the same scene.

    Args:
        seed: Any integer from 0; it decides everything but the number and size of the pictures.
        rig: A name in `RIGS`. "dtu_full" is "dtu" with the lens of the full-size pictures: the same scene, more of it.
        size: Width and height of the pictures in pixels.
        num_views: None for the rig's own number.
        name: Of the scene; by default from the seed.

    Raises:
        ValueError: Unknown rig, a picture below 8 pixels, a negative seed, or a number of views that the rig does not
            have.
    """
    if rig not in RIGS:
        raise ValueError(f"unknown rig '{rig}'; choose one of {', '.join(RIGS)}")
    if min(size) < SMALLEST:
        raise ValueError(f"pictures need at least {SMALLEST} x {SMALLEST} pixels, not {size[0]} x {size[1]}")
    if seed < 0:
        raise ValueError(f"a seed is an integer from 0, not {seed}")
    chosen = RIGS[rig]
    poses = chosen.poses(np.random.default_rng([seed, 7]), num_views)
    intrinsics = chosen.lens(size)
    stage = set_stage(seed, RIGS[chosen.same_scenes_as or rig])
    views = tuple(render_view(stage, intrinsics, pose, size) for pose in poses)
    near_far = chosen.near_far or _bounds(views, chosen.scale)
    views = tuple(_in_units(view, chosen.scale) for view in views)
    return RenderedScene(name or f"scene{seed}", views, near_far, stage.world.mesh(chosen.scale))


def set_stage(seed: int, rig: Rig) -> Stage:
    """Build, light and expose a world; one that leaves the rig's depth bounds in too many pixels is replaced."""
    poses = rig.poses(np.random.default_rng([seed, 7]), None)
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([seed, 11, attempt])
        world, ground_color = _build(rng, rig)
        caster = RayCaster(world.vertices, world.faces)
        if rig.near_far is None or _share_inside(caster, rig, poses) > ENOUGH_INSIDE:
            break
    lighting = random_lighting(rng, ground_color, front=-np.pi / 2)
    tables = build_tables(world, lighting, bake_visibility(world, caster, lighting))
    stage = Stage(world, caster, tables, exposure=1.0, background=1.0 if rig.surroundings == "plate" else 0.0)
    return replace(stage, exposure=_exposure(rng, stage, rig, poses))


def _build(rng: np.random.Generator, rig: Rig) -> tuple[World, Float[np.ndarray, "3"]]:
    palette = Palette(rng)
    if rig.shows == "town":
        buildings, base = model_town(rng, palette)
        world = build_world(buildings, base, palette.materials, LIGHT_SPACING)
        return world, _mean_color(palette, base[0])
    objects = [part.moved(np.eye(3), rig.lift) for part in arrange_things(rng, palette, rig.reach)]
    around = [part.moved(np.eye(3), rig.lift) for part in surroundings(rng, palette, rig.surroundings, rig.reach)]
    return build_world(objects, around, palette.materials), _mean_color(palette, around[0])


def _mean_color(palette: Palette, ground: Surface) -> Float[np.ndarray, "3"]:
    return to_linear(palette.materials[ground.material].texture).mean(axis=(0, 1))


def _share_inside(caster: RayCaster, rig: Rig, poses: Float[np.ndarray, "V 4 4"]) -> float:
    """Share of the rig's pixels that meet nothing outside its depth bounds; open sky counts only where walls belong."""
    near, far = rig.near_far
    intrinsics = rig.lens((20, 16))
    depth = np.stack([cast_depth(caster, intrinsics, pose, (20, 16)) for pose in poses]) * rig.scale
    is_open = (depth == 0) & (rig.surroundings == "plate")
    return float((is_open | ((depth >= near) & (depth <= far))).mean())


def _exposure(rng: np.random.Generator, stage: Stage, rig: Rig, poses: Float[np.ndarray, "V 4 4"]) -> float:
    """A fixed exposure for all views: mean grey at a chosen level, few pixels burnt out."""
    intrinsics = rig.lens((40, 32))
    seen = []
    for pose in poses[:: max(len(poses) // 6, 1)]:
        hits, light = trace(stage, intrinsics, pose, np.arange(40.0), np.arange(32.0), 1.0)
        seen.append(light[hits.faces >= 0])
    grey = np.concatenate(seen) @ np.array([0.2126, 0.7152, 0.0722])
    return float(min(rng.uniform(0.15, 0.27) / grey.mean(), 1.05 / np.quantile(grey, 0.985)))


def _bounds(views: tuple[RenderedView, ...], scale: float) -> tuple[float, float]:
    depth = np.concatenate([view.depth[view.depth > 0] for view in views]) * scale
    return float(depth.min() * 0.9), float(depth.max() * 1.1)


def _in_units(view: RenderedView, scale: float) -> RenderedView:
    world_to_cam = view.world_to_cam.copy()
    world_to_cam[:3, 3] *= scale
    return replace(view, depth=view.depth * np.float32(scale), world_to_cam=world_to_cam)
