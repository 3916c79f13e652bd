"""Google Scanned Objects as rendered for IBRNet; the only training set with true depth."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from common.datasets.google_scanned_objects import DEPTH_UNIT, read_google_scanned_objects
from common.datasets.loading import load_mask
from common.datasets.scene import DepthFile
from neuray_mrvm.databases.database import Database
from neuray_mrvm.databases.resizing import nearest, resized

FULL_SIZE = 512


class GoogleScannedObjects(Database):
    """`gso/<object>/<black|white>_<raw|size>`; black paints what is outside the mask, white leaves the picture."""

    needs_depth = True

    def __init__(self, name: str, data_dir: Path, num_kept: int = 0):
        _, object_name, setting = name.split("/")
        self._folder = data_dir / "google_scanned_objects" / object_name
        background, size = setting.split("_")
        self._black = background == "black"
        self._ratio = 1.0 if size == "raw" else int(size) / FULL_SIZE
        scene = read_google_scanned_objects(self._folder)
        super().__init__(name, scene, [str(int(view.name)) for view in scene.views], data_dir, num_kept)

    def size(self, view_id: str) -> tuple[int, int]:
        width, height = self.view(view_id).image.size
        return round(width * self._ratio), round(height * self._ratio)

    def scaling(self, view_id: str) -> tuple[float, float]:
        return self._ratio, self._ratio

    def mask(self, view_id: str) -> Bool[np.ndarray, "H W"]:
        return nearest(self._full_mask(view_id), self.size(view_id))

    def depth(self, view_id: str) -> Float[np.ndarray, "H W"]:
        return np.where(self.mask(view_id), super().depth(view_id), np.float32(0))

    def depth_path(self, view_id: str) -> Path:
        return self._folder / "depth" / f"{int(view_id):06d}.png"

    def _depth_file(self, path: Path) -> DepthFile:
        return DepthFile(path, "png16", unit=DEPTH_UNIT)

    def _full_mask(self, view_id: str) -> Bool[np.ndarray, "H W"]:
        view = self.view(view_id)
        return load_mask(view) if view.mask else np.ones(view.image.size[::-1], bool)

    def _read_image(self, view_id: str) -> UInt8[np.ndarray, "H W 3"]:
        image = super()._read_image(view_id)
        if self._black:
            image = np.where(self._full_mask(view_id)[..., None], image, np.uint8(0))
        return resized(image, self._ratio)
