"""The simplest answer to "what is seen from there": the photograph taken nearest to there."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from common.baselines.source_views import PosedImage, TargetView, load_sources
from common.cameras import Camera
from common.datasets.scene import Scene
from common.renderer import Renderer, Rendering


class NearestView(Renderer):
    """Shows the source photograph whose camera stands nearest to the target's, unchanged but for its size."""

    def __init__(self) -> None:
        self._sources: list[PosedImage] = []

    def prepare(self, scene: Scene, source_ids: Sequence[int]) -> None:
        """Load the photographs.

        Raises:
            ValueError: No or an unknown source.
        """
        self._sources = load_sources(scene, source_ids)

    def render(self, camera: Camera) -> Rendering:
        """The nearest photograph; its depth is unknown (0).

        Raises:
            RuntimeError: `prepare` was not called.
        """
        if not self._sources:
            raise RuntimeError("NearestView renders nothing before prepare() was given the source views")
        target = TargetView.from_camera(camera)
        center = -target.world_to_cam[:3, :3].T @ target.world_to_cam[:3, 3]
        image = min(self._sources, key=lambda source: float(np.linalg.norm(source.center - center))).image
        if image.shape[:2] != (camera.height, camera.width):
            image = cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
        shape = (camera.height, camera.width)
        return Rendering(torch.from_numpy(image.copy()), torch.zeros(shape), torch.ones(shape))
