"""`--clean_mesh`: a mesh without what the object masks do not show (spec of the release, Sec. 9.3).

1. A vertex stays that lies inside the dilated masks of more than one view; a face stays with its three corners.
2. Of these, faces stay that some view sees first through its mask, on a grid of half a pixel.
3. Of these, connected components of at least 500 faces stay.
"""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from common.meshes.cleaning import faces_of_vertices, first_hit_faces, keep_faces, large_components, without_unused
from common.ops.rasterize.embree import RayCaster
from common.renderer import SurfaceMesh
from common.synthetic.ray_casting import camera_rays

DILATION = 11  # radius of the disc, pixels
FEWEST_FACES = 500
_SMALLEST_DEPTH = 1e-8


def clean_mesh(
    mesh: SurfaceMesh,
    masks: Float[Tensor, "V *channels H W"],
    intrs: Float[Tensor, "V 4 4"],
    c2ws: Float[Tensor, "V 4 4"],
) -> SurfaceMesh:
    """The part of a mesh that the masks show.

    Args:
        mesh: In the frame of `c2ws` (the normalised one: before `scale_mat`).
        masks: In [0, 1]; the object where the mean over channels is above 0.5.
        intrs: Pixels of the masks.
        c2ws: Camera to world, OpenCV axes.

    Raises:
        ValueError: A mask is empty, or nothing of the mesh is left.
    """
    shown = (masks.cpu().float().flatten(1, -3).mean(1) if masks.ndim == 4 else masks.cpu().float()).numpy() > 0.5
    for index, mask in enumerate(shown):
        if not mask.any():
            raise ValueError(
                f"the mask of view {index} is empty, so the mesh cannot be cleaned by it; check the mask file or run"
                " without --clean_mesh"
            )
    vertices, faces = mesh.vertices.cpu().double().numpy(), mesh.faces.cpu().numpy()
    cameras = [(k[:3, :3], np.linalg.inv(c2w)) for k, c2w in zip(_float64(intrs), _float64(c2ws), strict=True)]

    kept = faces[faces_in_masks(vertices, faces, np.stack([dilate(mask) for mask in shown]), cameras)]
    if not len(kept):
        raise ValueError(
            "cleaning leaves nothing of the mesh: no triangle lies inside the masks of two views; the mesh and the"
            " masks do not belong together, or run without --clean_mesh"
        )
    kept = kept[_faces_seen_through(vertices, kept, shown, cameras)]
    if not len(kept):
        raise ValueError("cleaning leaves nothing of the mesh: no view sees it through its mask; check the masks")
    kept = kept[large_components(kept, FEWEST_FACES)]
    used, renumbered = without_unused(kept, len(vertices))
    colors = None if mesh.colors is None else mesh.colors.cpu()[used]
    return SurfaceMesh(mesh.vertices.cpu()[used], torch.from_numpy(renumbered), colors)


def dilate(mask: Bool[np.ndarray, "H W"], radius: int = DILATION) -> Bool[np.ndarray, "H W"]:
    """The mask, grown by a disc."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = (x**2 + y**2 <= radius**2).astype(np.uint8)
    return cv2.dilate(mask.astype(np.uint8), disc) > 0


def faces_in_masks(
    vertices: Float[np.ndarray, "P 3"],
    faces: np.ndarray,
    masks: Bool[np.ndarray, "V H W"],
    cameras: list[tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"]]],
) -> Bool[np.ndarray, " T"]:
    """Faces whose corners all lie in the masks of more than one view.

    A mask is read bilinearly: a vertex lies in it if one of the four pixels around it does.

    Args:
        vertices: World frame.
        faces: Corners of each triangle.
        masks: One for each view.
        cameras: Intrinsics and world_to_cam of each view.
    """
    H, W = masks.shape[1:]
    count = np.zeros(len(vertices), np.int64)
    for mask, (intrinsics, world_to_cam) in zip(masks, cameras, strict=True):
        points_cam = vertices @ world_to_cam[:3, :3].T + world_to_cam[:3, 3]
        projected = points_cam @ intrinsics.T
        depth = projected[:, 2]
        grid = 2 * projected[:, :2] / np.maximum(depth, _SMALLEST_DEPTH)[:, None] / [W - 1, H - 1] - 1
        inside = (np.abs(grid) <= 1).all(1) & (depth > _SMALLEST_DEPTH)
        grid = torch.from_numpy(np.where(inside[:, None], grid, -2.0)).float()
        values = functional.grid_sample(
            torch.from_numpy(mask).float()[None, None], grid[None, None], align_corners=True
        ).reshape(-1)
        count += inside & (values.numpy() > 0)
    return faces_of_vertices(faces, count > 1)


def _faces_seen_through(vertices, faces, masks, cameras) -> Bool[np.ndarray, " T"]:
    """Faces that some view sees first through its mask, at twice the masks' resolution."""
    surface, corners = keep_faces(vertices, faces, np.ones(len(faces), bool))
    caster = RayCaster(surface, corners)
    H, W = masks.shape[1:]
    seen = np.zeros(len(faces), bool)
    for mask, (intrinsics, world_to_cam) in zip(masks, cameras, strict=True):
        rays = camera_rays(intrinsics, world_to_cam, np.linspace(0, W - 1, 2 * W), np.linspace(0, H - 1, 2 * H))
        through = mask.repeat(2, 0).repeat(2, 1).reshape(-1)
        seen |= first_hit_faces(caster, len(faces), *(part[through] for part in rays))
    return seen


def _float64(matrices: Tensor) -> Float[np.ndarray, "V 4 4"]:
    return matrices.detach().cpu().double().numpy()
