"""DTU as its authors distribute it.

    Rectified/scan<N>/rect_<III>_<L>_r5000.png      1600 x 1200; also ..._max.png, which is left out
    Calibration/cal18/pos_<III>.txt                 3 x 4 projection, world in millimetres

<III> is the view index + 1, <L> the light 0 to 6.
"""

from pathlib import Path

import numpy as np

from common.datasets.dtu import NUM_LIGHTS
from common.datasets.photographs import image_file
from common.datasets.scene import Scene, View
from common.datasets.validation import check_view, checked_scene, inside
from common.io.data_files import read_tokens
from common.io.idr_cameras import decompose_projection


def read_dtu_original(folder: str | Path, scan: str, *, light: int = 3) -> Scene:
    """One scan of the original archives; view ids are DTU's view indices and views have no depth bounds.

    Args:
        folder: The one that holds `Rectified` and `Calibration`.
        scan: `scan<N>`.
        light: 0 to 6.

    Raises:
        FileNotFoundError: There are no pictures under this light, or a calibration is missing.
        ValueError: A file is broken, or view indices have gaps.
    """
    folder = Path(folder)
    inside(folder, scan, "the list of scans")
    if light not in range(NUM_LIGHTS):
        raise ValueError(f"DTU has lights 0 to {NUM_LIGHTS - 1}, got {light}")
    images = sorted((folder / "Rectified" / scan).glob(f"rect_[0-9][0-9][0-9]_{light}_r*.png"))
    if not images:
        raise FileNotFoundError(f"no picture like {folder / 'Rectified' / scan / f'rect_001_{light}_r5000.png'}")
    views = []
    for index, image in enumerate(images):
        if image.name[5:8] != f"{index + 1:03d}":
            raise ValueError(f"{image.parent} lacks the picture {index + 1:03d} of light {light}; copy the scan again")
        calibration = folder / "Calibration" / "cal18" / f"pos_{index + 1:03d}.txt"
        intrinsics, world_to_cam = decompose_projection(_read_projection(calibration))
        view = View(image.stem, image_file(image), intrinsics, world_to_cam)
        check_view(view, str(calibration))
        views.append(view)
    return checked_scene(Scene(scan, tuple(views)), folder / "Rectified" / scan)


def _read_projection(path: Path) -> np.ndarray:
    try:
        numbers = [float(word) for word, _ in read_tokens(path)]
    except ValueError as error:
        raise ValueError(f"{path} should hold 12 numbers: {error}") from None
    if len(numbers) != 12:
        raise ValueError(f"{path} holds {len(numbers)} numbers, expected the 12 of a projection")
    return np.array(numbers).reshape(3, 4)
