"""Colour, depth and normals of rays from given samples (spec 4.9; NeuS, https://arxiv.org/abs/2106.10689).

A sample stands for the interval to the next one and is evaluated in its middle zm. With d the ray and g the gradient,

    it_cos = -(relu(1/2 - d.g / 2) (1 - r) + relu(-d.g) r)         r: cos_anneal_ratio, 0 early and 1 late in training
    c0, c1 = sigmoid((sdf -+ it_cos interval / 2) inv_s)           alpha = (c0 - c1) / c0

Only samples that a mask says views see are evaluated; the others are empty. `render_for_training` returns all that the
losses need, `render_for_viewing` colours and maps alone, without gradients.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gens.networks.blending import SourceViews, look_at_sources
from gens.networks.implicit_surface import ImplicitSurface
from gens.networks.patches import warp_patches
from gens.networks.ray_sampling import FAR_AWAY, weights_from_alpha
from gens.networks.sdf_inference import SdfField, evaluated_points
from gens.networks.volumes import Volumes, is_seen, total_variation

# Free-space points of the sparse loss.
NUM_FREE_POINTS = 1024


@dataclass(frozen=True)
class SceneVolumes:
    """A scene as the renderer sees it.

    Attributes:
        volumes: Regularised, fine to coarse.
        masks: 1 where more than one view sees a voxel, fine to coarse.
        sources: The views to blend from.
        intrinsics: Of all views, at the size of the images.
        cam_to_world: Of all views, in the cube's frame; view 0 is the reference.
        patch_maps: What patches are read from; None where nothing is trained.
    """

    volumes: Volumes
    masks: Volumes
    sources: SourceViews
    intrinsics: Float[Tensor, "V 4 4"]
    cam_to_world: Float[Tensor, "V 4 4"]
    patch_maps: Float[Tensor, "V C H W"] | None = None


class Rays(NamedTuple):
    """Origins and unit directions in the cube's frame."""

    origins: Float[Tensor, "R 3"]
    directions: Float[Tensor, "R 3"]


@dataclass(frozen=True)
class Intervals:
    """Samples along rays: where each is evaluated, how long it is, whether it lies in the unit sphere and is seen."""

    middle: Float[Tensor, "R N"]
    length: Float[Tensor, "R N"]
    points: Float[Tensor, "R*N 3"]
    seen: Bool[Tensor, "R N"]
    inside: Float[Tensor, "R N"]


def intervals(rays: Rays, z: Float[Tensor, "R N"], last: float, masks: Volumes) -> Intervals:
    """Intervals from each sample to the next; the last one of each ray is `last` long."""
    length = torch.cat([z[:, 1:] - z[:, :-1], torch.full_like(z[:, :1], last)], dim=-1)
    middle = z + length * 0.5
    points = rays.origins[:, None] + rays.directions[:, None] * middle[..., None]
    seen = is_seen(masks, points.flatten(0, 1)).view(z.shape)
    return Intervals(middle, length, points.flatten(0, 1), seen, ((points.norm(dim=-1) < 1) & seen).to(z.dtype))


def opacity(
    sdf: Float[Tensor, "R N"],
    gradient: Float[Tensor, "R N 3"],
    directions: Float[Tensor, "R 3"],
    samples: Intervals,
    inv_s: Float[Tensor, ""],
    cos_anneal_ratio: float,
) -> Float[Tensor, "R N"]:
    """The alpha of the module's text."""
    seen = samples.seen.to(sdf.dtype)
    cosine = (directions[:, None] * gradient).sum(dim=-1)
    early, late = torch.relu(0.5 - 0.5 * cosine), torch.relu(-cosine)
    change = (-(early * (1 - cos_anneal_ratio) + late * cos_anneal_ratio) * seen).clamp(-10, 10) * samples.length * 0.5
    c0, c1 = torch.sigmoid((sdf - change) * inv_s), torch.sigmoid((sdf + change) * inv_s)
    return ((c0 - c1 + 1e-5) / (c0 + 1e-5)).clamp(0, 1) * seen


class Crossing(NamedTuple):
    """The first place along each ray where the distance changes its sign, and whether that is a surface."""

    z: Float[Tensor, " R"]
    is_surface: Float[Tensor, " R"]


def first_crossing(sdf: Float[Tensor, "R N"], gradient: Float[Tensor, "R N 3"], samples: Intervals) -> Crossing:
    """Between the first two seen neighbours of opposite sign; `z` carries the gradient of their distances.

    It is a surface if both lie in the unit sphere and their gradients point the same way by and large.
    """
    pair = samples.seen[:, :-1] & samples.seen[:, 1:] & (sdf[:, :-1] * sdf[:, 1:] <= 0)
    first = pair.to(torch.uint8).argmax(dim=1, keepdim=True)

    def both(values: Tensor) -> tuple[Tensor, Tensor]:
        return values.gather(1, first)[:, 0], values.gather(1, first + 1)[:, 0]

    (sdf0, sdf1), (z0, z1) = both(sdf), both(samples.middle)
    inside0, inside1 = both(samples.inside)
    place = first[..., None].expand(-1, -1, 3)
    g0, g1 = gradient.gather(1, place)[:, 0], gradient.gather(1, place + 1)[:, 0]
    cosine = (g0 * g1).sum(dim=-1) / (g0.norm(dim=-1) * g1.norm(dim=-1) + 1e-8)
    is_surface = pair.any(dim=1) & ((inside0 + inside1) / 2 > 0.5) & (cosine > 0.5)
    return Crossing((sdf0 * z1 - sdf1 * z0) / (sdf0 - sdf1 + 1e-10), is_surface.to(sdf.dtype))


def spread(values: Tensor, rows: Tensor, number: int, fill: float = 0.0) -> Tensor:
    """An array of `number` rows with `values` at `rows` and `fill` elsewhere."""
    return values.new_full((number, *values.shape[1:]), fill).index_copy(0, rows, values)


def render_for_training(
    surface: ImplicitSurface,
    scene: SceneVolumes,
    rays: Rays,
    z: Float[Tensor, "R N"],
    last: float,
    cos_anneal_ratio: float,
) -> dict[str, Tensor]:
    """The entries of spec 4.9, with gradients.

    Args:
        surface: The networks.
        scene: With `patch_maps`.
        rays: To render.
        z: Sorted distances of the samples.
        last: Length of each ray's last interval.
        cos_anneal_ratio: See the module.
    """
    R, N = z.shape
    samples = intervals(rays, z, last, scene.masks)
    evaluated = evaluated_points(samples.seen.flatten())
    points = samples.points[evaluated]
    derivatives = surface.sdf_network.derivatives(points, scene.volumes)
    shown = look_at_sources(scene.sources, points)
    colors = surface.color_network(*shown)

    sdf = spread(derivatives.sdf[:, 0], evaluated, R * N, FAR_AWAY).view(R, N)
    gradient = spread(derivatives.gradient, evaluated, R * N).view(R, N, 3)
    smooth = spread(derivatives.smooth, evaluated, R * N).view(R, N, 3)
    color = spread(colors, evaluated, R * N).view(R, N, 3)
    num_views = spread(shown.mask.sum(dim=-1).to(z.dtype), evaluated, R * N).view(R, N)

    inv_s = surface.deviation_network()
    weights = weights_from_alpha(opacity(sdf, gradient, rays.directions, samples, inv_s, cos_anneal_ratio))
    crossing = first_crossing(sdf, gradient, samples)
    free = torch.rand((NUM_FREE_POINTS, 3), device=z.device, dtype=z.dtype) * 2 - 1
    free_sdf = surface.sdf_network.sdf(free, scene.volumes)
    smoothness = (smooth * (weights.detach() * samples.inside)[..., None]).sum(dim=1)
    near = ((samples.points.view(R, N, 3).norm(dim=-1) < 1.2) & samples.seen).to(z.dtype)
    return {
        **_maps(weights, color, gradient, samples, crossing, scene.cam_to_world[0, :3, :3], rays),
        "weights": weights,
        "weight_sum": weights.sum(dim=-1, keepdim=True),
        "weight_max": weights.amax(dim=-1, keepdim=True),
        "gradients": gradient,
        "s_val": (1 / inv_s).expand(R * N, 1),
        "inside_sphere": samples.inside,
        "gradient_error": (near * (gradient.norm(dim=-1) - 1).square()).sum() / (near.sum() + 1e-5),
        "smooth_error": smoothness.norm(dim=-1).mean(),
        "sparse_sdf": torch.cat([free_sdf, sdf.view(-1, 1)]),
        "tv_reg": total_variation(scene.volumes, scene.masks),
        "valid_mask": (num_views > 1).sum(dim=-1, keepdim=True) > 8,
        "mid_inside_sphere": crossing.is_surface[:, None],
        **_patches(surface, scene, rays, crossing.z, z.max()),
    }


def render_for_viewing(
    surface: ImplicitSurface,
    field: SdfField,
    scene: SceneVolumes,
    rays: Rays,
    z: Float[Tensor, "R N"],
    last: float,
) -> dict[str, Tensor]:
    """`color_fine normal render_depth sdf_depth` as in training, `opacity`, `normal_inside`: of the unit sphere."""
    R, N = z.shape
    samples = intervals(rays, z, last, scene.masks)
    evaluated = samples.seen.flatten().nonzero()[:, 0]
    points = samples.points[evaluated]
    values, slopes = field.with_gradient(points)
    color = surface.color_network(*look_at_sources(scene.sources, points))
    sdf = spread(values, evaluated, R * N, FAR_AWAY).view(R, N)
    gradient = spread(slopes, evaluated, R * N).view(R, N, 3)
    inv_s = surface.deviation_network()
    weights = weights_from_alpha(opacity(sdf, gradient, rays.directions, samples, inv_s, 1.0))
    crossing = first_crossing(sdf, gradient, samples)
    rotation = scene.cam_to_world[0, :3, :3]
    maps = _maps(weights, spread(color, evaluated, R * N).view(R, N, 3), gradient, samples, crossing, rotation, rays)
    inside = (gradient * (weights * samples.inside)[..., None]).sum(dim=1) @ torch.linalg.inv(rotation).mT
    return maps | {"normal_inside": inside, "opacity": weights.sum(dim=-1)}


def _maps(
    weights: Float[Tensor, "R N"],
    color: Float[Tensor, "R N 3"],
    gradient: Float[Tensor, "R N 3"],
    samples: Intervals,
    crossing: Crossing,
    rotation: Float[Tensor, "3 3"],
    rays: Rays,
) -> dict[str, Tensor]:
    """What a ray shows; depths are along the reference camera's axis."""
    to_camera = torch.linalg.inv(rotation)
    along_axis = rays.directions @ to_camera[2]
    return {
        "color_fine": (weights[..., None] * color).sum(dim=1),
        "render_depth": (weights * samples.middle).sum(dim=-1) * along_axis,
        "normal": (weights[..., None] * gradient).sum(dim=1) @ to_camera.mT,
        "sdf_depth": (crossing.z * along_axis * crossing.is_surface)[:, None],
    }


def _patches(
    surface: ImplicitSurface, scene: SceneVolumes, rays: Rays, z: Float[Tensor, " R"], farthest: Float[Tensor, ""]
) -> dict[str, Tensor]:
    """Patches at the crossings; a crossing outside the samples is put at the ray's origin (it is not counted)."""
    z = torch.where((z < 0) | (z > farthest), 0.0, z)
    points = rays.origins + rays.directions * z[:, None]
    normals = surface.sdf_network.with_gradient(points.detach(), scene.volumes)[1].detach()
    normals = normals / normals.norm(dim=-1, keepdim=True).clamp(min=1e-8)
    normals_cam = normals @ scene.cam_to_world[0, :3, :3]
    patches = warp_patches(points, normals_cam, scene.patch_maps, scene.intrinsics, scene.cam_to_world)
    return {"ref_gray_val": patches.reference, "sampled_gray_val": patches.sources}
