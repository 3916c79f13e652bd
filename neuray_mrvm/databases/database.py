"""The interface of every data set: pictures, masks, depth and cameras of a scene by the ids that the paper uses.

Cameras have OpenCV axes; numbers of K are those of the files, taken as if pixel centres were integers. Depth maps are
dense arrays of COLMAP. They are looked up in the data folder, where the published caches lie, and then in a folder
beside the outputs, where `tools/make_depth_cache.py` writes, because data folders may be read-only.
"""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from common.conversion.pictures import pinhole_picture
from common.datasets.loading import load_depth_file
from common.datasets.scene import DepthFile, Scene, View
from neuray_mrvm.databases.resizing import nearest

CACHE_VARIABLE, CACHE_FOLDER = "POLYVIEW_DEPTH_CACHE", "data/depth_cache"
NEAREST_DEPTH = 1e-5
SPLITS = ("val", "val_all", "test", "test_all")


class Database:
    """One scene at one size.

    Attributes:
        name: The database name, such as `dtu_test/snowman/black_800`.
        scene: The views as the layout has them, in the order of `ids`.
        ids: Of the views.
        data_dir: Holds all data sets.
        clips_depth: Depth outside [1e-5, far] is moved to the border.
        needs_depth: A view without depth map is an error, not a view without depth.
    """

    clips_depth = False
    needs_depth = False

    def __init__(self, name: str, scene: Scene, ids: Sequence[str], data_dir: Path, num_kept: int = 0):
        self.name, self.scene, self.ids, self.data_dir = name, scene, tuple(ids), Path(data_dir)
        self._views = dict(zip(self.ids, scene.views, strict=True))
        self._num_kept = num_kept
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()

    def view(self, view_id: str) -> View:
        """The view as the layout has it.

        Raises:
            ValueError: There is no such id.
        """
        if view_id not in self._views:
            raise ValueError(
                f"{self.name} has no view {view_id!r}; its ids go from {self.ids[0]!r} to {self.ids[-1]!r}"
            )
        return self._views[view_id]

    def image(self, view_id: str) -> UInt8[np.ndarray, "H W 3"]:
        """The picture; the last `num_kept` stay in memory."""
        if view_id in self._kept:
            self._kept.move_to_end(view_id)
            return self._kept[view_id]
        if not self.has_image(view_id):
            raise FileNotFoundError(f"view {view_id!r} of {self.name} has a pose but no picture")
        image = self._read_image(view_id)
        if self._num_kept:
            self._kept[view_id] = image
            if len(self._kept) > self._num_kept:
                self._kept.popitem(last=False)
        return image

    def size(self, view_id: str) -> tuple[int, int]:
        """(width, height) of the picture."""
        return self.view(view_id).image.size

    def scaling(self, view_id: str) -> tuple[float, float]:
        """What x and y of the stored picture are multiplied with."""
        return 1.0, 1.0

    def K(self, view_id: str) -> Float[np.ndarray, "3 3"]:
        """Intrinsics, in pixels of `image`."""
        return (np.diag([*self.scaling(view_id), 1.0]) @ self.view(view_id).intrinsics).astype(np.float32)

    def pose(self, view_id: str) -> Float[np.ndarray, "3 4"]:
        """World to camera."""
        return self.view(view_id).world_to_cam[:3].astype(np.float32)

    def depth_range(self, view_id: str) -> Float[np.ndarray, "2"]:
        """Near and far, z along the optical axis."""
        return np.array(self.view(view_id).near_far, np.float32)

    def depth_range_of(self, pose: Float[np.ndarray, "3 4"]) -> Float[np.ndarray, "2"]:
        """Near and far for a camera that is none of the views: nearest and farthest bound of all views."""
        ranges = np.stack([self.depth_range(view_id) for view_id in self.ids])
        return np.array([ranges[:, 0].min(), ranges[:, 1].max()], np.float32)

    def mask(self, view_id: str) -> Bool[np.ndarray, "H W"]:
        """Pixels of the foreground; everything where the layout has no masks."""
        return np.ones(self.size(view_id)[::-1], bool)

    def depth(self, view_id: str) -> Float[np.ndarray, "H W"] | None:
        """Depth at the size of the picture, 0 where unknown; None where the view has no depth map.

        Raises:
            FileNotFoundError: The view has none and this layout cannot do without.
        """
        path = self.find_depth(view_id)
        if path is None:
            if self.needs_depth:
                raise FileNotFoundError(missing_depth_sentence(self))
            return None
        depth = nearest(load_depth_file(self._depth_file(path)), self.size(view_id))
        return np.clip(depth, NEAREST_DEPTH, self.depth_range(view_id)[1]) if self.clips_depth else depth

    def depth_path(self, view_id: str) -> Path:
        """Where the published cache has the depth map, below `data_dir`."""
        raise NotImplementedError(f"{type(self).__name__} does not say where depth maps lie")

    def cached_depth_path(self, view_id: str) -> Path:
        """Where a depth map that we make goes: the same path in a cache folder of this data folder and this size.

        Maps made from reduced pictures are coarse; they must not be taken for those of larger ones.
        """
        resolved = self.data_dir.resolve()
        mark = hashlib.sha256(str(resolved).encode()).hexdigest()[:8]
        cache = Path(os.environ.get(CACHE_VARIABLE, CACHE_FOLDER)) / f"{resolved.name}-{mark}"
        setting = self.name.split("/")[2:]
        return cache.joinpath(*setting, self.depth_path(view_id).relative_to(self.data_dir))

    def find_depth(self, view_id: str) -> Path | None:
        """The file with the depth map, or None."""
        paths = (self.depth_path(view_id), self.cached_depth_path(view_id))
        return next((path for path in paths if path.is_file()), None)

    def has_image(self, view_id: str) -> bool:
        """Whether the view has a picture."""
        return self.view(view_id).image is not None

    def ids_with_depth(self) -> tuple[str, ...]:
        """Ids of the views whose depth map exists; all where this layout cannot do without."""
        return self.ids if self.needs_depth else tuple(i for i in self.ids if self.find_depth(i) is not None)

    def splits(self, kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Ids of the reference views and of the views to render.

        Args:
            kind: val, val_all, test or test_all.

        Raises:
            ValueError: This layout has no split.
        """
        raise ValueError(
            f"{self.name} has no test views; {self.name.split('/')[0]} is for training or for free poses"
            " (--pose_type circle)"
        )

    def _read_image(self, view_id: str) -> UInt8[np.ndarray, "H W 3"]:
        return pinhole_picture(self.view(view_id), self.scene.pixel_origin)

    def _depth_file(self, path: Path) -> DepthFile:
        return DepthFile(path, "colmap")


def missing_depth_sentence(database: Database) -> str:
    """What is missing, where it was looked for, and what to do about it."""
    first = next((i for i in database.ids if database.find_depth(i) is None), database.ids[0])
    return (
        f"no depth map {database.depth_path(first)} for {database.name}, nor {database.cached_depth_path(first)};"
        f" make them with 'python tools/make_depth_cache.py --database_name {database.name} --base_data_dir"
        f" {database.data_dir}', or take a cost volume config, which needs none"
    )


def every_eighth(ids: Sequence[str], test: slice) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids that are not in the slice, and those that are."""
    queries = tuple(ids[test])
    chosen = set(queries)
    return tuple(view_id for view_id in ids if view_id not in chosen), queries
