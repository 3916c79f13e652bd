"""NeRF Synthetic: 100 training views, six chosen validation views, 200 test views."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from common.datasets.nerf_synthetic import read_nerf_synthetic
from common.io.images import read_pixels
from neuray_mrvm.databases.database import Database
from neuray_mrvm.databases.resizing import nearest, resized

FULL_SIZE = 800
VALIDATION = ("val-r_39", "val-r_2", "val-r_94", "val-r_62", "val-r_23", "val-r_36")


class NerfSynthetic(Database):
    """`nerf_synthetic/<scene>/<black|white>_<size>`; sizes are relative to pictures of 800 x 800."""

    def __init__(self, name: str, data_dir: Path, num_kept: int = 0):
        _, scene_name, setting = name.split("/")
        self._folder = data_dir / "nerf_synthetic" / scene_name
        background, size = setting.split("_")
        self._white = background == "white"
        self._ratio = int(size) / FULL_SIZE
        scene = read_nerf_synthetic(self._folder, background=float(self._white))
        super().__init__(name, scene, [view.name for view in scene.views], data_dir, num_kept)

    def size(self, view_id: str) -> tuple[int, int]:
        image = self.view(view_id).image or next(view.image for view in self.scene.views if view.image)
        return round(image.size[0] * self._ratio), round(image.size[1] * self._ratio)

    def scaling(self, view_id: str) -> tuple[float, float]:
        return self._ratio, self._ratio

    def mask(self, view_id: str) -> Bool[np.ndarray, "H W"]:
        return nearest(self._rgba(view_id)[..., 3] > 0, self.size(view_id))

    def depth_path(self, view_id: str) -> Path:
        return self._folder / "colmap_depth" / f"{view_id}.png.geometric.bin"

    def splits(self, kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        # A query may lack its picture no more than a reference; a reduced copy has other validation views.
        pictured = [view_id for view_id in self.ids if self.has_image(view_id)]
        references = [view_id for view_id in pictured if view_id.startswith("tr")]
        if not kind.endswith("_all"):
            with_depth = set(self.ids_with_depth())
            references = [view_id for view_id in references if view_id in with_depth] or references
        if kind.startswith("test"):
            return tuple(references), tuple(view_id for view_id in pictured if view_id.startswith("te"))
        chosen = [view_id for view_id in VALIDATION if view_id in pictured]
        others = [view_id for view_id in pictured if view_id.startswith("val")][: len(VALIDATION)]
        return tuple(references), tuple(chosen if len(chosen) == len(VALIDATION) else others)

    def _rgba(self, view_id: str) -> UInt8[np.ndarray, "H W 4"]:
        pixels = read_pixels(self.view(view_id).image.path)
        if pixels.dtype != np.uint8:
            pixels = (pixels >> 8).astype(np.uint8)
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=-1)
        return pixels if pixels.shape[-1] == 4 else np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])

    def _read_image(self, view_id: str) -> UInt8[np.ndarray, "H W 3"]:
        rgba = self._rgba(view_id).astype(np.float32) / np.float32(255)
        rgb, alpha = rgba[..., :3], rgba[..., 3:]
        return resized(_truncated(rgb * alpha + (1 - alpha) if self._white else rgb * alpha), self._ratio)


def _truncated(rgb: Float[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    return (rgb * np.float32(255)).astype(np.uint8)
