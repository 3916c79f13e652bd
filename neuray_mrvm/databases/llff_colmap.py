"""LLFF scenes for testing: COLMAP cameras, or LLFF's own `poses_bounds.npy` where a scene comes without `sparse`."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from common.conversion.pictures import pinhole_picture
from common.datasets.llff import read_llff
from common.datasets.llff_colmap import TEST_EVERY, read_llff_colmap
from common.datasets.scene import Scene
from common.io.images import read_image_size, read_pixels
from neuray_mrvm.databases.database import Database, every_eighth
from neuray_mrvm.databases.resizing import blurred

SIZES = {"high": (1008, 756), "low": (504, 378)}
FULL_WIDTH = 4032
OWN_FOLDER = "nerf_llff_data"  # as LLFF's release is called
REDUCED = {"high": 4, "low": 8}  # the copies of LLFF's release that have these sizes


class LlffColmap(Database):
    """`llff_colmap/<scene>/<high|low>`."""

    needs_depth = True

    def __init__(self, name: str, data_dir: Path, num_kept: int = 0):
        _, scene_name, self._setting = name.split("/")
        self._folder = data_dir / "llff_colmap" / scene_name
        if not self._folder.is_dir() and (data_dir / OWN_FOLDER / scene_name).is_dir():
            self._folder = data_dir / OWN_FOLDER / scene_name
        scene = self._read_scene()
        super().__init__(name, scene, [str(number + 1) for number in range(len(scene.views))], data_dir, num_kept)

    def size(self, view_id: str) -> tuple[int, int]:
        return SIZES[self._setting]

    def scaling(self, view_id: str) -> tuple[float, float]:
        stored, wanted = self.view(view_id).image.size, SIZES[self._setting]
        return wanted[0] / stored[0], wanted[1] / stored[1]

    def depth_path(self, view_id: str) -> Path:
        return self._folder / "colmap_depth" / f"{view_id}.jpg.geometric.bin"

    def splits(self, kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return every_eighth(self.ids, slice(0, None, TEST_EVERY))

    def _read_scene(self) -> Scene:
        if (self._folder / "sparse").is_dir() or not (self._folder / "poses_bounds.npy").is_file():
            return read_llff_colmap(self._folder)
        reduced = REDUCED[self._setting]
        return read_llff(self._folder, reduced if (self._folder / f"images_{reduced}").is_dir() else 1)

    def _read_image(self, view_id: str) -> UInt8[np.ndarray, "H W 3"]:
        view, size = self.view(view_id), SIZES[self._setting]
        reduced = self._folder / "cache" / self._setting / view.image.path.name
        if reduced.is_file() and read_image_size(reduced) == size:
            return read_pixels(reduced)[..., :3]
        image = pinhole_picture(view, self.scene.pixel_origin)
        if image.shape[1::-1] == size:
            return image
        return cv2.resize(blurred(image, size[0] / FULL_WIDTH), size, interpolation=cv2.INTER_AREA)
