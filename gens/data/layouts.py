"""DTU and BlendedMVS as GenS reads them (spec 3.1): scenes, masks, pseudo depths, names. Nothing else tells them apart.

Masks: DTU's `depth_visual` above 10; BlendedMVS's depth at least `depth_min`, in fine-tuning the masked picture not
black. Where the files are missing the whole picture counts.
"""

from abc import ABC, abstractmethod
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float

from common.datasets.blendedmvs import read_blendedmvs
from common.datasets.dtu import NUM_LIGHTS, pseudo_depth_file, read_dtu
from common.datasets.loading import load_depth, load_depth_file, load_mask
from common.datasets.scene import Scene, View

NUM_PAIRED = 10  # sources of a view that are considered at all
DEFAULT_LIGHT = 3


class Layout(ABC):
    """A data set on disk.

    Args:
        folder: Its root.
        num_intervals: far = near + depth interval times this.
    """

    has_lights = False
    has_pseudo_depth = False

    def __init__(self, folder: str | Path, num_intervals: float):
        self.folder = Path(folder)
        self.num_intervals = num_intervals
        if not self.folder.is_dir():
            raise FileNotFoundError(f"no folder {self.folder}; data_dir names the folder of the data set")

    @abstractmethod
    def read(self, name: str, light: int = DEFAULT_LIGHT) -> Scene:
        """A scene; raises FileNotFoundError or ValueError where it is missing or broken."""

    @abstractmethod
    def view_id(self, scene: Scene, number: int) -> int:
        """The view that the config calls `number`; ValueError where there is none."""

    @abstractmethod
    def mask(self, view: View, size: tuple[int, int]) -> Bool[np.ndarray, "H W"] | None:
        """Pixels that show the object at (width, height), or None where no file says."""

    @abstractmethod
    def pair_file(self, scene: Scene) -> Path:
        """Where the pairs of a scene are listed."""

    def pseudo_depth(self, scene: Scene, view: int) -> Float[np.ndarray, "H W"] | None:
        """Pseudo depth in world units at its own resolution, 0 where unknown, or None where there is none."""
        return None


class DtuLayout(Layout):
    """DTU with the full-size pictures."""

    has_lights = True
    has_pseudo_depth = True

    def read(self, name: str, light: int = DEFAULT_LIGHT) -> Scene:
        if light not in range(NUM_LIGHTS):
            raise ValueError(f"light_idx names light {light}; DTU has lights 0 to {NUM_LIGHTS - 1}")
        return read_dtu(self.folder, name, "raw", light=light, num_intervals=self.num_intervals)

    def view_id(self, scene: Scene, number: int) -> int:
        if number not in range(len(scene.views)):
            raise ValueError(f"{scene.name} has views 0 to {len(scene.views) - 1}, ref_view names {number}")
        return number

    def mask(self, view: View, size: tuple[int, int]) -> Bool[np.ndarray, "H W"] | None:
        return None if view.mask is None else load_mask(view, size)

    def pair_file(self, scene: Scene) -> Path:
        return self.folder / "Cameras" / "pair.txt"

    def pseudo_depth(self, scene: Scene, view: int) -> Float[np.ndarray, "H W"] | None:
        file = pseudo_depth_file(self.folder, scene.name, view)
        return None if file is None else load_depth_file(file)


class BlendedMvsLayout(Layout):
    """BlendedMVS.

    Args:
        folder: As for `Layout`.
        num_intervals: As for `Layout`.
        masked: Show the pictures before black and take masks from the depth maps, as testing does; fine-tuning does
            neither.
    """

    def __init__(self, folder: str | Path, num_intervals: float, masked: bool = True):
        super().__init__(folder, num_intervals)
        self.masked = masked

    def read(self, name: str, light: int = DEFAULT_LIGHT) -> Scene:
        return read_blendedmvs(self.folder / name, masked=self.masked, num_intervals=self.num_intervals)

    def view_id(self, scene: Scene, number: int) -> int:
        names = [view.name for view in scene.views]
        if f"{number:08d}" not in names:
            raise ValueError(
                f"{scene.name} has no camera file for view {number}, which the config names; it has"
                f" {len(names)} views, {int(names[0])} to {int(names[-1])}"
            )
        return names.index(f"{number:08d}")

    def mask(self, view: View, size: tuple[int, int]) -> Bool[np.ndarray, "H W"] | None:
        if not self.masked:
            return None if view.mask is None else load_mask(view, size)
        if view.depth is None:
            return None
        inside = load_depth(view) >= view.near_far[0]
        return cv2.resize(inside.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0

    def pair_file(self, scene: Scene) -> Path:
        return self.folder / scene.name / "cams" / "pair.txt"
