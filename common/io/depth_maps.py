"""Depth maps other than PFM: COLMAP's dense arrays, 16-bit PNG and NumPy files.

COLMAP's `*.geometric.bin` is the ASCII header `width&height&channels&` followed by float32, little-endian, x fastest,
then y, then channel.
"""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.io.atomic import atomic_path
from common.io.data_files import check_data_file, read_npy
from common.io.images import read_pixels, write_pixels
from common.io.pfm import read_pfm

_HEADER = re.compile(rb"(\d{1,9})&(\d{1,9})&(\d{1,4})&")


def read_colmap_array(path: str | Path) -> Float[np.ndarray, "H W *channels"]:
    """A dense array of COLMAP as float32: (H, W) for one channel (depth), (H, W, C) for several (normals).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not such an array, or truncated.
    """
    width, height, channels, start = _read_colmap_header(path)
    count = width * height * channels
    present = Path(path).stat().st_size - start
    if count == 0 or present < 4 * count:
        raise ValueError(
            f"{path} is truncated: {width} x {height} x {channels} floats need {4 * count} bytes, {present} are there"
        )
    values = np.fromfile(path, "<f4", count, offset=start).astype(np.float32, copy=False)
    array = values.reshape(channels, height, width)
    return array[0] if channels == 1 else np.ascontiguousarray(np.moveaxis(array, 0, -1))


def read_colmap_array_size(path: str | Path) -> tuple[int, int]:
    """(width, height) of a dense array of COLMAP; raises as `read_colmap_array`."""
    return _read_colmap_header(path)[:2]


def write_colmap_array(path: str | Path, array: Float[np.ndarray, "H W *channels"]) -> None:
    """Write a dense array of COLMAP, (H, W) or (H, W, C)."""
    height, width, channels = *array.shape[:2], *(array.shape[2:] or (1,))
    planes = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(f"{width}&{height}&{channels}&".encode())
        file.write(np.ascontiguousarray(planes, dtype="<f4").tobytes())


def read_depth_png(path: str | Path) -> Float[np.ndarray, "H W"]:
    """The integers of a one-channel 8- or 16-bit picture as float32; their unit is not in the file.

    Raises:
        FileNotFoundError, ValueError: As `common.io.images.read_pixels`; ValueError for a picture with colours.
    """
    pixels = read_pixels(path)
    if pixels.ndim != 2:
        raise ValueError(f"{path} has {pixels.shape[-1]} channels; a depth map has one")
    return pixels.astype(np.float32)


def write_depth_png(path: str | Path, depth: Float[np.ndarray, "H W"]) -> None:
    """Write depth, given in the unit to be stored, rounded to 16-bit integers.

    Raises:
        ValueError: A value lies outside 0 to 65535.
    """
    if not (np.isfinite(depth).all() and depth.min() >= 0 and depth.max() <= 65535):
        raise ValueError(f"16 bits hold depths from 0 to 65535, got {depth.min()} to {depth.max()}; change the unit")
    write_pixels(path, np.rint(depth).astype(np.uint16))


def read_depth_map(path: str | Path, encoding: str) -> Float[np.ndarray, "H W"]:
    """A depth map as stored, float32, top row first.

    Args:
        path: The file.
        encoding: "pfm", "colmap", "png16" or "npy", as in `common.datasets.scene.DepthFile`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, or not a map with one channel.
    """
    readers = {"pfm": read_pfm, "colmap": read_colmap_array, "png16": read_depth_png, "npy": read_npy}
    if encoding not in readers:
        raise ValueError(f"unknown depth encoding '{encoding}'; known are {', '.join(readers)}")
    depth = readers[encoding](path)
    if depth.ndim != 2 or depth.size == 0:
        raise ValueError(f"{path} has shape {depth.shape}; a depth map is height x width")
    return depth.astype(np.float32, copy=False)


def _read_colmap_header(path: str | Path) -> tuple[int, int, int, int]:
    """Width, height, channels and where the floats start."""
    match = _HEADER.match(check_data_file(path))
    if match is None:
        raise ValueError(f"{path} is not a COLMAP array: expected a header like '640&480&1&'")
    width, height, channels = (int(number) for number in match.groups())
    return width, height, channels, match.end()
