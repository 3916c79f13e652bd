"""Opening data files that strangers made: what a failed download leaves behind is refused with advice.

Every reader of `common.io` opens its file through one of these functions, so that a missing file, a folder, an empty
file, a Git LFS pointer or a web page in the place of data is one sentence and not a puzzle about magic numbers.
"""

import json
import tokenize
from pathlib import Path

import numpy as np

_HEAD_BYTES = 512


def check_data_file(path: str | Path) -> bytes:
    """The first bytes of a data file, after making sure that it is one.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is a folder, empty, a Git LFS pointer or a web page.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"expected a file but {path} is a folder")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError:
        raise FileNotFoundError(f"no file {path}; check the path and that the download is complete") from None
    if not head:
        raise ValueError(f"{path} is empty; the download or copy failed, fetch it again")
    if head.startswith(b"version https://git-lfs"):
        raise ValueError(f"{path} is a Git LFS pointer, not the data; run `git lfs pull` in its repository")
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise ValueError(f"{path} is a web page, not data; the download failed, fetch it again")
    return head


def read_text(path: str | Path) -> str:
    """The content of a UTF-8 text file, with or without a byte-order mark.

    Raises:
        FileNotFoundError, ValueError: As `check_data_file`; also ValueError where it is not text.
    """
    check_data_file(path)
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file: byte {error.start} is not UTF-8") from None


def read_tokens(path: str | Path) -> list[tuple[str, int]]:
    """Every word of a text file with its line number, counted from 1; blank lines and line ends do not matter."""
    lines = enumerate(read_text(path).splitlines(), 1)
    return [(word, number) for number, line in lines for word in line.split()]


def read_json(path: str | Path) -> object:
    """The content of a JSON file.

    Raises:
        FileNotFoundError, ValueError: As `read_text`; also ValueError with the line where the syntax breaks.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno} is not valid JSON: {error.msg}") from None
    except ValueError as error:  # a number with thousands of digits
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply to be a scene description") from None


def read_npy(path: str | Path) -> np.ndarray:
    """The array in a NumPy file; arrays of Python objects are refused, and no more is allocated than the file holds.

    Raises:
        FileNotFoundError, ValueError: As `check_data_file`; also ValueError where the file is broken or not an array of
            numbers.
    """
    check_data_file(path)
    try:
        # A memory map compares the shape that the header claims with the size of the file before anything is allocated.
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
        array = np.array(stored)
    except (ValueError, TypeError, EOFError, SyntaxError, OverflowError, OSError, tokenize.TokenError) as error:
        raise ValueError(f"{path} is not a readable NumPy array{_reason(error)}") from None
    if not isinstance(stored, np.ndarray) or array.dtype.kind not in "fiub":
        raise ValueError(f"{path} must hold one array of numbers; make it with numpy.save")
    return array


def _reason(error: Exception) -> str:
    """NumPy takes whatever it does not know for pickled objects, and then advises to load them."""
    return "; fetch or make it again" if "pickle" in str(error) else f": {str(error).splitlines()[0]}"
