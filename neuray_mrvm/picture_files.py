"""The files that `render.py` writes and `eval.py` reads.

    <folder>/<index>-nr.jpg, <index>-nr_fine.jpg      what to look at, under the paper's names
    <folder>/exact/<index>-nr.npy, ...                exactly as rendered: float32, (h, w, 3)
    <folder>/<index>-fine-depth.png                   on request: inverse depth, near is black
    <gt>/<index>.jpg, <gt>/exact/<index>.png          the photographs; the PNG has exactly their 8 bits

JPEG files lose what the metrics measure, so scores come from `exact` where that is there.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from common.io.atomic import atomic_path
from common.io.data_files import read_npy
from common.io.images import read_image, write_image

EXACT = "exact"
PASSES = ("nr", "nr_fine")
_RENDERED = re.compile(r"(\d+)-nr_fine\.(npy|png|jpg|jpeg)", re.IGNORECASE)
_SUFFIXES = ("png", "jpg", "jpeg", "PNG", "JPG", "JPEG")


def write_rendered(folder: Path, index: int, pictures: Mapping[str, Float[np.ndarray, "h w 3"]]) -> None:
    """Both forms of the passes of a view, by the names of `PASSES`."""
    for name, picture in pictures.items():
        with atomic_path(folder / EXACT / f"{index}-{name}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, picture.astype(np.float32, copy=False))
        write_image(folder / f"{index}-{name}.jpg", picture)


def write_truth(folder: Path, index: int, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Both forms of a photograph."""
    write_image(folder / EXACT / f"{index}.png", picture)
    write_image(folder / f"{index}.jpg", picture)


def rendered_indices(folder: Path) -> list[int]:
    """Of the views whose fine pass lies in a folder.

    Raises:
        FileNotFoundError: There is no such folder, or nothing in it.
    """
    paths = [*folder.glob("*"), *(folder / EXACT).glob("*")]
    found = {int(match[1]) for path in paths if (match := _RENDERED.fullmatch(path.name))}
    if not found:
        raise FileNotFoundError(
            f"no rendered pictures such as 0-nr_fine.jpg in {folder}; give the folder that render.py wrote with"
            " --dir_pr"
        )
    return sorted(found)


def read_rendered(folder: Path, index: int) -> tuple[Float[np.ndarray, "h w 3"], bool]:
    """The fine pass of a view, and whether it is as it was rendered.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It is damaged.
    """
    path = folder / EXACT / f"{index}-nr_fine.npy"
    if not path.is_file():
        return _read_picture(folder, f"{index}-nr_fine", "--dir_pr")
    picture = read_npy(path)
    if picture.ndim != 3 or picture.shape[-1] != 3 or picture.dtype != np.float32:
        raise ValueError(
            f"{path} is {picture.dtype} {list(picture.shape)}, expected float32 [h, w, 3]; render it again"
        )
    return picture, True


def read_truth(folder: Path, index: int) -> tuple[Float[np.ndarray, "h w 3"], bool]:
    """A photograph in [0, 1], and whether it is without loss; raises as `read_rendered`."""
    return _read_picture(folder, str(index), "--dir_gt")


def _read_picture(folder: Path, stem: str, flag: str) -> tuple[Float[np.ndarray, "h w 3"], bool]:
    candidates = [place / f"{stem}.{suffix}" for place in (folder / EXACT, folder) for suffix in _SUFFIXES]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"no picture {folder / stem}.jpg, nor .png; is {folder} the right folder for {flag}?")
    return read_image(path), path.suffix.lower() == ".png"
