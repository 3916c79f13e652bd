"""Writes DTU as its authors distribute it; the layout is described in `common/datasets/dtu_original.py`."""

from pathlib import Path

from common.datasets.rendered_scene import RenderedScene
from common.io.atomic import atomic_path
from common.io.images import write_image

LIGHT = 3


def write_dtu_original(folder: Path, scene: RenderedScene) -> None:
    """Write the pictures of a scan under one light, and the projections that all scans share."""
    for index, view in enumerate(scene.views):
        series = 5000 if index < 49 else 7000
        name = f"rect_{index + 1:03d}_{LIGHT}_r{series}.png"
        write_image(Path(folder) / "Rectified" / scene.name / name, view.image)
        projection = view.intrinsics @ view.world_to_cam[:3]
        rows = [" ".join(repr(float(value)) for value in row) for row in projection]
        with atomic_path(Path(folder) / "Calibration" / "cal18" / f"pos_{index + 1:03d}.txt") as temporary:
            temporary.write_text("\n".join(rows) + "\n", encoding="utf8")
