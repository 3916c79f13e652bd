"""Photographs that a scene description names, and what lies beside them: finding, describing, naming views."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from common.datasets.scene import DepthFile, ImageFile, View
from common.datasets.validation import inside
from common.io.images import read_image_header

PHOTO_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".ppm")


def image_file(path: Path) -> ImageFile:
    """A picture with its size; transparent pixels get a black background.

    Raises:
        ValueError: It is not a picture.
    """
    header = read_image_header(path)
    return ImageFile(path, (header.width, header.height), background=0.0 if header.has_alpha else None)


def find_photograph(folder: Path, name: str, where: str) -> Path | None:
    """The file that a description names, with or without its extension, with either slash; None where it is absent.

    Raises:
        ValueError: The name leads out of the folder.
    """
    path = inside(folder, name.replace("\\", "/"), where)
    if path.is_file():
        return path
    candidates = [path.with_name(path.name + suffix) for suffix in PHOTO_SUFFIXES]
    candidates += [path.with_name(path.name + suffix.upper()) for suffix in PHOTO_SUFFIXES]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def list_photographs(folder: Path) -> list[Path]:
    """Pictures directly in a folder, sorted by plain code points; hidden files and other files are left out."""
    if not folder.is_dir():
        return []
    paths = [path for path in folder.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES and path.name[0] != "."]
    return sorted(path for path in paths if path.is_file())


def cached_depth(cache: str | Path | None, scene: str, name: str) -> DepthFile | None:
    """The dense depth map that NeuRay's `colmap_forward_cache` holds for a view; None without cache or map."""
    if cache is None:
        return None
    path = Path(cache, scene, "dense_out", "stereo", "depth_maps", f"{name}.jpg.geometric.bin")
    return DepthFile(path, "colmap") if path.is_file() else None


def with_short_names(views: Sequence[View]) -> tuple[View, ...]:
    """Views called by their file names without folder and extension, as far as that keeps the names different."""
    paths = [PurePosixPath(view.name.replace("\\", "/")) for view in views]
    for shorten in (lambda path: path.stem, lambda path: str(path.with_suffix("")), str):
        names = [shorten(path) for path in paths]
        if len(set(names)) == len(names):
            break
    return tuple(dataclasses.replace(view, name=name) for view, name in zip(views, names, strict=True))
