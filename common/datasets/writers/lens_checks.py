"""What a layout can say about a camera."""

import numpy as np
from jaxtyping import Float

from common.datasets.rendered_scene import RenderedScene

TOLERANCE = 0.01  # pixels


def centered_focal(scene: RenderedScene, layout: str) -> float:
    """The one focal length of a scene whose cameras are equal, with square pixels and centred principal points.

    Raises:
        ValueError: The cameras are others, which the layout has no place for.
    """
    first = scene.views[0]
    height, width = first.depth.shape
    focal = float(first.intrinsics[0, 0])
    centered = np.array([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]])
    for index, view in enumerate(scene.views):
        if view.depth.shape != (height, width) or not is_close(view.intrinsics, centered):
            raise ValueError(
                f"the {layout} layout stores one focal length and a centred principal point, but view {index} of"
                f" {scene.name} has {view.intrinsics[:2].round(3).tolist()} for {view.depth.shape[::-1]} pixels"
            )
    return focal


def is_close(first: Float[np.ndarray, "3 3"], second: Float[np.ndarray, "3 3"]) -> bool:
    """Whether two intrinsics are the same to a hundredth of a pixel."""
    return bool(np.abs(first - second).max() < TOLERANCE)
