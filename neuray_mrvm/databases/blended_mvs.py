"""Six objects of BlendedMVS at half size."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from common.datasets.blendedmvs import read_blendedmvs
from neuray_mrvm.databases.database import Database
from neuray_mrvm.databases.resizing import resized

FOLDERS = {
    "iron_dog": "5c1af2e2bee9a723c963d019",
    "building": "5bf18642c50e6f7f8bdbd492",
    "santa": "5be47bf9b18881428d8fbc1d",
    "dragon": "5bd43b4ba6b28b1ee86b92dd",
    "mermaid": "5ba19a8a360c7c30c1c169df",
    "laid_man": "59e75a2ca9e91f2c5526005d",
}
RATIO = 0.5
MARGINS = (0.8, 1.2)


class BlendedMvs(Database):
    """`blended_mvs/<object>/half`; the object is one of `FOLDERS` or a folder's own name."""

    def __init__(self, name: str, data_dir: Path, num_kept: int = 0):
        object_name = name.split("/")[1]
        self._folder = data_dir / "blended-mvs" / FOLDERS.get(object_name, object_name)
        scene = read_blendedmvs(self._folder, depth="colmap")
        super().__init__(name, scene, [str(int(view.name)) for view in scene.views], data_dir, num_kept)

    def size(self, view_id: str) -> tuple[int, int]:
        width, height = self.view(view_id).image.size
        return round(width * RATIO), round(height * RATIO)

    def scaling(self, view_id: str) -> tuple[float, float]:
        return RATIO, RATIO

    def depth_range(self, view_id: str) -> Float[np.ndarray, "2"]:
        return super().depth_range(view_id) * np.array(MARGINS, np.float32)

    def depth_path(self, view_id: str) -> Path:
        return self._folder / "colmap_depth" / f"{view_id}.jpg.geometric.bin"

    def _read_image(self, view_id: str) -> UInt8[np.ndarray, "H W 3"]:
        return resized(super()._read_image(view_id), RATIO)
