"""Rays, projections and look-ups of maps (spec 5.7).

Frames are OpenCV cameras; pixel centres lie on integers; depth is z along the optical axis. A point behind a camera
counts as seen when its projection falls into the picture: the released models were trained so.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from common.rays import pixel_grid
from neuray_mrvm.view_batch import ViewBatch

# Depths nearer to the camera's plane than this are replaced by `_NEAR_PLANE_DEPTH`, and the point is not seen.
_MIN_DEPTH = 1e-4
_NEAR_PLANE_DEPTH = 1e-3


class QueryRays(NamedTuple):
    """Rays of one camera: `center + depth * directions`.

    Attributes:
        center: Camera centre in the world.
        directions: Of unit z in the camera's frame.
    """

    center: Float[Tensor, "3"]
    directions: Float[Tensor, "R 3"]

    def points(self, depth: Float[Tensor, "R N"]) -> Float[Tensor, "R N 3"]:
        """World positions at depths along the rays."""
        return self.center + self.directions[:, None] * depth[..., None]

    def to_camera(self) -> Float[Tensor, "R 3"]:
        """Unit vectors from the rays' points towards the camera."""
        return -functional.normalize(self.directions, dim=-1)


class Projection(NamedTuple):
    """World points as the views see them.

    Attributes:
        pixels: (x, y) in the padded picture.
        depth: Along the views' optical axes.
        directions: Unit vectors from the points to the views' centres.
        valid: Whether a point falls into a picture.
    """

    pixels: Float[Tensor, "V *points 2"]
    depth: Float[Tensor, " V *points"]
    directions: Float[Tensor, "V *points 3"]
    valid: Bool[Tensor, " V *points"]


def camera_centers(poses: Float[Tensor, "V 3 4"]) -> Float[Tensor, "V 3"]:
    """Camera centres in the world."""
    return -(poses[:, :, :3].mT @ poses[:, :, 3:])[..., 0]


def query_rays(query: ViewBatch, coords: Float[Tensor, "R 2"]) -> QueryRays:
    """Rays of the first view of `query` through pixels (x, y)."""
    pixel_to_world = query.poses[0, :, :3].mT @ torch.linalg.inv(query.Ks[0])
    homogeneous = torch.cat([coords, torch.ones_like(coords[:, :1])], dim=-1)
    return QueryRays(camera_centers(query.poses)[0], homogeneous @ pixel_to_world.mT)


def picture_coords(query: ViewBatch) -> Float[Tensor, "1 R 2"]:
    """The (x, y) of every pixel of the query, row by row."""
    return pixel_grid(*query.size, like=query.Ks).view(1, -1, 2)


def project_points(views: ViewBatch, points: Float[Tensor, "*points 3"]) -> Projection:
    """Points in all views."""
    flat = points.reshape(-1, 3)
    # Term by term, as the released program multiplies: near the camera's plane little else than rounding is left.
    columns = (views.Ks @ views.poses)[:, None].unbind(dim=-1)
    homogeneous = sum(columns[axis] * flat[:, axis : axis + 1] for axis in range(3)) + columns[3]
    depth = homogeneous[..., 2]
    is_in_plane = depth.abs() < _MIN_DEPTH
    depth = depth.masked_fill(is_in_plane, _NEAR_PLANE_DEPTH)
    pixels = homogeneous[..., :2] / depth[..., None]
    height, width = views.size
    is_inside = (pixels >= -0.5) & (pixels < pixels.new_tensor([width - 0.5, height - 0.5]))
    to_view = camera_centers(views.poses)[:, None] - flat
    directions = to_view / to_view.norm(dim=-1, keepdim=True).clamp(min=1e-5)
    valid = is_inside.all(dim=-1) & ~is_in_plane
    return Projection(*(each.unflatten(1, points.shape[:-1]) for each in (pixels, depth, directions, valid)))


def look_up(
    maps: Float[Tensor, "V C h w"],
    pixels: Float[Tensor, "V *points 2"],
    picture_size: tuple[int, int],
    padding_mode: str = "border",
) -> Float[Tensor, "V *points C"]:
    """Bilinear values of maps at pixels of the pictures they belong to.

    Positions are always divided by (size - 1) of the picture, but smaller maps are read as if their outer edges were
    the ends of the range: their values lie up to half a map pixel away (spec, quirk 1; the released models need it).

    Args:
        maps: At the size of the pictures or smaller.
        pixels: (x, y) in the pictures.
        picture_size: Height and width.
        padding_mode: Outside: `border` repeats the outermost value, `zeros` fades to 0.
    """
    height, width = picture_size
    grid = pixels * (2 / pixels.new_tensor([width - 1, height - 1])) - 1
    is_full_size = tuple(maps.shape[-2:]) == (height, width)
    grid = grid.reshape(len(maps), 1, -1, 2)
    values = functional.grid_sample(maps, grid, padding_mode=padding_mode, align_corners=is_full_size)
    return values[:, :, 0].mT.unflatten(1, pixels.shape[1:-1])


def direction_differences(
    view_directions: Float[Tensor, "V R N 3"], query_directions: Float[Tensor, " R #N 3"]
) -> Float[Tensor, "V R N 4"]:
    """How differently the views and the query look at points: the difference of the unit vectors, and their product."""
    dot = (view_directions * query_directions).sum(dim=-1, keepdim=True)
    return torch.cat([view_directions - query_directions, dot], dim=-1)
