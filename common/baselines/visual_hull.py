"""The visual hull: everything that all photographs show inside the object's outline.

Laurentini, "The Visual Hull Concept for Silhouette-Based Image Understanding", TPAMI 1994. As a field, positive
outside,

    f(x) = max_s  d_s(pi_s(x)) z_s(x) / focal_s

d_s is the signed distance to the outline in source s in pixels, pi_s the projection and z_s the depth; the factor
makes it a length, so that the zero level lies between voxels with sub-pixel precision. Where an object leaves a
picture, it is taken to go on as it does at the border.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from common.baselines.reconstruction import Reconstruction, box_of, source_cameras
from common.bounding_cubes import Cube
from common.cameras import Camera, project
from common.datasets.loading import load_mask
from common.datasets.scene import Scene
from common.meshes import extract_surface
from common.renderer import SurfaceMesh


class VisualHull(Reconstruction):
    """The visual hull of the sources' object masks within a box.

    Args:
        resolution: Grid points along a side of the box.
        cube: The box; None takes what the sources see together.
    """

    def __init__(self, resolution: int = 256, cube: Cube | None = None):
        self.resolution, self.cube = resolution, cube

    def reconstruct(self, scene: Scene, source_ids: Sequence[int]) -> SurfaceMesh:
        """The hull, closed where it would leave the box.

        Raises:
            ValueError: No source, a source without mask or with an empty one, or a hull that misses the box.
        """
        cameras = source_cameras(scene, source_ids)
        hull = hull_field(cameras, _masks(scene, source_ids))
        low, high = box_of(self.cube, scene, cameras)
        step = (high - low) / (self.resolution - 1)

        def closed(points: Float[Tensor, "N 3"]) -> Float[Tensor, " N"]:
            return torch.maximum(hull(points), torch.maximum(low - points, points - high).amax(1))

        return extract_surface(closed, torch.stack([low - step, high + step]), self.resolution)


def hull_field(
    cameras: Sequence[Camera], masks: Sequence[Bool[np.ndarray, "_ _"]]
) -> Callable[[Float[Tensor, "N 3"]], Float[Tensor, " N"]]:
    """The field f of the module's docstring, world points to scene units; positive behind a camera.

    Args:
        cameras: At least one.
        masks: One for each camera, at the size of its picture.
    """
    outlines = [torch.from_numpy(outline_distance(mask)) for mask in masks]

    def field(points: Float[Tensor, "N 3"]) -> Float[Tensor, " N"]:
        return torch.stack(
            [_distance(points, camera, outline) for camera, outline in zip(cameras, outlines, strict=True)]
        ).amax(0)

    return field


def outline_distance(mask: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Distance of pixel centres to the outline in pixels, negative inside; the outline runs between two pixels."""
    inside, outside = (
        cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for part in (mask, ~mask)
    )
    distance = np.where(mask, 0.5 - inside, outside - 0.5)
    longest = float(np.hypot(*mask.shape))
    return distance.clip(-longest, longest).astype(np.float32)


def _distance(points: Float[Tensor, "N 3"], camera: Camera, outline: Float[Tensor, "H W"]) -> Float[Tensor, " N"]:
    pixels, depth = project(points.double(), camera.intrinsics, camera.world_to_cam)
    size = pixels.new_tensor([camera.width - 1, camera.height - 1])
    grid = (2 * pixels / size - 1).clamp(-1, 1).float()
    sampled = functional.grid_sample(
        outline[None, None], grid[None, None], mode="bilinear", padding_mode="border", align_corners=True
    )[0, 0, 0]
    focal = float(camera.intrinsics.diagonal()[:2].mean())
    return torch.where(depth > 0, sampled * depth.float() / focal, 1e-3 - depth.float())


def _masks(scene: Scene, source_ids: Sequence[int]) -> list[Bool[np.ndarray, "_ _"]]:
    missing = [index for index in source_ids if scene.views[index].mask is None]
    if missing or not source_ids:
        lack = f"view {missing[0]} has none" if missing else "no source view was given"
        raise ValueError(
            f"the visual hull of scene {scene.name} needs an object mask for every source view, but {lack}; add masks,"
            " or reconstruct from the photographs alone with depth fusion"
        )
    masks = [load_mask(scene.views[index], pixel_origin=scene.pixel_origin) for index in source_ids]
    empty = [index for index, mask in zip(source_ids, masks, strict=True) if not mask.any()]
    if empty:
        raise ValueError(
            f"the object mask of view {empty[0]} of scene {scene.name} is empty"
            f" ({scene.views[empty[0]].mask.path}), so the visual hull is empty too; check the file and its threshold"
        )
    return masks
