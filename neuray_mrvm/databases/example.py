"""A scene of one's own that COLMAP has reconstructed (`run_colmap.py`)."""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from common.datasets.colmap import choose_model, depth_bounds, find_image_folder, read_colmap
from common.datasets.scene import Scene
from neuray_mrvm.databases.database import Database
from neuray_mrvm.databases.resizing import resized


class Example(Database):
    """`example/<name>/<raw|longest side>`; ids are COLMAP's image ids. Lenses are removed from the pictures."""

    def __init__(self, name: str, data_dir: Path, num_kept: int = 0):
        _, scene_name, setting = name.split("/")
        self._folder = data_dir / "example" / scene_name
        scene, ids, self._files = _by_image_id(self._folder)
        if scene.points is None:
            raise ValueError(f"the COLMAP model in {self._folder} has no points, so there are no depth bounds")
        super().__init__(name, scene, ids, data_dir, num_kept)
        self._ratio = 1.0 if setting == "raw" else int(setting) / max(scene.views[-1].image.size)

    def size(self, view_id: str) -> tuple[int, int]:
        width, height = self.view(view_id).image.size
        return round(width * self._ratio), round(height * self._ratio)

    def scaling(self, view_id: str) -> tuple[float, float]:
        return self._ratio, self._ratio

    def depth_range(self, view_id: str) -> Float[np.ndarray, "2"]:
        return self.depth_range_of(self.pose(view_id))

    def depth_range_of(self, pose: Float[np.ndarray, "3 4"]) -> Float[np.ndarray, "2"]:
        """0.8 times the 2nd and 1.2 times the 98th percentile of the depths of all sparse points.

        Raises:
            ValueError: Every point lies behind the camera.
        """
        bounds = depth_bounds(self.scene.points @ pose[2, :3] + pose[2, 3])
        if bounds is None:
            raise ValueError(f"{self.name}: every sparse point lies behind one of the cameras; run COLMAP again")
        return np.array(bounds, np.float32)

    def depth_path(self, view_id: str) -> Path:
        return self._folder / "dense" / "stereo" / "depth_maps" / f"{self._files[view_id]}.geometric.bin"

    def _read_image(self, view_id: str) -> UInt8[np.ndarray, "H W 3"]:
        return resized(super()._read_image(view_id), self._ratio)


def _by_image_id(folder: Path) -> tuple[Scene, list[str], dict[str, str]]:
    """The scene with its views by COLMAP's ids, the ids, and the file name of each; `read_colmap` sorts by name."""
    scene = read_colmap(folder)
    model_folder, model, _ = choose_model(folder)
    images = find_image_folder(folder, model_folder, "images")
    found = sorted(
        ((image.name, image_id) for image_id, image in model.images.items() if (images / image.name).is_file()),
    )
    order = sorted(range(len(found)), key=lambda position: found[position][1])
    views = tuple(scene.views[position] for position in order)
    ids = [str(found[position][1]) for position in order]
    return dataclasses.replace(scene, views=views), ids, {str(image_id): name for name, image_id in found}
