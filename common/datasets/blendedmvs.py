"""BlendedMVS.

    <scene>/blended_images/00000000.jpg             768 x 576 (2048 x 1536 in the high-resolution edition)
    <scene>/blended_images/00000000_masked.jpg      the same before black
    <scene>/cams/00000000_cam.txt                   K of these pictures, 4-number depth line
    <scene>/cams/pair.txt                           some views have no source
    <scene>/rendered_depth_maps/00000000.pfm        0 outside the surface
    <scene>/colmap_depth/<N>.jpg.geometric.bin      NeuRay's, at half size; not in the original

Scale and world are arbitrary and differ between scenes. Intrinsics are centre-origin.
"""

from pathlib import Path
from typing import Literal

from common.datasets.mvsnet_views import camera_numbers, read_pairs, read_view
from common.datasets.scene import DepthFile, MaskFile, Scene
from common.datasets.validation import checked_scene


def read_blendedmvs(
    folder: str | Path,
    *,
    masked: bool = False,
    depth: Literal["rendered", "colmap"] = "rendered",
    num_intervals: float | None = None,
) -> Scene:
    """One scene; its views are the camera files in ascending order, named by their eight digits.

    Args:
        folder: The one that holds `blended_images`.
        masked: Show the pictures before black. The object mask comes from these pictures either way.
        depth: Which depth maps the views name; a view has none where the file is missing.
        num_intervals: far = minimum + this many depth intervals (GenS's rule); None takes the stated maximum.

    Raises:
        FileNotFoundError: There are no camera files or no pictures.
        ValueError: A file is broken.
    """
    folder = Path(folder)
    if depth not in ("rendered", "colmap"):
        raise ValueError(f"depth must be 'rendered' or 'colmap', got '{depth}'")
    cameras, images = folder / "cams", folder / "blended_images"
    numbers = camera_numbers(cameras)
    views = []
    for number in numbers:
        name = f"{number:08d}"
        silhouette = images / f"{name}_masked.jpg"
        stored = DepthFile(folder / "rendered_depth_maps" / f"{name}.pfm", "pfm")
        if depth == "colmap":
            stored = DepthFile(folder / "colmap_depth" / f"{number}.jpg.geometric.bin", "colmap")
        view = read_view(
            cameras / f"{name}_cam.txt",
            silhouette if masked else images / f"{name}.jpg",
            name=name,
            num_intervals=num_intervals,
            depth=stored,
            mask=MaskFile(silhouette),
        )
        views.append(view)
    missing = sum(view.image is None for view in views)
    if missing == len(views):
        raise FileNotFoundError(f"no picture like {images / '00000000.jpg'}; expected the BlendedMVS layout")
    notes = (f"{missing} of {len(views)} cameras have no picture; their views are poses only",) if missing else ()
    scene = Scene(folder.name, tuple(views), pairs=read_pairs(cameras / "pair.txt", numbers), notes=notes)
    return checked_scene(scene, folder)
