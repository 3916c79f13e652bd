"""Scenes of LLFF's layout (`poses_bounds.npy` and `images`), as LLFF and COLMAP data sets use them (spec 3.2, 3.3).

The world is scaled so that the nearest bound is 1 / `bound_factor`; LLFF's is also moved into its average camera.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch.utils.data import Dataset

from common.datasets.llff import llff_to_world_to_cam, read_poses_bounds
from common.datasets.llff_normalization import normalize_llff
from common.datasets.loading import load_image
from common.datasets.photographs import list_photographs
from common.datasets.scene import Scene, View
from common.item_order import ItemKey
from common.settings import Config
from idnerf.data.items import Item, Size, check_enough, load_images, nearest_first

POSES = "poses_bounds.npy"


@dataclass(frozen=True)
class PosedScene:
    """Pictures and cameras of a scene, by view id.

    Attributes:
        name: Of its folder.
        images: Files; or views, whose lens is undone when they are loaded.
        cam_to_world: OpenCV axes.
        intrinsics: In pixels of the resized pictures, one lens for all.
        bounds: Depth bounds.
    """

    name: str
    images: list[Path] | list[View]
    cam_to_world: Float[np.ndarray, "V 4 4"]
    intrinsics: Float[np.ndarray, "V 3 3"]
    bounds: Float[np.ndarray, "V 2"]

    @property
    def centers(self) -> dict[int, Float[np.ndarray, "3"]]:
        """Camera centres."""
        return dict(enumerate(self.cam_to_world[:, :3, 3]))

    def load(self, views: Sequence[int], size: Size) -> Float[np.ndarray, "N 3 H W"]:
        """Pictures in [0, 1], resized to (width, height)."""
        chosen = [self.images[view] for view in views]
        if isinstance(chosen[0], Path):
            return load_images(chosen, size, Image.Resampling.LANCZOS)
        return np.stack([load_image(view, size) for view in chosen]).transpose(0, 3, 1, 2)


class Target(NamedTuple):
    """One item: a target, the views that may be its sources, best first, and all training views in list order."""

    scene: str
    view: int
    candidates: tuple[int, ...]
    listed: tuple[int, ...]


class ForwardFacingDataset(Dataset):
    """Targets of several scenes; a subclass says how their worlds are normalised and which views are targets.

    Args:
        root: The folder of the scenes.
        settings: A `data_test.*` section.
        num_sources: Source views of an item.
    """

    name: str
    bound_factor: float
    recenter: bool
    expected = f"folders with {POSES} and images in it"

    def __init__(self, root: Path, settings: Config, num_sources: int):
        self.settings = settings
        self.num_sources = num_sources
        folders = scene_folders(root, settings.scene_list, self.is_scene, self.expected)
        self.scenes = {folder.name: self.read(folder) for folder in folders}
        self.items = [item for scene in self.scenes.values() for item in self._list_items(scene)]
        if settings.max_len > 0:
            self.items = self.items[: settings.max_len]

    def is_scene(self, folder: Path) -> bool:
        """Whether a folder holds what `read` wants."""
        return (folder / POSES).is_file()

    def read(self, folder: Path) -> PosedScene:
        """The scene in a folder; raises as `read_scene`."""
        return read_scene(folder, tuple(self.settings.img_wh), self.bound_factor, self.recenter)

    def split(self, scene: PosedScene) -> tuple[Sequence[int], Sequence[int]]:
        """View ids of sources and of targets."""
        raise NotImplementedError(f"{type(self).__name__} must choose targets")

    def near_far(self, bounds: Float[np.ndarray, "V1 2"]) -> Float[np.ndarray, "2"]:
        """Depth range of an item from the bounds of its views."""
        return bounds.mean(axis=0)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: ItemKey | tuple[int, tuple[int, ...]] | int) -> Item:
        """The item of a key."""
        target = self.items[key if isinstance(key, int) else key[0]]
        scene = self.scenes[target.scene]
        views = [*target.candidates[: self.num_sources], target.view]
        size = tuple(self.settings.img_wh)
        near_far = self.near_far(scene.bounds[views]).astype(np.float32)
        return {
            "images": scene.load(views, size),
            "extrinsics": np.linalg.inv(scene.cam_to_world[views]),
            "intrinsics": scene.intrinsics[views],
            "near_fars": np.tile(near_far, (len(views), 1)),
            "view_ids": np.array(views),
            "scene": target.scene,
            "img_wh": np.array(size),
            "c2ws_all": scene.cam_to_world[list(target.listed)],
        }

    def _list_items(self, scene: PosedScene) -> list[Target]:
        sources, targets = (tuple(views) for views in self.split(scene))
        count = len(scene.images)
        if max((*sources, *targets)) >= count:
            raise ValueError(
                f"scene {scene.name} has {count} pictures, but its list of views speaks of view"
                f" {max((*sources, *targets))}; is the scene complete? (eval_mode gpnr needs no list)"
            )
        items = []
        for target in targets:
            candidates = sources
            if self.settings.test_views_method == "nearest":
                candidates = nearest_first(scene.centers, target, sources)
            check_enough(candidates, self.num_sources, f"view {target} of scene {scene.name}")
            items.append(Target(scene.name, target, candidates, sources))
        return items


def scene_folders(
    root: Path, names: Sequence[str] | None, is_scene: Callable[[Path], bool], expected: str
) -> list[Path]:
    """The folders of the scenes: those named, or all that are in `root`, sorted; or `root`, where it is one itself.

    Args:
        root: Of the data set.
        names: Of folders in it, or None.
        is_scene: Knows a scene's folder.
        expected: What it looks for, for the error.

    Raises:
        FileNotFoundError: There is none, or one of those named is missing.
    """
    if names:
        folders = [root / name for name in names]
    else:
        folders = [root] if is_scene(root) else sorted(folder for folder in root.iterdir() if is_scene(folder))
    missing = [folder for folder in folders if not folder.is_dir()]
    if missing:
        raise FileNotFoundError(f"no scene folder {missing[0]}; check scene_list and root_dir")
    if not folders:
        raise FileNotFoundError(f"no scene in {root}; expected {expected}")
    return folders


def read_scene(folder: Path, size: Size, bound_factor: float, recenter: bool) -> PosedScene:
    """One scene, its cameras for pictures of `size` (width, height).

    Raises:
        FileNotFoundError: There is no `poses_bounds.npy`, or no picture.
        ValueError: The numbers of rows and pictures differ, or a row is broken.
    """
    rows = read_poses_bounds(folder / POSES)
    images = _images(folder)
    if len(images) != len(rows):
        raise ValueError(
            f"{folder / POSES} has {len(rows)} rows but {images[0].parent} has {len(images)} pictures;"
            " they are paired by position, so the numbers must agree"
        )
    views = [_view(str(number), row, size) for number, row in enumerate(rows)]
    scene = normalize_llff(Scene(folder.name, tuple(views)), bound_factor, recenter)
    return posed_scene(scene, images)


def posed_scene(scene: Scene, images: list[Path] | list[View]) -> PosedScene:
    """A normalised scene, its intrinsics those of the resized pictures, in the precision of the paper."""
    # The paper rounds the poses before it inverts them.
    poses = [np.linalg.inv(view.world_to_cam).astype(np.float32) for view in scene.views]
    return PosedScene(
        name=scene.name,
        images=images,
        cam_to_world=np.stack(poses),
        intrinsics=np.stack([view.intrinsics for view in scene.views]).astype(np.float32),
        bounds=np.array([view.near_far for view in scene.views]),
    )


def _images(folder: Path) -> list[Path]:
    """The pictures at full size, or where they are missing the largest of LLFF's smaller copies."""
    copies = sorted(folder.glob("images_[0-9]*"), key=lambda path: (len(path.name), path.name))
    for place in (folder / "images", *copies):
        images = list_photographs(place)
        if images:
            return images
    raise FileNotFoundError(f"no picture in {folder / 'images'} or in a copy such as images_4")


def _view(name: str, row: Float[np.ndarray, "17"], size: Size) -> View:
    matrix = row[:15].reshape(3, 5)
    stored_height, stored_width, focal = matrix[:, 4]
    width, height = size
    intrinsics = np.array(
        [[focal * width / stored_width, 0, width / 2], [0, focal * height / stored_height, height / 2], [0, 0, 1]]
    )
    near_far = (float(row[15]), float(row[16]))
    return View(name, None, intrinsics, llff_to_world_to_cam(matrix[:, :4]), near_far)
