"""Source photographs in memory, as the baselines use them; the centre of the top-left pixel is (0, 0)."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from common.cameras import Camera
from common.datasets.loading import load_image
from common.datasets.scene import Scene


@dataclass(frozen=True)
class PosedImage:
    """A picture with its camera.

    Attributes:
        image: RGB in [0, 1].
        intrinsics: Pixels of `image`.
        world_to_cam: OpenCV axes.
    """

    image: Float[np.ndarray, "H W 3"]
    intrinsics: Float[np.ndarray, "3 3"]
    world_to_cam: Float[np.ndarray, "4 4"]

    @property
    def center(self) -> Float[np.ndarray, "3"]:
        """Camera centre in the world."""
        return -self.world_to_cam[:3, :3].T @ self.world_to_cam[:3, 3]

    def shrunk_to_focal(self, focal: float) -> "PosedImage":
        """The same picture averaged down to a focal length of `focal` pixels; itself where that would enlarge it."""
        scale = focal / self.intrinsics[0, 0]
        H, W = self.image.shape[:2]
        width, height = max(1, round(W * scale)), max(1, round(H * scale))
        if width >= W:
            return self
        image = cv2.resize(self.image, (width, height), interpolation=cv2.INTER_AREA)
        return PosedImage(image, resized_intrinsics(self.intrinsics, width / W, height / H), self.world_to_cam)


@dataclass(frozen=True)
class TargetView:
    """A camera in double precision NumPy: `common.cameras.Camera` as the baselines compute with it."""

    intrinsics: Float[np.ndarray, "3 3"]
    world_to_cam: Float[np.ndarray, "4 4"]
    height: int
    width: int
    near_far: tuple[float, float]

    @classmethod
    def from_camera(cls, camera: Camera) -> "TargetView":
        """The same camera."""
        matrices = (matrix.detach().cpu().double().numpy() for matrix in (camera.intrinsics, camera.world_to_cam))
        return cls(*matrices, camera.height, camera.width, camera.near_far)

    def with_at_most(self, pixels: int) -> "TargetView":
        """The same view with a smaller picture if it has more pixels than that."""
        scale = min(1.0, (pixels / (self.height * self.width)) ** 0.5)
        height, width = max(1, int(self.height * scale)), max(1, int(self.width * scale))
        intrinsics = resized_intrinsics(self.intrinsics, width / self.width, height / self.height)
        return TargetView(intrinsics, self.world_to_cam, height, width, self.near_far)


def load_sources(scene: Scene, source_ids: Sequence[int]) -> list[PosedImage]:
    """The photographs of the given views, undistorted.

    Raises:
        ValueError: No or an unknown view id, or a view without picture.
    """
    unknown = [index for index in source_ids if not 0 <= index < len(scene.views)]
    if unknown or not source_ids:
        raise ValueError(
            f"scene {scene.name} has views 0 to {len(scene.views) - 1}, got the sources {list(source_ids)}"
        )
    centered = scene.with_pixel_origin("center")
    return [
        PosedImage(
            load_image(scene.views[index], pixel_origin=scene.pixel_origin),
            centered.views[index].intrinsics,
            centered.views[index].world_to_cam,
        )
        for index in source_ids
    ]


def resized_intrinsics(
    intrinsics: Float[np.ndarray, "3 3"], scale_x: float, scale_y: float
) -> Float[np.ndarray, "3 3"]:
    """Intrinsics after averaging pixels, exact: the image's corner, (-0.5, -0.5), stays where it is."""
    corner = np.array([[0.0, 0.0, 0.5], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
    return np.diag([scale_x, scale_y, 1.0]) @ (intrinsics + corner) - corner
