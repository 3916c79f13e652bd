"""A scene held in memory with exact ground truth, as the scene generator makes it and the layout writers store it."""

from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Bool, Float, UInt8


@dataclass(frozen=True)
class RenderedView:
    """One picture with its truth.

    Attributes:
        image: RGB.
        depth: z in camera axes, scene units; 0 where the ray meets nothing.
        mask: Pixels that show an object (not ground, wall or background).
        intrinsics: Pixels; the centre of the top-left pixel is (0, 0).
        world_to_cam: OpenCV axes.
    """

    image: UInt8[np.ndarray, "H W 3"]
    depth: Float[np.ndarray, "H W"]
    mask: Bool[np.ndarray, "H W"]
    intrinsics: Float[np.ndarray, "3 3"]
    world_to_cam: Float[np.ndarray, "4 4"]


@dataclass(frozen=True)
class RenderedScene:
    """Views of one generated scene, its bounds and its surface.

    Attributes:
        name: Used as folder name by the writers.
        views: In view-id order.
        near_far: Depth bounds that hold for every view.
        mesh: The whole surface that was rendered, world frame.
    """

    name: str
    views: tuple[RenderedView, ...]
    near_far: tuple[float, float]
    mesh: trimesh.Trimesh
