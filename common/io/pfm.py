"""PFM: float images with a three-line text header, used for depth and probability maps.

    Pf                  one channel (PF: three)
    160 128             width height
    -1.000000           the sign is the byte order (negative: little-endian), the magnitude a unit factor
    width * height * channels float32, rows from bottom to top

Images in memory have their top row first.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.io.atomic import atomic_path
from common.io.data_files import check_data_file

# Any run of blanks and line ends separates the words, but exactly one line end closes the header: data may look like
# blanks.
_HEADER = re.compile(rb"(P[Ff])\s+(\d{1,9})\s+(\d{1,9})\s+([-+]?[0-9.]+(?:[eE][-+]?\d+)?)[ \t]*\r?\n")


@dataclass(frozen=True)
class PfmHeader:
    """The header of a PFM file.

    Attributes:
        width, height: Pixels.
        channels: 1 or 3.
        scale: The unit factor that the file states, always positive; nobody multiplies it in for you.
        little_endian: Byte order of the data.
        offset: Bytes before the data.
    """

    width: int
    height: int
    channels: int
    scale: float
    little_endian: bool
    offset: int

    @property
    def num_bytes(self) -> int:
        """Size of the data."""
        return 4 * self.width * self.height * self.channels


def read_pfm_header(path: str | Path) -> PfmHeader:
    """The header alone, after making sure that the file is as long as it says.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a PFM file, or shorter than its header says.
    """
    match = _HEADER.match(check_data_file(path))
    if match is None:
        raise ValueError(f"{path} is not a PFM file: expected 'Pf' or 'PF', width, height and scale in its first lines")
    kind, width, height, scale = match.groups()
    try:
        factor = float(scale)
    except ValueError:
        factor = 0.0
    if factor == 0.0 or not np.isfinite(factor):
        raise ValueError(f"{path}: the scale in the PFM header must be a number other than zero, got {scale.decode()}")
    header = PfmHeader(int(width), int(height), 3 if kind == b"PF" else 1, abs(factor), factor < 0, match.end())
    present = Path(path).stat().st_size - header.offset
    if header.num_bytes == 0 or present < header.num_bytes:
        raise ValueError(
            f"{path} is truncated: {header.width} x {header.height} pixels need {header.num_bytes} bytes, {present} are"
            " there; copy it again"
        )
    return header


def read_pfm(path: str | Path) -> Float[np.ndarray, "H W *channels"]:
    """The float32 image, top row first: (H, W) or, with three channels, (H, W, 3). The scale is not applied.

    Raises:
        FileNotFoundError, ValueError: As `read_pfm_header`.
    """
    header = read_pfm_header(path)
    order = "<f4" if header.little_endian else ">f4"
    count = header.num_bytes // 4
    values = np.fromfile(path, order, count, offset=header.offset)
    shape = (header.height, header.width) if header.channels == 1 else (header.height, header.width, 3)
    return np.ascontiguousarray(values.reshape(shape)[::-1], dtype=np.float32)


def write_pfm(path: str | Path, image: Float[np.ndarray, "H W *channels"], scale: float = 1.0) -> None:
    """Write a little-endian PFM file: (H, W) or (H, W, 3), top row first.

    Raises:
        ValueError: The image has another shape, or the scale is not positive.
    """
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or image.size == 0:
        raise ValueError(f"a PFM file holds height x width or height x width x 3 floats, got {image.shape}")
    if not scale > 0:
        raise ValueError(f"the scale of a PFM file must be positive, got {scale}")
    kind = "Pf" if image.ndim == 2 else "PF"
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(f"{kind}\n{image.shape[1]} {image.shape[0]}\n{-scale:.6f}\n".encode())
        file.write(np.ascontiguousarray(image[::-1], dtype="<f4").tobytes())
