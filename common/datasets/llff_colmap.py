"""LLFF scenes with COLMAP cameras, NeuRay's packaging for testing.

    <scene>/images/...                              full size, 4032 wide
    <scene>/sparse/{cameras,images}.bin             one pinhole camera for each image
    <scene>/depth_range.npy                         N x 2; row = image id - 1
    <scene>/colmap_depth/<id>.jpg.geometric.bin     dense depth at 1008 x 756

Image ids are 1 ... N without gaps, and are the names of the views; every 8th is a test view. Intrinsics are the numbers
in the file: corner-origin. (The published class means to subtract half a pixel, but does it after K is built.)
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.datasets.photographs import find_photograph, image_file
from common.datasets.scene import DepthFile, Scene, View
from common.datasets.validation import check_view, checked_scene
from common.io.colmap_model import read_colmap_model
from common.io.colmap_records import intrinsics_and_lens, world_to_cam_of
from common.io.data_files import read_npy

TEST_EVERY = 8


def read_llff_colmap(folder: str | Path) -> Scene:
    """The views of one scene in the order of their ids, with its train and test split.

    Args:
        folder: The scene's.

    Raises:
        FileNotFoundError: The model, a picture or `depth_range.npy` is missing.
        ValueError: Ids have gaps, a camera has a lens, counts or sizes differ.
    """
    folder = Path(folder)
    model = read_colmap_model(folder / "sparse")
    count = len(model.images)
    if sorted(model.images) != list(range(1, count + 1)):
        raise ValueError(f"{folder}/sparse has {count} images whose ids are not 1 to {count}; this layout needs that")
    bounds = _read_bounds(folder / "depth_range.npy", count)
    views = []
    for image_id in range(1, count + 1):
        stored = model.images[image_id]
        camera = model.cameras[stored.camera_id]
        where = f"{folder}/sparse: image {image_id} ('{stored.name[:100]}')"
        photograph = find_photograph(folder / "images", stored.name, where)
        if photograph is None:
            raise FileNotFoundError(f"no picture {folder}/images/{stored.name}, which image {image_id} of sparse names")
        image = image_file(photograph)
        if image.size != (camera.width, camera.height):
            size = f"{image.size[0]} x {image.size[1]}"
            raise ValueError(f"{photograph} has {size} pixels but its camera has {camera.width} x {camera.height}")
        intrinsics, lens = intrinsics_and_lens(camera)
        if lens is not None and not lens.is_zero:
            raise ValueError(f"{where} has a lens of model {camera.model}; this layout has pinhole cameras only")
        depth = folder / "colmap_depth" / f"{image_id}.jpg.geometric.bin"
        view = View(
            name=str(image_id),
            image=image,
            intrinsics=intrinsics,
            world_to_cam=world_to_cam_of(stored),
            near_far=(float(bounds[image_id - 1, 0]), float(bounds[image_id - 1, 1])),
            depth=DepthFile(depth, "colmap") if depth.is_file() else None,
        )
        check_view(view, where)
        views.append(view)
    test = tuple(range(0, count, TEST_EVERY))
    splits = {"train": tuple(index for index in range(count) if index not in test), "test": test}
    return checked_scene(Scene(folder.resolve().name, tuple(views), splits, pixel_origin="corner"), folder)


def _read_bounds(path: Path, count: int) -> Float[np.ndarray, "V 2"]:
    bounds = read_npy(path)
    if bounds.shape != (count, 2):
        raise ValueError(f"{path} has shape {bounds.shape}, expected near and far for each of {count} images")
    return bounds.astype(np.float64)
