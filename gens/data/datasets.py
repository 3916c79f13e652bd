"""Items for training across scenes and for validation: `DTUDataset` and `BMVSDataset` (spec 3.3).

Everything random about an item is decided by the key it is asked for with, not by when or where it is loaded.
"""

import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from common.datasets.scene import Scene
from common.datasets.view_selection import paired_views
from common.io.data_files import read_text
from common.item_order import ItemKey
from common.paths import resolve_input
from common.seeding import generator_for
from gens.data.geometry import ItemGeometry, item_geometry
from gens.data.items import Item, cube_bounds
from gens.data.layouts import DEFAULT_LIGHT, NUM_PAIRED, BlendedMvsLayout, DtuLayout, Layout
from gens.data.rays import check_cube_meets_depth, pixel_lattice, points_on_rays, ray_directions, training_pixels
from gens.data.views import LoadedViews, load_views, load_working_depth

METHOD_FOLDER = Path(__file__).parent.parent
NUM_TRAINING_SOURCES = 6  # training draws its sources from so many of the listed ones
NUM_PSEUDO_POINTS = 2048
FEWEST_PSEUDO_PIXELS = 100
NUM_LIGHTS = 7
_LOGGER = logging.getLogger(__name__)


class MultiViewDataset(Dataset):
    """Reference views of several scenes, each with its sources.

    Args:
        layout: How the scenes lie on disk.
        settings: A dataset block of the config.
        training: Draw sources and rays at random; otherwise take the first sources and a lattice of rays.

    Raises:
        FileNotFoundError, ValueError: Missing or broken data; no item, or one with too few sources.
    """

    def __init__(self, layout: Layout, settings: Any, training: bool):
        self.layout = layout
        self.settings = settings
        self.training = training
        self.height, self.width = settings.img_hw
        # Of every item: scene, reference view, candidate sources, light.
        self.items: list[tuple[Scene, int, tuple[int, ...], int]] = []
        lights = (settings.light_idx or range(NUM_LIGHTS)) if layout.has_lights else (DEFAULT_LIGHT,)
        for name in _scene_names(settings):
            scenes = {light: layout.read(name, light) for light in lights}
            self._add_items(scenes)
        if not self.items:
            raise ValueError(
                f"no view in {layout.folder} has a picture and {settings.num_src_view} sources with pictures"
            )

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: ItemKey | tuple[int, tuple[int, ...]] | int) -> Item:
        """The item of a key; an index alone is a key as well."""
        key = ItemKey(key) if isinstance(key, int) else ItemKey(*key)
        scene, reference, candidates, light = self.items[key.index]
        random = generator_for(*key.seed)
        count = self.settings.num_src_view
        if self.training:
            candidates = [candidates[index] for index in random.permutation(len(candidates))]
        ids = [reference, *candidates[:count]]
        views = load_views(self.layout, scene, ids, self.height, self.width)
        geometry = item_geometry(views.cameras, self.settings.factor, views.masks[0] > 0)
        item: Item = {
            "imgs": torch.from_numpy(np.ascontiguousarray(views.images.transpose(0, 3, 1, 2))),
            "intrs": torch.from_numpy(geometry.intrs),
            "c2ws": torch.from_numpy(geometry.c2ws),
            "masks": torch.from_numpy(views.masks),
            "scale_mat": torch.from_numpy(geometry.scale_mat),
            "view_ids": torch.tensor(ids),
        }
        depth = load_working_depth(scene.views[reference], self.height, self.width)
        check_cube_meets_depth(geometry, np.where(views.masks[0] > 0, depth, 0), scene.views[reference].name)
        item |= {
            "mask_ref": item["masks"][0],
            "depth_ref": torch.from_numpy(depth * np.float32(geometry.scale_factor)),
        }
        if self.layout.has_pseudo_depth:
            # The mask stands in where the file is not read; the paper takes it for a depth and scales it.
            item["pseudo_depth_ref"] = item["masks"][0] * geometry.scale_factor
        if self.training:
            item |= self._training_part(scene, reference, views, geometry, random)
            pixels = training_pixels(views.masks[0], self.settings.n_rays, random)
        else:
            pixels, size = pixel_lattice(self.height, self.width, self.settings.val_res_level)
            item |= cube_bounds() | {"hw": torch.tensor(size), "scene": scene.name}
            item["file_name"] = f"{scene.name}_view{self._number(scene, reference)}"
            if self.layout.has_lights:
                item["file_name"] += f"_light{light}"
        return item | ray_entries(item, geometry, pixels)

    def _training_part(
        self, scene: Scene, reference: int, views: LoadedViews, geometry: ItemGeometry, random: np.random.Generator
    ) -> Item:
        """The pseudo depth of the reference view, and points of the surface drawn from it."""
        depth = self.layout.pseudo_depth(scene, reference)
        if depth is None:
            return {"pseudo_depth_ref": torch.zeros(self.height, self.width)}
        depth = cv2.resize(depth, (self.width, self.height), interpolation=cv2.INTER_NEAREST)
        depth = depth * np.float32(geometry.scale_factor)
        part: Item = {"pseudo_depth_ref": torch.from_numpy(depth)}
        rows, columns = np.nonzero((depth > 0) & (views.masks[0] > 0))
        if len(rows) > FEWEST_PSEUDO_PIXELS:
            chosen = random.integers(len(rows), size=NUM_PSEUDO_POINTS)
            rows, columns = rows[chosen], columns[chosen]
            points = points_on_rays(
                np.stack([columns, rows], axis=1), depth[rows, columns], geometry.intrs[0], geometry.c2ws[0]
            )
            part["pseudo_pts"] = torch.from_numpy(points)
        return part

    def _add_items(self, scenes: dict[int, Scene]) -> None:
        """The items of a scene under all lights; unusable views are left out unless the config names them."""
        settings = self.settings
        first = next(iter(scenes.values()))
        if settings.ref_view is None:
            references = range(len(first.views))
        else:
            references = [self.layout.view_id(first, number) for number in settings.ref_view]
        for reference in references:
            for light, scene in scenes.items():
                problem = None
                sources = self._candidates(scene, reference)
                if scene.views[reference].image is None:
                    problem = "has no picture"
                elif len(sources) < settings.num_src_view:
                    problem = f"has {len(sources)} sources with pictures, num_src_view asks for {settings.num_src_view}"
                if problem is None:
                    self.items.append((scene, reference, sources, light))
                elif settings.ref_view is not None:
                    number = self._number(scene, reference)
                    raise ValueError(f"view {number} of {scene.name} {problem}; add pictures or change the config")

    def _candidates(self, scene: Scene, reference: int) -> tuple[int, ...]:
        if self.settings.src_views is not None:
            return tuple(self.layout.view_id(scene, number) for number in self.settings.src_views)
        self._check_pairs(scene)
        sources = paired_views(scene, reference)
        if isinstance(self.layout, DtuLayout):
            sources = sources[:NUM_PAIRED]
        return sources[:NUM_TRAINING_SOURCES] if self.training else sources

    def _check_pairs(self, scene: Scene) -> None:
        """Where the pair file may be missing; DTU's own cameras serve as well."""

    def _number(self, scene: Scene, view: int) -> int:
        """What the config calls a view."""
        return view


class DTUDataset(MultiViewDataset):
    """Views of DTU's scans under some lights; without pair.txt the nearest cameras are the sources."""

    def __init__(self, settings: Any, training: bool):
        super().__init__(
            DtuLayout(settings.data_dir, settings.interval_scale * settings.num_interval), settings, training
        )


class BMVSDataset(MultiViewDataset):
    """Views of BlendedMVS's scenes before black; without pair.txt the config must name the sources."""

    def __init__(self, settings: Any, training: bool):
        layout = BlendedMvsLayout(settings.data_dir, settings.interval_scale * settings.num_interval)
        super().__init__(layout, settings, training)

    def _check_pairs(self, scene: Scene) -> None:
        require_pairs(self.layout, scene)

    def _number(self, scene: Scene, view: int) -> int:
        return int(scene.views[view].name)


def require_pairs(layout: Layout, scene: Scene) -> None:
    """Refuse a scene without listed pairs; FileNotFoundError."""
    if not scene.pairs:
        raise FileNotFoundError(
            f"no pair file {layout.pair_file(scene)}, which lists the sources of every view of {scene.name};"
            " download it, make it with tools/colmap_to_mvsnet.py, or name the sources with src_views (BMVSDataset)"
        )


def ray_entries(item: Item, geometry: ItemGeometry, pixels: np.ndarray, view: int = 0) -> Item:
    """Rays through pixels of the item's view, and what the maps of the item show there.

    Args:
        item: Has `imgs`, and the maps that are to be read.
        geometry: Of the item's views, in its order.
        pixels: (x, y), possibly fractional.
        view: Of the item.
    """
    columns, rows = torch.from_numpy(pixels).long().unbind(-1)
    near, far = geometry.near_fars[view]
    entries: Item = {
        "rays_o": torch.from_numpy(geometry.c2ws[view, :3, 3]).expand(len(pixels), 3).contiguous(),
        "rays_d": torch.from_numpy(ray_directions(pixels, geometry.intrs[view], geometry.c2ws[view])),
        "color": item["imgs"][view][:, rows, columns].T.contiguous(),
        "near": torch.tensor([[float(near)]]),
        "far": torch.tensor([[float(far)]]),
    }
    for name in ("depth", "mask", "pseudo_depth"):
        if f"{name}_ref" in item:
            entries[name] = item[f"{name}_ref"][rows, columns]
    return entries


def _scene_names(settings: Any) -> list[str]:
    if settings.scene:
        return settings.scene
    if not settings.split:
        raise ValueError("a dataset needs scene (a list of names) or split (a file with one name per line)")
    path = resolve_input(settings.split, METHOD_FOLDER)
    names = read_text(path).split()
    if not names:
        raise ValueError(f"{path} lists no scene; it should have one name per line")
    return names
