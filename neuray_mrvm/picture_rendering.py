"""Whole pictures, chunk by chunk of rays: memory grows with the chunk, not with the picture."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, UInt8

from common.visualization import to_uint8
from neuray_mrvm.databases.database import Database
from neuray_mrvm.geometry import picture_coords
from neuray_mrvm.networks.ray_rendering import PreparedViews, RayNetwork
from neuray_mrvm.view_batch import ViewBatch

Maps = dict[str, np.ndarray]


def render_picture(
    network: RayNetwork, prepared: PreparedViews, query: ViewBatch, report: Callable[[int], object] = lambda _: None
) -> Maps:
    """What the network says about every pixel of a camera.

    Args:
        network: In eval mode; its `ray_batch_num` rays are rendered at once.
        prepared: The views to render from.
        query: One camera, on the same device, without picture.
        report: Is told how many rays are done after every chunk.

    Returns:
        By the network's names, (h, w) or (h, w, channels): `pixel_colors_nr`, `pixel_colors_nr_fine`, and
        `render_depth` and `render_depth_fine` where the settings ask for depth.
    """
    parts: dict[str, list[np.ndarray]] = {}
    for coords in picture_coords(query).split(network.settings.ray_batch_num, dim=1):
        for name, values in network.render(prepared, replace(query, coords=coords)).items():
            parts.setdefault(name, []).append(values[0].cpu().numpy())
        report(coords.shape[1])
    return {name: np.concatenate(each).reshape(*query.size, *each[0].shape[1:]) for name, each in parts.items()}


def view_query(database: Database, view_id: str) -> ViewBatch:
    """The camera of a view of the scene, with its own depth bounds."""
    return _query(database, view_id, database.pose(view_id), database.depth_range(view_id))


def free_query(database: Database, pose: Float[np.ndarray, "3 4"]) -> ViewBatch:
    """A camera elsewhere, with lens and size of the first view."""
    return _query(database, database.ids[0], pose, database.depth_range_of(pose))


def depth_picture(depth: Float[np.ndarray, "h w"], near_far: Float[np.ndarray, "2"]) -> UInt8[np.ndarray, "h w"]:
    """Inverse depth as grey values: near is black, far is white."""
    near, far = near_far
    return to_uint8((1 / depth.clip(near, far) - 1 / near) / (1 / far - 1 / near))


def _query(
    database: Database, lens_of: str, pose: Float[np.ndarray, "3 4"], near_far: Float[np.ndarray, "2"]
) -> ViewBatch:
    width, height = database.size(lens_of)
    arrays = pose, database.K(lens_of), near_far
    poses, Ks, depth_range = (torch.from_numpy(np.ascontiguousarray(array))[None] for array in arrays)
    return ViewBatch(poses=poses, Ks=Ks, depth_range=depth_range, size=(height, width))
