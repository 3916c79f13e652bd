"""Depth maps for data that came without: what the depth variant reads in place of the published COLMAP caches.

1. features are matched between neighbouring views and triangulated with the known cameras (pycolmap); the points
   tighten the depth bounds of every view
2. where CUDA is: COLMAP's dense stereo; elsewhere planes are swept on the CPU (`common/baselines/view_depths.py`)

Maps are written as COLMAP's `*.geometric.bin`, in the cache folder that databases look into
(`neuray_mrvm/databases/database.py`), because data folders may be read-only.
"""

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from common.baselines.source_views import PosedImage
from common.baselines.view_depths import ViewDepthSettings, view_depths
from common.colmap_programs import dense_program, dense_stereo, triangulate
from common.datasets.colmap import depth_bounds
from common.io.colmap_model import read_colmap_model
from common.io.colmap_records import ColmapCamera, ColmapImage, quaternion_of
from common.io.depth_maps import read_colmap_array, write_colmap_array
from common.io.images import write_image
from neuray_mrvm.databases.database import Database

NUM_MATCHED = 6  # neighbours that features of a view are matched with
FEWEST_POINTS = 20
SWEEP, STEREO = "plane sweep on the CPU", "COLMAP's dense stereo"
Bounds = tuple[float, float]
_LOGGER = logging.getLogger(__name__)


def reference_ids(database: Database) -> list[str]:
    """The views that need a depth map: those that the test views are rendered from; all where there is no split."""
    try:
        ids, _ = database.splits("test_all")
    except ValueError:
        ids = database.ids
    return [view_id for view_id in ids if database.has_image(view_id)]


def make_depth_cache(
    database: Database,
    ids: Sequence[str] | None = None,
    place: Callable[[str], Path] | None = None,
    overwrite: bool = False,
    colmap: str = "colmap",
    num_neighbors: int = ViewDepthSettings.num_neighbors,
) -> tuple[str, list[Path]]:
    """Write the depth maps that views lack.

    Args:
        database: The scene.
        ids: Of the views; None takes `reference_ids`.
        place: Where the map of a view goes; None takes the cache folder.
        overwrite: Make maps again that are there.
        colmap: Program for dense stereo, where pycolmap has no CUDA.
        num_neighbors: Views that the plane sweep compares each one with; with few, the maps are as uncertain
            as those of scenes that have only few photographs.

    Returns:
        `SWEEP` or `STEREO`, and the files that were written; none where all maps are there.

    Raises:
        ImportError: pycolmap is not installed.
        ValueError: Fewer than two views, or no neighbours.
        RuntimeError: Dense stereo failed.
    """
    ids = reference_ids(database) if ids is None else list(ids)
    place = place or database.cached_depth_path
    if len(ids) < 2:
        raise ValueError(f"depth maps come from comparing views, but {database.name} has {len(ids)} with a picture")
    if num_neighbors < 1:
        raise ValueError(f"a plane sweep compares each view with at least 1 neighbour, got {num_neighbors}")
    program = dense_program(colmap)
    method = SWEEP if program is None else STEREO
    missing = [view_id for view_id in ids if overwrite or database.find_depth(view_id) is None]
    if not missing:
        return method, []
    with tempfile.TemporaryDirectory(prefix="polyview-depth-") as folder:
        model, names = sparse_model(database, ids, Path(folder))
        bounds = point_bounds(database, ids, read_colmap_model(model).points.xyz)
        if program is None:
            depths = _swept(database, ids, bounds, num_neighbors)
        else:
            maps = dense_stereo(program, Path(folder) / "images", model, Path(folder))
            depths = {view_id: read_colmap_array(maps / f"{names[view_id]}.geometric.bin") for view_id in ids}
    for view_id in missing:
        write_colmap_array(place(view_id), _masked(depths[view_id], database.mask(view_id)))
    return method, [place(view_id) for view_id in missing]


def sparse_model(database: Database, ids: Sequence[str], workspace: Path) -> tuple[Path, dict[str, str]]:
    """COLMAP's points for the cameras of a database; the model's folder, and the file name of each view in it."""
    names = {view_id: f"{number:06d}.png" for number, view_id in enumerate(ids)}
    cameras, images = {}, {}
    for view_id, name in names.items():
        write_image(workspace / "images" / name, database.image(view_id))
        K, pose = database.K(view_id).astype(np.float64), database.pose(view_id).astype(np.float64)
        center = K[0, 2] + 0.5, K[1, 2] + 0.5  # corner-origin
        cameras[name] = ColmapCamera("PINHOLE", *database.size(view_id), (K[0, 0], K[1, 1], *center))
        nothing = np.zeros((0, 2)), np.zeros(0, np.int64)
        images[name] = ColmapImage(name, 0, quaternion_of(pose[:, :3]), pose[:, 3], *nothing)
    pairs = [(names[first], names[second]) for first, second in neighboring_pairs(database, ids)]
    return triangulate(workspace / "images", cameras, images, pairs, workspace), names


def neighboring_pairs(database: Database, ids: Sequence[str], count: int = NUM_MATCHED) -> list[tuple[str, str]]:
    """Every view with its nearest others, each pair once."""
    poses = np.stack([database.pose(view_id) for view_id in ids]).astype(np.float64)
    centers = -(poses[:, :, :3].transpose(0, 2, 1) @ poses[:, :, 3:])[..., 0]
    pairs = set()
    for index, center in enumerate(centers):
        order = np.argsort(np.linalg.norm(centers - center, axis=1), kind="stable").tolist()
        pairs |= {tuple(sorted((index, other))) for other in [o for o in order if o != index][:count]}
    return [(ids[first], ids[second]) for first, second in sorted(pairs)]


def point_bounds(database: Database, ids: Sequence[str], points: Float[np.ndarray, "P 3"]) -> dict[str, Bounds]:
    """Depth bounds of each view: those of the data set, tightened around the points that the view contains."""
    found, tightened = {}, 0
    for view_id in ids:
        near, far = database.depth_range(view_id).tolist()
        projected = (points @ database.pose(view_id)[:, :3].T + database.pose(view_id)[:, 3]) @ database.K(view_id).T
        depth = projected[:, 2]
        pixels = projected[:, :2] / np.where(depth > 0, depth, np.nan)[:, None]
        depth = depth[((pixels >= 0) & (pixels < database.size(view_id))).all(axis=1)]
        bounds = depth_bounds(depth) if len(depth) >= FEWEST_POINTS else None
        if bounds is not None and max(near, bounds[0]) < min(far, bounds[1]):
            near, far, tightened = max(near, bounds[0]), min(far, bounds[1]), tightened + 1
        found[view_id] = (near, far)
    _LOGGER.info("%d sparse points tighten the depth bounds of %d of %d views", len(points), tightened, len(ids))
    return found


def _swept(
    database: Database, ids: Sequence[str], bounds: Mapping[str, Bounds], num_neighbors: int
) -> dict[str, Float[np.ndarray, "_ _"]]:
    """Maps at the size of the sweep; databases bring them to the size of their pictures."""
    settings = ViewDepthSettings(num_neighbors)
    photographs = [_photograph(database, view_id, settings.sweep.sweep_pixels) for view_id in ids]
    return dict(zip(ids, view_depths(photographs, [bounds[view_id] for view_id in ids], settings), strict=True))


def _photograph(database: Database, view_id: str, most_pixels: int) -> PosedImage:
    """The picture of a view, reduced at once: a hundred of full size would need gigabytes."""
    image = database.image(view_id).astype(np.float32) / np.float32(255)
    pose = np.concatenate([database.pose(view_id).astype(np.float64), [[0.0, 0.0, 0.0, 1.0]]])
    photograph = PosedImage(image, database.K(view_id).astype(np.float64), pose)
    scale = min(1.0, (most_pixels / (image.shape[0] * image.shape[1])) ** 0.5)
    return photograph.shrunk_to_focal(photograph.intrinsics[0, 0] * scale)


def _masked(depth: Float[np.ndarray, "h w"], mask: np.ndarray) -> Float[np.ndarray, "h w"]:
    """Unknown where the data set says that nothing is."""
    inside = cv2.resize(mask.astype(np.uint8), depth.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    return np.where(inside, depth, np.float32(0))
