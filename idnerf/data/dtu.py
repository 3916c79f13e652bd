"""DTU as MVSNet ships it, in the paper's units (spec 3.1).

    Cameras/train/{view:08d}_cam.txt                            one camera for all scans
    Rectified/{scan}_train/rect_{view + 1:03d}_{light}_r5000.png
    Depths/{scan}/depth_map_{view:04d}.pfm                      1600 x 1200; also found as Depths_raw

World and depth are millimetres / 200.
"""

import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch.utils.data import Dataset

from common.datasets.loading import load_depth_file
from common.datasets.mvsnet_views import read_pairs
from common.datasets.scene import DepthFile
from common.io.images import read_image_size
from common.io.mvsnet_camera import read_mvsnet_camera
from common.io.pfm import read_pfm_header
from common.item_order import ItemKey
from common.seeding import generator_for
from common.settings import Config
from idnerf.data.items import Item, check_enough, load_images, nearest_first
from idnerf.data.view_lists import every_eighth, view_lists

UNIT = 200.0  # millimetres
CAMERA_FACTOR = 4.0  # the camera files are for pictures of a quarter of the size
NUM_INTERVALS = 192.0
ALL_VIEWS, ALL_LIGHTS, TEST_LIGHT, VAL_VIEW = range(49), range(7), 3, 24
RAW_DEPTH, DEPTH_CROP = (1600, 1200), (80, 44, 640, 512)  # crop of the halved map: left, top, width, height
_LOGGER = logging.getLogger(__name__)


class DtuTarget(NamedTuple):
    """One item: a target and the views that may be its sources, best first."""

    scan: str
    light: int
    view: int
    candidates: tuple[int, ...]


class Camera(NamedTuple):
    """A camera in the paper's units."""

    extrinsics: Float[np.ndarray, "4 4"]
    intrinsics: Float[np.ndarray, "3 3"]
    near_far: Float[np.ndarray, "2"]


class DtuDataset(Dataset):
    """Targets of a split of DTU.

    Args:
        root: The folder that holds `Cameras`.
        settings: A `data_*` section.
        split: "train", "val" or "test".
        num_sources: Source views of an item.
        scans: In order.
    """

    name = "dtu"

    def __init__(self, root: Path, settings: Config, split: str, num_sources: int, scans: Sequence[str]):
        self.root = root
        self.settings = settings
        self.split = split
        self.num_sources = num_sources
        self._num_candidates = num_sources + settings.n_add_train_views
        self._cameras: dict[int, Camera] = {}
        self.items = self._list_items(scans)
        if settings.max_len > 0:
            self.items = self.items[: settings.max_len]
        for item in self.items:
            fewest = self._num_candidates if split == "train" else num_sources
            check_enough(item.candidates, fewest, f"view {item.view} of {item.scan} in {root}")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: ItemKey | tuple[int, tuple[int, ...]] | int) -> Item:
        """The item of a key; in training the key's seed decides its sources."""
        key = ItemKey(key) if isinstance(key, int) else ItemKey(*key)
        target = self.items[key.index]
        sources = target.candidates[: self.num_sources]
        if self.split == "train":
            order = generator_for(*key.seed).permutation(self._num_candidates).tolist()
            sources = self.training_sources(target, order)
        return self._load(target, sources)

    def training_sources(self, target: DtuTarget, order: Sequence[int]) -> tuple[int, ...]:
        """Sources of a training item: the first of a permutation of the best candidates, in their own order."""
        chosen = sorted(int(position) for position in order[: self.num_sources])
        return tuple(target.candidates[position] for position in chosen)

    def camera(self, view: int) -> Camera:
        """The camera of a view for pictures of `img_wh`.

        Raises:
            FileNotFoundError: There is no camera file.
            ValueError: It is broken, or made for pictures of another size.
        """
        if view not in self._cameras:
            self._cameras[view] = self._read_camera(view)
        return self._cameras[view]

    def _read_camera(self, view: int) -> Camera:
        path = self.root / "Cameras" / "train" / f"{view:08d}_cam.txt"
        stored = read_mvsnet_camera(path)
        if not stored.depth_line:
            raise ValueError(f"{path} has no line with depths after its matrices; take MVSNet's cameras of DTU")
        intrinsics, extrinsics = stored.intrinsics.copy(), stored.world_to_cam.copy()
        intrinsics[:2] *= CAMERA_FACTOR
        width, height = self.settings.img_wh
        if self.settings.camera_wh:
            intrinsics[:2] *= np.array([[width], [height]]) / np.array(self.settings.camera_wh)[:, None]
        elif not (0.25 < intrinsics[0, 2] / width < 0.75 and 0.25 < intrinsics[1, 2] / height < 0.75):
            raise ValueError(
                f"{path} is for pictures of about {2 * intrinsics[0, 2]:.0f} x {2 * intrinsics[1, 2]:.0f} pixels, but"
                f" img_wh is {width} x {height}; set camera_wh of the data set, for DTU's own cameras to 640,512"
            )
        extrinsics[:3, 3] /= UNIT
        near_far = np.array(stored.near_far(NUM_INTERVALS)) / UNIT
        return Camera(*(array.astype(np.float32) for array in (extrinsics, intrinsics, near_far)))

    def _list_items(self, scans: Sequence[str]) -> list[DtuTarget]:
        lights = self.settings.lights or (ALL_LIGHTS if self.split == "train" else (TEST_LIGHT,))
        from_folder = self.settings.view_lists == "folder"
        items = []
        for scan in scans:
            targets = self._folder_targets(scan, lights[0]) if from_folder else self._paper_targets()
            # Targets first and lights second in training; the other splits have one light.
            items += [DtuTarget(scan, light, view, candidates) for view, candidates in targets for light in lights]
        return items

    def _paper_targets(self) -> list[tuple[int, tuple[int, ...]]]:
        lists = view_lists()
        if self.split != "test":
            views = ALL_VIEWS if self.split == "train" else (VAL_VIEW,)
            return [(view, tuple(lists["dtu_neighbours"][str(view)])) for view in views]
        return self._test_targets(lists["pairs"]["dtu_train"], lists["pairs"]["dtu_val"])

    def _folder_targets(self, scan: str, light: int) -> list[tuple[int, tuple[int, ...]]]:
        """From the pictures that are there: all in training, the middle one in validation, every eighth in tests."""
        folder = self.root / "Rectified" / f"{scan}_train"
        views = sorted(int(path.name[5:8]) - 1 for path in folder.glob(f"rect_[0-9][0-9][0-9]_{light}_r*.png"))
        if not views:
            raise FileNotFoundError(f"no picture like {folder}/rect_001_{light}_r5000.png; check root_dir and lights")
        if self.split == "test":
            return self._test_targets(*every_eighth(views))
        pairs = self._pairs
        targets = views if self.split == "train" else views[len(views) // 2 :][:1]
        return [(view, tuple(source for source in pairs[view] if source in views)) for view in targets]

    def _test_targets(self, sources: Sequence[int], targets: Sequence[int]) -> list[tuple[int, tuple[int, ...]]]:
        if self.settings.test_views_method == "fixed":
            return [(view, tuple(sources)) for view in targets]
        centers = {view: self._center(view) for view in (*sources, *targets)}
        return [(view, nearest_first(centers, view, sources)) for view in targets]

    def _center(self, view: int) -> Float[np.ndarray, "3"]:
        return np.linalg.inv(self.camera(view).extrinsics)[:3, 3]

    @functools.cached_property
    def _pairs(self) -> dict[int, tuple[int, ...]]:
        """Sources of every view of the folder: from `Cameras/pair.txt`, otherwise by distance."""
        views = sorted(int(path.name[:8]) for path in (self.root / "Cameras" / "train").glob("*_cam.txt"))
        pairs = read_pairs(self.root / "Cameras" / "pair.txt", range(len(views)))
        if pairs:
            return pairs
        centers = {view: self._center(view) for view in views}
        return {view: nearest_first(centers, view, [other for other in views if other != view]) for view in views}

    def _load(self, target: DtuTarget, sources: Sequence[int]) -> Item:
        views = (*sources, target.view)
        paths = [self._image_path(target, view) for view in views]
        cameras = [self.camera(view) for view in views]
        width, height = self.settings.img_wh
        item: Item = {
            "images": load_images(paths, (width, height), Image.Resampling.BILINEAR),
            "extrinsics": np.stack([camera.extrinsics for camera in cameras]),
            "intrinsics": np.stack([camera.intrinsics for camera in cameras]),
            "near_fars": np.stack([camera.near_far for camera in cameras]),
            "view_ids": np.array(views),
            "scene": target.scan,
            "img_wh": np.array([width, height]),
            "img_paths": [str(path) for path in paths],
        }
        depth = None if self.split == "train" else self._depth_file(target, paths[-1])
        if depth is not None:
            item["depth"] = load_depth_file(depth)
        return item

    def _image_path(self, target: DtuTarget, view: int) -> Path:
        name = f"rect_{view + 1:03d}_{target.light}_r{5000 if view < 49 else 7000}.png"
        return self.root / "Rectified" / f"{target.scan}_train" / name

    def _depth_file(self, target: DtuTarget, image: Path) -> DepthFile | None:
        names = [
            self.root / name / target.scan / f"depth_map_{target.view:04d}.pfm" for name in ("Depths", "Depths_raw")
        ]
        path = next((path for path in names if path.is_file()), None)
        if path is None:
            _LOGGER.warning("no depth map %s; all pixels of this target count, except a border", names[0])
            return None
        header = read_pfm_header(path)
        crop = DEPTH_CROP
        if (header.width, header.height) != RAW_DEPTH:  # of a smaller rig: pictures are the middle of the halved map
            width, height = read_image_size(image)
            crop = ((header.width // 2 - width) // 2, (header.height // 2 - height) // 2, width, height)
        return DepthFile(path, "pfm", unit=1.0 / UNIT, halve_and_crop=crop)
