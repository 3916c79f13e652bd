"""Items for fine-tuning on one scene: `DTUDatasetFinetune` and `BMVSDatasetFinetune` (spec 3.3).

All views lie in one cube, that of `ref_view`. A step takes one of them as its reference, in the order [view, the others
ascending]; `view_ids` are positions in `all_views`.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from common.datasets.view_selection import paired_views
from gens.data.datasets import NUM_PSEUDO_POINTS, ray_entries, require_pairs
from gens.data.geometry import ItemGeometry, item_geometry
from gens.data.items import Item, cube_bounds
from gens.data.layouts import NUM_PAIRED, BlendedMvsLayout, DtuLayout, Layout
from gens.data.rays import pixel_lattice, points_on_rays, uniform_pixels
from gens.data.views import load_views


class FinetuneDataset:
    """The views of one scene, loaded once.

    Args:
        layout: How the scene lies on disk.
        settings: The `finetune_dataset` block of the config.

    Attributes:
        all_views: View ids; the first is `ref_view`.
        images, masks: Of these views.
        geometry: Of these views, in the cube of the first.
        pseudo_points: Every point that the pseudo depths of these views show; none where there are no files.

    Raises:
        FileNotFoundError, ValueError: Missing or broken data, or too few sources.
    """

    def __init__(self, layout: Layout, settings: Any):
        self.settings = settings
        self.height, self.width = settings.img_hw
        scene = layout.read(_single(settings.scene, "scene"))
        reference = layout.view_id(scene, _single(settings.ref_view, "ref_view"))
        require_pairs(layout, scene)
        sources = paired_views(scene, reference)[:NUM_PAIRED][: settings.num_views - 1]
        if scene.views[reference].image is None or len(sources) < settings.num_views - 1:
            raise ValueError(
                f"view {settings.ref_view[0]} of {scene.name} needs a picture and {settings.num_views - 1} sources with"
                f" pictures, it has {len(sources)} such sources; lower num_views or add pictures"
            )
        self.name = scene.name
        self.all_views = [reference, *sources]
        views = load_views(layout, scene, self.all_views, self.height, self.width)
        self.images, self.masks = views.images, views.masks
        self.geometry = item_geometry(views.cameras, settings.factor, views.masks[0] > 0)
        self.pseudo_points = self._pseudo_points(layout, scene)

    def __len__(self) -> int:
        return len(self.all_views)

    def step_item(self, view: int, random: np.random.Generator) -> Item:
        """The item of one step.

        Args:
            view: Its reference, as a position in `all_views`.
            random: Decides rays and points.
        """
        item, geometry = self._views(view)
        item |= ray_entries(item, geometry, uniform_pixels(self.height, self.width, self.settings.n_rays, random))
        if len(self.pseudo_points):
            chosen = random.integers(len(self.pseudo_points), size=NUM_PSEUDO_POINTS)
            item["pseudo_pts"] = torch.from_numpy(self.pseudo_points[chosen])
        return item

    def validation_item(self, view: int = 0) -> Item:
        """A view's item with a lattice of rays over the whole picture."""
        item, geometry = self._views(view)
        pixels, size = pixel_lattice(self.height, self.width, self.settings.val_res_level)
        item |= cube_bounds() | {"hw": torch.tensor(size), "scene": self.name, "file_name": str(view)}
        return item | ray_entries(item, geometry, pixels)

    def _views(self, view: int) -> tuple[Item, ItemGeometry]:
        order = [view, *(index for index in range(len(self)) if index != view)]
        whole = self.geometry
        geometry = ItemGeometry(
            whole.intrs[order], whole.c2ws[order], whole.near_fars[order], whole.scale_mat, whole.scale_factor
        )
        item: Item = {
            "imgs": torch.from_numpy(np.ascontiguousarray(self.images[order].transpose(0, 3, 1, 2))),
            "intrs": torch.from_numpy(geometry.intrs),
            "c2ws": torch.from_numpy(geometry.c2ws),
            "masks": torch.from_numpy(self.masks[order]),
            "scale_mat": torch.from_numpy(geometry.scale_mat),
            "view_ids": torch.tensor(order),
        }
        return item, geometry

    def _pseudo_points(self, layout: Layout, scene: Any) -> Float[np.ndarray, "P 3"]:
        found = [np.zeros((0, 3), np.float32)]
        for position, view in enumerate(self.all_views):
            depth = layout.pseudo_depth(scene, view)
            if depth is None:
                continue
            height, width = depth.shape
            rows, columns = np.nonzero(depth > 0)
            scale = np.diag([width / self.width, height / self.height, 1.0, 1.0])
            found.append(
                points_on_rays(
                    np.stack([columns, rows], axis=1),
                    depth[rows, columns] * np.float32(self.geometry.scale_factor),
                    scale @ self.geometry.intrs[position],
                    self.geometry.c2ws[position],
                )
            )
        return np.concatenate(found)


class DTUDatasetFinetune(FinetuneDataset):
    """A scan of DTU under light 3."""

    def __init__(self, settings: Any):
        super().__init__(DtuLayout(settings.data_dir, settings.interval_scale * settings.num_interval), settings)


class BMVSDatasetFinetune(FinetuneDataset):
    """A scene of BlendedMVS with its background."""

    def __init__(self, settings: Any):
        intervals = settings.interval_scale * settings.num_interval
        super().__init__(BlendedMvsLayout(settings.data_dir, intervals, masked=False), settings)


def _single(values: Any, name: str) -> Any:
    if values is None or len(values) != 1:
        raise ValueError(f"fine-tuning is done on one scene and reference view; finetune_dataset.{name} is {values}")
    return values[0]
