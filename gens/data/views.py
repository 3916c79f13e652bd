"""Pictures, masks, depths and cameras of chosen views at the working size (spec 3.2, steps 1 to 3)."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float

from common.cameras import Camera, scale_intrinsics
from common.datasets.loading import load_depth, load_image
from common.datasets.scene import Scene, View
from gens.data.layouts import Layout

WHITE = 256.0  # the paper divides by this, not by 255
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedViews:
    """Views of a scene at the working size.

    Attributes:
        images: RGB, 0 to 255/256.
        masks: 1 where the object is.
        cameras: In the world.
    """

    images: Float[np.ndarray, "V H W 3"]
    masks: Float[np.ndarray, "V H W"]
    cameras: list[Camera]


def load_views(layout: Layout, scene: Scene, ids: Sequence[int], height: int, width: int) -> LoadedViews:
    """Read what the views name.

    Raises:
        FileNotFoundError: A file is gone.
        ValueError: A file is damaged, a camera has no depth range, or the first view's mask is empty.
    """
    size = (width, height)
    views = [scene.views[index] for index in ids]
    images = [load_image(view, size, interpolation=cv2.INTER_NEAREST, divisor=WHITE) for view in views]
    masks = [layout.mask(view, size) for view in views]
    missing = [view.name for view, mask in zip(views, masks, strict=True) if mask is None]
    if missing:
        _LOGGER.debug("%s: no mask for %s, so whole pictures count", scene.name, ", ".join(missing))
    if masks[0] is not None and not masks[0].any():
        raise ValueError(
            f"the mask of view {views[0].name} of {scene.name} is empty ({_mask_source(views[0])}): nothing of the"
            " object is marked in it; check the file, or remove it to use the whole picture"
        )
    whole = [np.ones((height, width), np.float32) if mask is None else mask.astype(np.float32) for mask in masks]
    return LoadedViews(np.stack(images), np.stack(whole), [working_camera(view, height, width) for view in views])


def working_camera(view: View, height: int, width: int) -> Camera:
    """The view's camera for the picture resized to the working size; ValueError where it has no depth range."""
    if view.near_far is None:
        raise ValueError(
            f"the camera file of view {view.name} has no depth range (a last line 'DEPTH_MIN DEPTH_INTERVAL'); GenS"
            " finds the scene's cube from it"
        )
    full_width, full_height = view.image.size
    intrinsics = scale_intrinsics(torch.from_numpy(view.intrinsics), width / full_width, height / full_height)
    return Camera(intrinsics, torch.from_numpy(view.world_to_cam), height, width, view.near_far)


def load_working_depth(view: View, height: int, width: int) -> Float[np.ndarray, "H W"]:
    """The view's depth map in world units at the working size, 0 where unknown; all 0 where there is no file."""
    if view.depth is None:
        return np.zeros((height, width), np.float32)
    return load_depth(view, (width, height))


def _mask_source(view: View) -> str:
    """The file that the mask came from: the depth map where it decides."""
    return str(view.depth.path if view.mask is None and view.depth else view.mask.path if view.mask else view.name)
