"""Views of a database as tensors, and which views serve as references and as sources (spec 3.4, 3.5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from neuray_mrvm.databases.database import Database, missing_depth_sentence
from neuray_mrvm.view_batch import ViewBatch


def load_views(database: Database, ids: Sequence[str], pad: int = 1, *, use_depth: bool = True) -> ViewBatch:
    """Pictures, masks, cameras and depth of some views.

    Views of different size are first brought to the largest height and width: pictures by reflection, masks and depth
    with 0. Then everything is padded by reflection to a multiple of `pad`, at the bottom and on the right; intrinsics
    stay as they are, and the padding counts as picture from then on.

    Args:
        database: Where the views are.
        ids: Their ids, in the order of the result.
        pad: What height and width are to be a multiple of.
        use_depth: False leaves depth out. A view without a depth map has depth 0, unknown, everywhere.

    Raises:
        FileNotFoundError: A picture is missing, or depth is asked for and not a single depth map exists.
        ValueError: A file is damaged, or there is no view of that id.
    """
    pictures = [database.image(view_id).transpose(2, 0, 1).astype(np.float32) / np.float32(255) for view_id in ids]
    masks = [database.mask(view_id)[None].astype(np.float32) for view_id in ids]
    depths = _depths(database, ids) if use_depth else None
    size = tuple(max(picture.shape[axis] for picture in pictures) for axis in (1, 2))

    def stacked(arrays: Sequence[np.ndarray], mode: str) -> Tensor:
        return torch.from_numpy(np.stack([_padded(array, size, mode) for array in arrays]))

    views = ViewBatch(
        poses=torch.from_numpy(np.stack([database.pose(view_id) for view_id in ids])),
        Ks=torch.from_numpy(np.stack([database.K(view_id) for view_id in ids])),
        depth_range=torch.from_numpy(np.stack([database.depth_range(view_id) for view_id in ids])),
        size=size,
        imgs=stacked(pictures, "reflect"),
        masks=stacked(masks, "constant"),
        depth=None if depths is None else stacked(depths, "constant"),
    )
    return padded(views, pad)


def padded(views: ViewBatch, multiple: int) -> ViewBatch:
    """The views with everything reflected at the bottom and on the right, to a multiple of rows and of columns."""
    size = tuple(-(-side // multiple) * multiple for side in views.size)
    names = ("imgs", "masks", "depth", "true_depth")
    maps = {name: getattr(views, name) for name in names}
    grown = {n: torch.from_numpy(_padded(m.numpy(), size, "reflect")) for n, m in maps.items() if m is not None}
    return replace(views, **grown, size=size)


def nearest_ids(database: Database, query: str | Float[np.ndarray, "3 4"], candidates: Sequence[str]) -> list[str]:
    """Candidates by the distance of their cameras, nearest first; ties keep their order.

    Args:
        database: Where the views are.
        query: An id, or the pose of a camera that is none of the views. It is not left out of the candidates.
        candidates: Ids.
    """
    center = _center(database.pose(query) if isinstance(query, str) else query)
    centers = np.stack([_center(database.pose(view_id)) for view_id in candidates])
    return [candidates[i] for i in np.argsort(np.linalg.norm(centers - center, axis=1), kind="stable")]


@dataclass(frozen=True)
class ReferenceChoice:
    """Which views are references and which are read with them.

    Attributes:
        references: Ids of the references.
        loaded: Ids of all views to load: the references, or references and sources.
        neighbors: Ids of each reference's nearest views among those loaded.
        has_sources: Whether `loaded` are sources of a cost volume.
    """

    references: Sequence[str]
    loaded: Sequence[str]
    neighbors: Sequence[Sequence[str]]
    has_sources: bool

    def split(self, views: ViewBatch) -> tuple[ViewBatch, ViewBatch | None]:
        """The loaded views as references, whose `nn_ids` index into the loaded ones, and sources."""
        order = torch.tensor([self.loaded.index(view_id) for view_id in self.references])
        nn_ids = torch.tensor([[self.loaded.index(view_id) for view_id in row] for row in self.neighbors])
        return replace(views.select(order), nn_ids=nn_ids), views if self.has_sources else None


def reference_set(
    database: Database,
    ids: Sequence[str],
    query: str | Float[np.ndarray, "3 4"],
    cfg: Mapping[str, Any],
    *,
    use_depth: bool = True,
) -> tuple[ViewBatch, ViewBatch | None]:
    """The references nearest to a view, and the sources that a cost volume reads.

    Args:
        database: Where the views are.
        ids: Of the views that may be references.
        query: The view to render: its id, or the pose of a free camera.
        cfg: `min_wn` references, padded to `ref_pad_interval`; `use_src_imgs`, `cost_volume_nn_num` sources each.
        use_depth: As for `load_views`.

    Raises:
        FileNotFoundError, ValueError: As `load_views`.
    """
    choice = choose_sources(database, nearest_ids(database, query, ids)[: cfg["min_wn"]], ids, cfg)
    return choice.split(load_views(database, choice.loaded, cfg["ref_pad_interval"], use_depth=use_depth))


def choose_sources(
    database: Database, references: Sequence[str], ids: Sequence[str], cfg: Mapping[str, Any]
) -> ReferenceChoice:
    """These references with their nearest neighbours among `ids` as sources, where `use_src_imgs` asks for them."""
    count = cfg["cost_volume_nn_num"]
    if not cfg["use_src_imgs"]:
        neighbors = _neighbors(database, references, references, count)
        return ReferenceChoice(references, references, neighbors, has_sources=False)
    neighbors = _neighbors(database, references, ids, count)
    # Sorted as texts, like the paper's program does.
    loaded = sorted({*references, *(other for row in neighbors for other in row)})
    return ReferenceChoice(references, loaded, neighbors, has_sources=True)


def consistent_ranges(ranges: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
    """Depth ranges that are all as long as the longest; near at least half of what it was (spec 3.6 step 8)."""
    near, far = ranges.unbind(dim=1)
    longest = (far - near).max()
    near = torch.maximum(near - (longest - (far - near)) / 2, near / 2)
    return torch.stack([near, near + longest], dim=1)


def with_consistent_ranges(*batches: ViewBatch, use_min_max: bool = False) -> list[ViewBatch]:
    """The views with depth ranges that are consistent among all of them.

    Args:
        batches: Such as references and query.
        use_min_max: All get the smallest near and the largest far instead of one length.
    """
    ranges = torch.cat([batch.depth_range for batch in batches])
    if use_min_max:
        ranges = torch.stack([ranges[:, 0].min(), ranges[:, 1].max()]).repeat(len(ranges), 1)
    else:
        ranges = consistent_ranges(ranges)
    parts = ranges.split([len(batch) for batch in batches])
    return [replace(batch, depth_range=part) for batch, part in zip(batches, parts, strict=True)]


def require_depth(database: Database, ids: Sequence[str]) -> None:
    """Refuse a scene of which not a single view has a depth map.

    Raises:
        FileNotFoundError: With the way out.
    """
    if not any(database.find_depth(view_id) for view_id in ids):
        raise FileNotFoundError(missing_depth_sentence(database))


def _depths(database: Database, ids: Sequence[str]) -> list[np.ndarray]:
    found = [database.depth(view_id) for view_id in ids]
    if all(depth is None for depth in found):
        require_depth(database, database.ids)
    sizes = [database.size(view_id)[::-1] for view_id in ids]
    maps = [np.zeros(size) if depth is None else depth for depth, size in zip(found, sizes, strict=True)]
    return [depth[None].astype(np.float32) for depth in maps]


def _neighbors(database: Database, chosen: Sequence[str], ids: Sequence[str], count: int) -> list[list[str]]:
    """Ids of the nearest others of each chosen view; a scene with fewer repeats them."""
    rows = []
    for view_id in chosen:
        others = [other for other in ids if other != view_id] or [view_id]
        near = nearest_ids(database, view_id, others)[:count]
        rows.append([near[i % len(near)] for i in range(count)])
    return rows


def _padded(array: Shaped[np.ndarray, "... H W"], size: tuple[int, int], mode: str) -> Shaped[np.ndarray, "... h w"]:
    below, right = size[0] - array.shape[-2], size[1] - array.shape[-1]
    return np.pad(array, [(0, 0)] * (array.ndim - 2) + [(0, below), (0, right)], mode) if below or right else array


def _center(pose: Float[np.ndarray, "3 4"]) -> Float[np.ndarray, "3"]:
    return -pose[:, :3].T @ pose[:, 3]
