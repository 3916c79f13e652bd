"""DTU as NeuRay packs it; its training part is pixelNeRF's.

    dtu_train/scan<N>/image/000000.png                  400 x 300, with cameras for that size
    dtu_train/scan<N>/cameras.npz
    colmap_dtu_cache/dtu_train/scan<N>/dense/stereo/depth_maps/<i>.jpg.geometric.bin
    dtu_test/<name>/image/000000.png                    1600 x 1200; birds, bricks, snowman, tools
    dtu_test/<name>/mask/000.png                        object where any channel is above 0
    dtu_test/<name>/cameras.npz
    dtu_test/<name>/depth_range.npy                     2 numbers
    dtu_test/<name>/colmap_depth/<i>.jpg.geometric.bin  800 x 600

Reduced copies of a test scan keep the cameras of 1600 x 1200.

The world is moved and scaled so that the sphere of `scale_mat` (centre b, radius a) becomes the unit sphere, then its y
and z axes are turned around, F = diag(1, -1, -1): x_file = a F x + b. Depth maps and bounds are in that unit.
"""

import dataclasses
from pathlib import Path

import numpy as np

from common.datasets.neus import read_neus
from common.datasets.photographs import list_photographs
from common.datasets.scene import DepthFile, Scene, View
from common.datasets.validation import check_near_far, checked_scene
from common.io.data_files import read_npy
from common.io.idr_cameras import decompose_projection, read_idr_cameras
from common.io.images import read_image_size

FULL_SIZE = (1600, 1200)
TRAINING_NEAR_FAR = (0.8, 4.0)
TEST_VIEWS = slice(3, -3, 8)
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


def read_dtu_neuray_train(folder: str | Path, *, depth_cache: str | Path | None = None) -> Scene:
    """One training scan; views in the order of the pictures.

    Args:
        folder: `dtu_train/scan<N>`.
        depth_cache: The folder `colmap_dtu_cache`, or None.

    Raises:
        FileNotFoundError, ValueError: As `common.datasets.neus.read_neus`.
    """
    folder = Path(folder)
    scene = _read(folder)
    maps = Path(depth_cache, "dtu_train", scene.name, "dense", "stereo", "depth_maps") if depth_cache else None
    views = tuple(_completed(view, maps, i, TRAINING_NEAR_FAR) for i, view in enumerate(scene.views))
    return checked_scene(dataclasses.replace(scene, views=views), folder)


def read_dtu_neuray_test(folder: str | Path) -> Scene:
    """One test scan at full size, with NeuRay's split.

    Args:
        folder: `dtu_test/<name>`.

    Raises:
        FileNotFoundError, ValueError: As `common.datasets.neus.read_neus`, also for `depth_range.npy`.
    """
    folder = Path(folder)
    scene = _read(folder, camera_size(folder))
    bounds = read_npy(folder / "depth_range.npy").ravel()
    if len(bounds) != 2:
        raise ValueError(f"{folder / 'depth_range.npy'} holds {len(bounds)} numbers; expected near and far")
    near_far = (float(bounds[0]), float(bounds[1]))
    check_near_far(near_far, str(folder / "depth_range.npy"))
    views = tuple(_completed(view, folder / "colmap_depth", i, near_far) for i, view in enumerate(scene.views))
    ids = range(len(views))
    test = tuple(ids[TEST_VIEWS])
    splits = {"train": tuple(i for i in ids if i not in test), "test": test}
    return checked_scene(dataclasses.replace(scene, views=views, splits=splits), folder)


def camera_size(folder: str | Path) -> tuple[int, int]:
    """(width, height) of the pictures that the cameras of a test scan are for.

    It is that of the stored pictures if the first principal point lies inside them, else 1600 x 1200: reduced copies
    keep the camera file as it was.

    Raises:
        FileNotFoundError, ValueError: As `read_dtu_neuray_test`.
    """
    pictures = list_photographs(Path(folder) / "image")
    if not pictures:
        raise FileNotFoundError(f"no pictures in {Path(folder) / 'image'}")
    stored = read_image_size(pictures[0])
    intrinsics, _ = decompose_projection(read_idr_cameras(Path(folder) / "cameras.npz").world_mats[0])
    inside = 0 < intrinsics[0, 2] < stored[0] and 0 < intrinsics[1, 2] < stored[1]
    return stored if inside else FULL_SIZE


def _read(folder: Path, stated_size: tuple[int, int] | None = None) -> Scene:
    """The views in NeuRay's world; without `scale_mat` it is only turned around."""
    has_sphere = read_idr_cameras(folder / "cameras.npz").scale_mats is not None
    scene = read_neus(folder, cameras="cameras.npz", normalize=has_sphere, mask_threshold=0, stated_size=stated_size)
    views = tuple(dataclasses.replace(view, world_to_cam=view.world_to_cam @ FLIP) for view in scene.views)
    to_original = FLIP if scene.to_original is None else scene.to_original @ FLIP
    return dataclasses.replace(scene, views=views, to_original=to_original, notes=())


def _completed(view: View, maps: Path | None, index: int, near_far: tuple[float, float]) -> View:
    path = maps and maps / f"{index}.jpg.geometric.bin"
    depth = DepthFile(path, "colmap") if path and path.is_file() else None
    return dataclasses.replace(view, depth=depth, near_far=near_far)
