"""DTU as SparseNeuS packs it for testing (`DTU_TEST`).

    DTU_TEST/cameras/00000000_cam.txt           K of the 1600 x 1200 pictures, shared by all scans
    DTU_TEST/scan<N>/image/000000.png           named by DTU's view index
    DTU_TEST/scan<N>/mask/000.png               named by DTU's view index too
    DTU_TEST/scan<N>/cameras.npz                instead of `cameras`: world_mat_<i> of the i-th picture

Views are the pictures in sorted order. World and depth are in millimetres.
"""

from pathlib import Path

from common.datasets.mvsnet_views import read_view
from common.datasets.neus import read_neus
from common.datasets.photographs import list_photographs
from common.datasets.scene import MaskFile, Scene
from common.datasets.validation import checked_scene, inside

CLEANING_THRESHOLD = 128  # mesh cleaning keeps what is brighter in the mask


def read_dtu_test(
    folder: str | Path, scan: str, *, mask_threshold: int = CLEANING_THRESHOLD, num_intervals: float | None = None
) -> Scene:
    """One scan with its object masks; views are called by the digits of their picture.

    Args:
        folder: `DTU_TEST`.
        scan: `scan<N>`.
        mask_threshold: A mask pixel above this (of 255) shows the object.
        num_intervals: Rule for the far depth where cameras are text files, see `MvsnetCamera.near_far`.

    Raises:
        FileNotFoundError: There are no pictures or no cameras.
        ValueError: A file is broken, or a picture's name is no view index.
    """
    folder = Path(folder)
    inside(folder, scan, "the list of scans")
    cameras, images = folder / "cameras", folder / scan / "image"
    if not cameras.is_dir():
        return read_neus(folder / scan, mask_threshold=mask_threshold)
    photographs = list_photographs(images)
    if not photographs:
        raise FileNotFoundError(f"no picture like {images / '000000.png'}; expected the DTU_TEST layout of SparseNeuS")
    wrong = [path for path in photographs if not (path.stem.isascii() and path.stem.isdigit() and len(path.stem) < 9)]
    if wrong:
        raise ValueError(f"{wrong[0]} should be called by DTU's view index, like 000023.png; remove it")
    views = []
    for path in photographs:
        index = int(path.stem)
        mask = MaskFile(folder / scan / "mask" / f"{index:03d}.png", mask_threshold)
        views.append(read_view(cameras / f"{index:08d}_cam.txt", path, num_intervals=num_intervals, mask=mask))
    return checked_scene(Scene(scan, tuple(views)), folder / scan)
