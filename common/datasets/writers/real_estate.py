"""Writes RealEstate10K clips; the layout is described in `common/datasets/real_estate.py`."""

from pathlib import Path

import numpy as np

from common.datasets.real_estate import NEAR_FAR
from common.datasets.rendered_scene import RenderedScene
from common.datasets.writers.units import within_depths
from common.io.atomic import atomic_path
from common.io.images import write_image

FRAME_INTERVAL = 33366  # microseconds


def write_real_estate(folder: Path, scene: RenderedScene) -> None:
    """Write a clip into the `train` split, scaled where its depths leave the layout's fixed bounds."""
    scene = within_depths(scene, NEAR_FAR)
    split = Path(folder) / "train"
    lines = [f"https://example.org/{scene.name}"]
    for index, view in enumerate(scene.views):
        # The first stamp has fewer digits than the last: they must be sorted as numbers.
        timestamp = (index + 1) * FRAME_INTERVAL
        height, width = view.depth.shape
        (fx, _, cx), (_, fy, cy) = view.intrinsics[:2]
        lens = [fx / width, fy / height, (cx + 0.5) / width, (cy + 0.5) / height, 0.0, 0.0]
        numbers = [*lens, *np.ravel(view.world_to_cam[:3])]
        lines.append(" ".join([str(timestamp), *(repr(float(number)) for number in numbers)]))
        write_image(split / "frames" / scene.name / f"{timestamp}.png", view.image)
    with atomic_path(split / "cameras" / f"{scene.name}.txt") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf8")
