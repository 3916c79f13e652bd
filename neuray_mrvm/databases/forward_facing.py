"""Forward-facing training sets: LLFF's released scenes, Spaces and RealEstate10K, with COLMAP's depth caches."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from common.datasets.llff import read_llff
from common.datasets.llff_normalization import normalize_llff
from common.datasets.real_estate import read_real_estate
from common.datasets.real_iconic import CACHED_SUFFIX, read_real_iconic
from common.datasets.spaces import read_spaces
from neuray_mrvm.databases.database import Database

CACHE = "colmap_forward_cache"
MAPS = Path("dense_out", "stereo", "depth_maps")


class RealIconic(Database):
    """`real_iconic/<scene>/<4|8>`; pictures are reduced on the way where the folder `images_<4|8>` is missing."""

    clips_depth = True

    def __init__(self, name: str, data_dir: Path, num_kept: int = 0):
        _, scene_name, setting = name.split("/")
        self._downscale = int(setting)
        folder = data_dir / "real_iconic_noface" / scene_name
        self._maps = data_dir / CACHE / "real_iconic" / scene_name / setting / MAPS
        self._reduce = not (folder / f"images_{setting}").is_dir() and (folder / "images").is_dir()
        scene = normalize_llff(read_llff(folder, 1)) if self._reduce else read_real_iconic(folder, self._downscale)
        super().__init__(name, scene, [str(index) for index in range(len(scene.views))], data_dir, num_kept)

    def size(self, view_id: str) -> tuple[int, int]:
        width, height = self.view(view_id).image.size
        return (round(width / self._downscale), round(height / self._downscale)) if self._reduce else (width, height)

    def scaling(self, view_id: str) -> tuple[float, float]:
        stored, size = self.view(view_id).image.size, self.size(view_id)
        return size[0] / stored[0], size[1] / stored[1]

    def depth_path(self, view_id: str) -> Path:
        return self._maps / f"{view_id}.{CACHED_SUFFIX[self._downscale]}.geometric.bin"

    def _read_image(self, view_id: str) -> UInt8[np.ndarray, "H W 3"]:
        image = super()._read_image(view_id)
        return cv2.resize(image, self.size(view_id), interpolation=cv2.INTER_AREA) if self._reduce else image


class Space(Database):
    """`space/<scene>`; ids are `<rig position>-<camera>`, heights differ."""

    clips_depth = True

    def __init__(self, name: str, data_dir: Path, num_kept: int = 0):
        scene_name = name.split("/")[1]
        scene = read_spaces(data_dir / "spaces_dataset" / "data" / "800" / scene_name)
        self._maps = data_dir / CACHE / "space" / scene_name / MAPS
        super().__init__(name, scene, [view.name for view in scene.views], data_dir, num_kept)

    def depth_path(self, view_id: str) -> Path:
        return self._maps / f"{view_id}.jpg.geometric.bin"


class RealEstate(Database):
    """`real_estate/<clip>/450_800`: height and width."""

    clips_depth = True

    def __init__(self, name: str, data_dir: Path, num_kept: int = 0):
        _, clip, setting = name.split("/")
        height, width = setting.split("_")
        self._size = int(width), int(height)
        scene = read_real_estate(data_dir / "real_estate_dataset", clip)
        self._maps = data_dir / CACHE / "real_estate" / clip / MAPS
        super().__init__(name, scene, [view.name for view in scene.views], data_dir, num_kept)

    def size(self, view_id: str) -> tuple[int, int]:
        return self._size

    def scaling(self, view_id: str) -> tuple[float, float]:
        stored = self.view(view_id).image.size
        return self._size[0] / stored[0], self._size[1] / stored[1]

    def depth_path(self, view_id: str) -> Path:
        return self._maps / f"{view_id}.jpg.geometric.bin"

    def _read_image(self, view_id: str) -> UInt8[np.ndarray, "H W 3"]:
        return cv2.resize(super()._read_image(view_id), self._size, interpolation=cv2.INTER_AREA)
