"""DTU: four test objects at 1600 x 1200, training scans at 400 x 300; see `common/datasets/dtu_neuray.py`."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from common.datasets.dtu_neuray import TEST_VIEWS, camera_size, read_dtu_neuray_test, read_dtu_neuray_train
from common.datasets.loading import load_mask
from neuray_mrvm.databases.database import Database, every_eighth
from neuray_mrvm.databases.resizing import blurred, nearest


class DtuTest(Database):
    """`dtu_test/<object>/black_<width>`: black outside the mask."""

    needs_depth = True

    def __init__(self, name: str, data_dir: Path, num_kept: int = 0):
        _, scene_name, setting = name.split("/")
        self._folder = data_dir / "dtu_test" / scene_name
        scene = read_dtu_neuray_test(self._folder)
        super().__init__(name, scene, [str(index) for index in range(len(scene.views))], data_dir, num_kept)
        full_width, full_height = camera_size(self._folder)
        width = int(setting.removeprefix("black_"))
        self._ratio = width / full_width
        self._size = width, int(width / full_width * full_height)

    def size(self, view_id: str) -> tuple[int, int]:
        return self._size

    def scaling(self, view_id: str) -> tuple[float, float]:
        ratio = self._size[0] / self.view(view_id).image.size[0]
        return ratio, ratio

    def mask(self, view_id: str) -> Bool[np.ndarray, "H W"]:
        view = self.view(view_id)
        return super().mask(view_id) if view.mask is None else nearest(load_mask(view), self._size)

    def depth(self, view_id: str) -> np.ndarray:
        return np.where(self.mask(view_id), super().depth(view_id), np.float32(0))

    def depth_path(self, view_id: str) -> Path:
        name = f"{view_id}.jpg.geometric.bin"
        older = self._folder / "depth_maps" / name  # as the data of plain NeuRay has it
        return older if older.is_file() else self._folder / "colmap_depth" / name

    def splits(self, kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return every_eighth(self.ids, TEST_VIEWS)

    def _read_image(self, view_id: str) -> UInt8[np.ndarray, "H W 3"]:
        image = super()._read_image(view_id)
        if image.shape[1::-1] != self._size:
            image = cv2.resize(blurred(image, self._ratio), self._size)
        return np.where(self.mask(view_id)[..., None], image, np.uint8(0))


class DtuTrain(Database):
    """`dtu_train/scan<N>`."""

    clips_depth = True

    def __init__(self, name: str, data_dir: Path, num_kept: int = 0):
        scan = name.split("/")[1]
        scene = read_dtu_neuray_train(data_dir / "dtu_train" / scan)
        self._maps = data_dir / "colmap_dtu_cache" / "dtu_train" / scan / "dense" / "stereo" / "depth_maps"
        super().__init__(name, scene, [str(index) for index in range(len(scene.views))], data_dir, num_kept)

    def depth_path(self, view_id: str) -> Path:
        return self._maps / f"{view_id}.jpg.geometric.bin"
