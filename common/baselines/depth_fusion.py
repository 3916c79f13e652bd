"""A surface by multi-view stereo without learning: depth of every photograph, checked and fused.

1. sweep planes through each photograph's frustum, aggregate semi-globally (`plane_sweep.py`, `cost_aggregation.py`)
2. keep a depth where another view's depth map has the same point
3. average truncated signed distances along the rays in a volume (Curless and Levoy, "A Volumetric Method for Building
   Complex Models from Range Images", SIGGRAPH 1996); the surface is its zero level where it was observed
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from common.baselines.blending import depth_to_points
from common.baselines.cost_aggregation import semi_global
from common.baselines.plane_sweep import MatchingSettings, matching_costs
from common.baselines.plane_sweep_blending import cheapest_depth
from common.baselines.reconstruction import Reconstruction, box_of, source_cameras
from common.baselines.source_views import PosedImage, TargetView, load_sources
from common.bounding_cubes import Cube
from common.cameras import project
from common.datasets.scene import Scene
from common.meshes import extract_surface
from common.meshes.cleaning import faces_of_vertices, keep_faces
from common.renderer import SurfaceMesh

_SURFACE = 0.5  # of the truncation: what is farther from the zero level is the volume's rim, no surface


@dataclass(frozen=True)
class DepthFusionSettings:
    """All parameters of the method; the defaults were chosen on generated scenes 900 to 999.

    Attributes:
        planes: Number of planes, uniform in disparity between a view's depth bounds.
        sweep_pixels: The sweep works on smaller pictures where they have more pixels than this.
        small_step, large_step: Of semi-global matching.
        tolerance: Two depths of a point agree up to this fraction.
        fewest_views: How many other views must agree with a depth.
        truncation: In grid steps; a depth tells nothing farther behind it.
        matching: Of windows.
    """

    planes: int = 128
    sweep_pixels: int = 200_000
    small_step: float = 0.03
    large_step: float = 0.3
    tolerance: float = 0.01
    fewest_views: int = 1
    truncation: float = 4.0
    matching: MatchingSettings = field(default_factory=lambda: MatchingSettings(best_pairs=0.5))


@dataclass(frozen=True)
class DepthView:
    """A view and the depth that is known of it, NaN elsewhere."""

    view: TargetView
    depth: Float[np.ndarray, "H W"]


class DepthFusion(Reconstruction):
    """Depth maps of two or more photographs, fused within a box.

    Args:
        resolution: Grid points along a side of the box.
        cube: The box; None takes what the sources see together.
        settings: Everything else.
    """

    def __init__(self, resolution: int = 256, cube: Cube | None = None, settings: DepthFusionSettings | None = None):
        self.resolution, self.cube, self.settings = resolution, cube, settings or DepthFusionSettings()

    def reconstruct(self, scene: Scene, source_ids: Sequence[int]) -> SurfaceMesh:
        """What the photographs show of the surface; it has holes where they disagree.

        Raises:
            ValueError: Fewer than two sources, or no depth in the box on which two views agree.
        """
        if len(source_ids) < 2:
            raise ValueError(
                f"depth fusion compares photographs and needs at least 2 source views, got {len(source_ids)}"
            )
        cameras = source_cameras(scene, source_ids)
        box = box_of(self.cube, scene, cameras)
        photographs = load_sources(scene, source_ids)
        views = [TargetView.from_camera(camera).with_at_most(self.settings.sweep_pixels) for camera in cameras]
        depths = [swept_depth(views[i], photographs, i, self.settings) for i in range(len(views))]
        swept = [DepthView(*pair) for pair in zip(views, depths, strict=True)]
        known = [agreeing(one, [other for other in swept if other is not one], self.settings) for one in swept]
        return fuse(known, box, self.resolution, self.settings.truncation)


def swept_depth(
    view: TargetView, photographs: Sequence[PosedImage], own: int, settings: DepthFusionSettings
) -> Float[np.ndarray, "H W"]:
    """Depth of every pixel of the view whose photograph is number `own`."""
    ordered = [photographs[own], *photographs[:own], *photographs[own + 1 :]]
    sources = [photograph.shrunk_to_focal(view.intrinsics[0, 0]) for photograph in ordered]
    near, far = view.near_far
    disparities = np.linspace(1 / near, 1 / far, settings.planes)
    costs = matching_costs(view, sources, disparities, settings.matching, own_photograph=True)
    return cheapest_depth(semi_global(costs, settings.small_step, settings.large_step), disparities)


def agreeing(one: DepthView, others: Sequence[DepthView], settings: DepthFusionSettings) -> DepthView:
    """The depths of a view on which enough others agree."""
    return DepthView(one.view, np.where(_is_confirmed(one, others, settings), one.depth, np.float32(np.nan)))


def _is_confirmed(
    one: DepthView, others: Sequence[DepthView], settings: DepthFusionSettings
) -> Bool[np.ndarray, "H W"]:
    points = torch.from_numpy(depth_to_points(one.view, one.depth)).reshape(-1, 3)
    count = np.zeros(one.depth.size, np.int64)
    for other in others:
        z, found = _depth_towards(other, points, settings.tolerance)
        count += ((z - found).abs() <= settings.tolerance * z).numpy()
    return (count >= settings.fewest_views).reshape(one.depth.shape)


def fuse(views: Sequence[DepthView], box: Float[Tensor, "2 3"], resolution: int, truncation: float) -> SurfaceMesh:
    """The surface of depth maps.

    Args:
        views: At least one.
        box: Lower and upper corner, world frame.
        resolution: Grid points along a side.
        truncation: In grid steps.

    Raises:
        ValueError: No depth lies in the box.
    """
    reach = truncation * float((box[1] - box[0]).max()) / (resolution - 1)
    distance = fused_distance(views, reach)
    mesh = extract_surface(distance, box, resolution, is_dense=True)
    near_zero = torch.cat([distance(part).abs() < _SURFACE * reach for part in mesh.vertices.split(1 << 16)])
    faces = mesh.faces.numpy()
    kept = faces_of_vertices(faces, near_zero.numpy())
    if not kept.any():
        raise ValueError(
            f"no depth on which two views agree lies in the box {box.tolist()}; the photographs show no"
            " common texture, or the cameras or the box are wrong"
        )
    vertices, faces = keep_faces(mesh.vertices.numpy(), faces, kept)
    return SurfaceMesh(torch.from_numpy(vertices), torch.from_numpy(faces))


def fused_distance(views: Sequence[DepthView], reach: float) -> Callable[[Float[Tensor, "N 3"]], Float[Tensor, " N"]]:
    """Mean distance to the depth maps along their rays, within +-reach; -reach where no view tells.

    A view counts less the farther a point lies behind its depth, and no more from `reach` on.
    """

    def distance(points: Float[Tensor, "N 3"]) -> Float[Tensor, " N"]:
        total, weight = (torch.zeros(len(points), dtype=torch.float64) for _ in range(2))
        for view in views:
            z, depth = _depth_towards(view, points.double(), 0.5 * reach / view.view.near_far[0])
            behind = depth - z
            trust = torch.where(behind.isnan(), 0.0, (1 + behind / reach).clamp(0, 1))
            total += trust * behind.nan_to_num().clamp(-reach, reach)
            weight += trust
        return torch.where(weight > 0, total / weight.clamp_min(1e-12), -reach).float()

    return distance


def _depth_towards(
    view: DepthView, points: Float[Tensor, "N 3"], smooth: float
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """Depth of points in the view, and the view's own depth there; NaN where it has none.

    Between pixels it is interpolated where the result differs from the nearest pixel by less than the fraction
    `smooth`; a larger step is an edge, where the nearest pixel counts.
    """
    camera = view.view
    intrinsics, world_to_cam = torch.from_numpy(camera.intrinsics), torch.from_numpy(camera.world_to_cam)
    pixels, z = project(points, intrinsics, world_to_cam)
    size = pixels.new_tensor([camera.width - 1, camera.height - 1])
    inside = (z > 0) & (pixels >= -0.5).all(1) & (pixels <= size + 0.5).all(1)
    grid = (2 * pixels / size - 1).nan_to_num().clamp(-1, 1)[None, None]
    depth = torch.from_numpy(view.depth).double()[None, None]
    between, nearest = (
        functional.grid_sample(depth, grid, mode=mode, padding_mode="border", align_corners=True)[0, 0, 0]
        for mode in ("bilinear", "nearest")
    )
    found = torch.where((between - nearest).abs() < smooth * nearest, between, nearest)
    return z, torch.where(inside, found, torch.nan)
