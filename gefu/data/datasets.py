"""One dataset for all scenes: a target view, its nearest sources, loaded and resized into the paper's item.

An item is asked for by a `SampleKey`, so that everything random about it is decided by the key and not by when or
where it is loaded.
"""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from torch.utils.data import Dataset

from common.datasets.loading import load_depth, load_image
from common.datasets.scene import Scene, View
from common.seeding import generator_for
from gefu.data.batch import GefuItem, level_entries, resize, scale_rows
from gefu.data.scenes import DTU_NEAR_FAR, Layout, SceneViews

TARGET_AS_SOURCE = 0.1  # probability that the target itself joins the candidate sources in training
_LOGGER = logging.getLogger(__name__)


class SampleKey(NamedTuple):
    """Which item, with how many sources, and the integers that decide its random choices."""

    index: int
    num_sources: int
    seed: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class DataSettings:
    """What the dataset needs to know besides the scenes.

    Attributes:
        num_candidates: Nearest views that may be sources.
        render_scales: Size of the target at each level, relative to the full image.
        volume_scales: Size of the cost volume at each level.
        size: (height, width) that images are resized to; None keeps them.
        training: Draw sources at random; otherwise take the nearest and add the target's truth.
        with_depth: Add the target's depth in training too (test items always have it).
        cache_megabytes: Decoded images kept in memory.
    """

    num_candidates: int
    render_scales: Sequence[float]
    volume_scales: Sequence[float]
    size: tuple[int, int] | None = None
    training: bool = False
    with_depth: bool = False
    cache_megabytes: int = 0


class NovelViewDataset(Dataset):
    """Targets of all scenes, scene by scene, each with its candidate sources sorted by distance."""

    def __init__(self, layout: Layout, scenes: Sequence[SceneViews], settings: DataSettings):
        self.layout = layout
        self.scenes = scenes
        self.settings = settings
        self.items = [
            (number, target, candidate_sources(chosen, target, settings.num_candidates))
            for number, chosen in enumerate(scenes)
            for target in chosen.targets
        ]
        self._cache = ImageCache(settings.cache_megabytes * 2**20)
        self._check()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: SampleKey | tuple[int, int]) -> GefuItem:
        """The item of a key; (index, number of sources) is a key as well."""
        key = SampleKey(*key)
        number, target, candidates = self.items[key.index]
        scene = self.scenes[number].scene
        sources = self._draw_sources(key, target, candidates)

        loaded = [self._load_view(scene.views[index]) for index in sources]
        image, ext, ixt = self._load_view(scene.views[target])
        # The paper's loss looks at neither mask nor depth, so training opens no depth maps unless it is told to.
        wanted = self.settings.with_depth or not self.settings.training
        depth = self._load_depth(scene.views[target], image.shape[:2]) if wanted else None
        mask = np.ones(image.shape[:2], np.uint8) if depth is None else (depth > 0).astype(np.uint8)
        entries, sizes = level_entries(image, mask, ext, ixt, self.settings.render_scales)
        item: GefuItem = {
            "src_inps": np.stack([rgb for rgb, _, _ in loaded]).transpose(0, 3, 1, 2) * np.float32(2) - np.float32(1),
            "src_exts": np.stack([source_ext for _, source_ext, _ in loaded]),
            "src_ixts": np.stack([source_ixt for _, _, source_ixt in loaded]),
            "tar_ext": ext,
            "tar_ixt": ixt,
            "near_far": np.array(self._near_far(scene), np.float32),
            "meta": {"scene": scene.name, "tar_view": target, "frame_id": 0, **sizes},
            **entries,
        }
        if not self.settings.training:
            item |= {"tar_img": image, "tar_mask": mask}
        if depth is not None:
            item["tar_dpt"] = depth
            for level, scale in enumerate(self.settings.volume_scales):
                item[f"tar_dpt_{level}"] = resize(depth, scale, cv2.INTER_NEAREST)
        return item

    def _draw_sources(self, key: SampleKey, target: int, candidates: Sequence[int]) -> Sequence[int]:
        if not self.settings.training:
            return candidates
        random = generator_for(*key.seed)
        pool = list(candidates)
        if random.random() < TARGET_AS_SOURCE:
            pool.append(target)
        if self.layout.nearest_sources_only:
            pool = pool[: key.num_sources + 1]
        if key.num_sources > len(pool):
            raise ValueError(
                f"{key.num_sources} source views were asked for but view {target} has {len(pool)} candidates"
            )
        return [pool[index] for index in random.permutation(len(pool))[: key.num_sources]]

    def _load_view(
        self, view: View
    ) -> tuple[Float[np.ndarray, "H W 3"], Float[np.ndarray, "4 4"], Float[np.ndarray, "3 3"]]:
        """Image in [0, 1], world-to-camera and intrinsics at the size that is used."""
        image = self._cache.load(view)
        ixt = view.intrinsics.astype(np.float32)
        if self.settings.size is not None:
            (height, width), (stored_height, stored_width) = self.settings.size, image.shape[:2]
            if (height, width) != (stored_height, stored_width):
                image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
                ixt = scale_rows(ixt, width / stored_width, height / stored_height)
        return image, view.world_to_cam.astype(np.float32), ixt

    def _load_depth(self, view: View, size: tuple[int, int]) -> Float[np.ndarray, "H W"] | None:
        return None if view.depth is None else load_depth(view, size[::-1])

    def _near_far(self, scene: Scene) -> tuple[float, float]:
        """One range for the whole scene, whatever the target."""
        if self.layout.name == "dtu":
            return DTU_NEAR_FAR
        ranges = [view.near_far for view in scene.views if view.near_far is not None]
        return min(near for near, _ in ranges), max(far for _, far in ranges)

    def _check(self) -> None:
        for number, target, candidates in self.items:
            if len(candidates) < 2:
                name = self.scenes[number].scene.name
                raise ValueError(
                    f"view {target} of {name} has {len(candidates)} source views, but GeFu needs at least 2"
                )
        if self.settings.size is None:
            for chosen in self.scenes:
                for index in {*chosen.targets, *chosen.sources}:
                    _check_size(chosen.scene.views[index])
        if not self.settings.training and self.layout.name == "dtu":
            views = [self.scenes[number].scene.views[target] for number, target, _ in self.items]
            without = sum(view.depth is None for view in views)
            if without:
                _LOGGER.warning(
                    "%d of %d test views have no depth map; all their pixels count as valid", without, len(views)
                )


class ImageCache:
    """Decoded images, kept up to a limit; the ones used longest ago go first. Eight-bit images are kept as such."""

    def __init__(self, limit: int):
        self._limit = limit
        self._size = 0
        self._images: OrderedDict[str, UInt8[np.ndarray, "H W 3"]] = OrderedDict()

    def load(self, view: View) -> Float[np.ndarray, "H W 3"]:
        """The view's image in [0, 1], from memory if it is there."""
        name = str(view.image.path)
        if name in self._images:
            self._images.move_to_end(name)
            return self._images[name].astype(np.float32) / np.float32(255)
        image = load_image(view)
        stored = np.rint(image * 255).astype(np.uint8)
        if self._limit and np.array_equal(stored.astype(np.float32) / np.float32(255), image):
            self._images[name] = stored
            self._size += stored.nbytes
            while self._size > self._limit:
                self._size -= self._images.popitem(last=False)[1].nbytes
        return image


def candidate_sources(chosen: SceneViews, target: int, count: int) -> tuple[int, ...]:
    """The `count` source views whose cameras are nearest to the target's, without the target itself."""
    center = chosen.scene.views[target].center
    sources = np.array(chosen.sources)
    distances = [np.linalg.norm(chosen.scene.views[index].center - center) for index in sources]
    ordered = sources[np.argsort(distances, kind="stable")]
    return tuple(int(index) for index in ordered if index != target)[:count]


def _check_size(view: View) -> None:
    width, height = view.image.size
    if width % 32 or height % 32:
        raise ValueError(
            f"{view.image.path} has {width} x {height} pixels, but GeFu needs multiples of 32; set input_h_w to the "
            "[height, width] that images are to be resized to"
        )


def build_dataset(layout: Layout, scenes: Sequence[SceneViews], cfg: Any, training: bool) -> NovelViewDataset:
    """The dataset of a resolved config."""
    section = cfg.train_dataset if training else cfg.test_dataset
    cascade = cfg.gefu.cas_config
    return NovelViewDataset(
        layout,
        scenes,
        DataSettings(
            num_candidates=cfg.gefu.train_input_views[1] + 1 if training else cfg.gefu.test_input_views,
            render_scales=cascade.render_scale,
            volume_scales=cascade.volume_scale,
            size=tuple(section.input_h_w) or None,
            training=training,
            with_depth=cfg.gefu.depth_weight > 0,
            cache_megabytes=section.cache_megabytes,
        ),
    )
