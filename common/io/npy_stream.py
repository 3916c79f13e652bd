"""NumPy files that are written row by row and read in ranges, so that an array never has to fit into memory."""

import os
import zlib
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import Shaped
from numpy.lib import format as npy

_CHUNK = 1 << 22


class NpyWriter:
    """An array that grows along its first axis; the file is a plain `.npy` once it is closed.

    Attributes:
        rows: Written so far.
        checksum: CRC-32 of their bytes.
    """

    def __init__(self, path: Path, dtype: np.dtype | type, row_shape: tuple[int, ...] = ()):
        self.rows = 0
        self.checksum = 0
        self._dtype, self._row_shape = np.dtype(dtype), row_shape
        self._file = path.open("wb")
        self._write_header()
        self._header_bytes = self._file.tell()

    def append(self, rows: Shaped[np.ndarray, "R ..."]) -> None:
        """Add rows."""
        if rows.shape[1:] != self._row_shape:
            raise ValueError(f"{self._file.name} holds rows of shape {self._row_shape}, got {rows.shape[1:]}")
        data = memoryview(np.ascontiguousarray(rows, dtype=self._dtype)).cast("B") if len(rows) else b""
        self._file.write(data)
        self.checksum = zlib.crc32(data, self.checksum)
        self.rows += len(rows)

    def close(self) -> None:
        """Write the number of rows into the header."""
        if self._file.closed:
            return
        self._file.seek(0)
        self._write_header()
        if self._file.tell() != self._header_bytes:
            raise RuntimeError("this NumPy writes headers that grow; update it to 1.24 or newer")
        self._file.close()

    def __enter__(self) -> "NpyWriter":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _write_header(self) -> None:
        description = npy.dtype_to_descr(self._dtype)
        shape = (self.rows, *self._row_shape)
        npy.write_array_header_1_0(self._file, {"descr": description, "fortran_order": False, "shape": shape})


def checksum_rows(path: Path, rows: slice | None = None) -> int:
    """CRC-32 of the bytes of some rows of a NumPy file (all by default), read in pieces.

    Raises:
        ValueError: The file is not a NumPy array of numbers, or shorter than its header says.
    """
    stored = open_rows(path)
    first, last, _ = (rows or slice(None)).indices(len(stored))
    row_bytes = stored.dtype.itemsize * int(np.prod(stored.shape[1:]))
    left, checksum = (last - first) * row_bytes, 0
    with path.open("rb") as file:
        file.seek(stored.offset + first * row_bytes, os.SEEK_SET)
        while left > 0:
            data = file.read(min(_CHUNK, left))
            if not data:
                raise ValueError(f"{path} ended while it was read")
            checksum, left = zlib.crc32(data, checksum), left - len(data)
    return checksum


def read_rows(path: Path, rows: slice) -> Shaped[np.ndarray, "R ..."]:
    """Some rows of a NumPy file, through a plain read: a memory map's pages would count as memory of this process.

    Raises:
        ValueError: As `open_rows`.
    """
    stored = open_rows(path)
    first, last, _ = rows.indices(len(stored))
    row_shape = stored.shape[1:]
    per_row = int(np.prod(row_shape))
    start = stored.offset + first * per_row * stored.dtype.itemsize
    values = np.fromfile(path, stored.dtype, (last - first) * per_row, offset=start)
    return values.reshape(last - first, *row_shape)


def open_rows(path: Path) -> np.memmap:
    """A NumPy file as a read-only memory map.

    Raises:
        ValueError: The file is not a NumPy array of numbers, or shorter than its header says.
    """
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError) as error:
        raise ValueError(f"{path} is not a readable NumPy array: {error}") from None
    if not isinstance(stored, np.memmap):
        raise ValueError(f"{path} does not hold one array")
    return stored
