"""Checkpoints: written whole or not at all, verified when read, loaded with a report of what does not fit.

A checkpoint is a dictionary of tensors, numbers, strings and containers of them, stored with `torch.save`. Ours carry
a checksum of their content under `checksum`; the file that was there before stays beside the new one as
`<stem>.previous.pth`, and is used, with a warning, when the newest cannot be read. Files from elsewhere are read with
`weights_only=True` and a short list of harmless types.
"""

import argparse
import collections
import hashlib
import io
import logging
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from common.io.atomic import atomic_path

CHECKSUM = "checksum"
_DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    RuntimeError,
    EOFError,
    OSError,
    LookupError,
    TypeError,
    ValueError,
)
# In PyTorch's message about unsafe content the rest is advice to load it all the same.
_REFUSED = re.compile(r"(?:Unsupported|Trying to load)\b.*?(?=\.\s|\n|$)")
_LOGGER = logging.getLogger(__name__)
# What released checkpoints contain besides tensors: counters and settings. None of these runs code when it is built.
_HARMLESS = [
    argparse.Namespace,
    collections.defaultdict,
    np.dtype,
    np.ndarray,
    nn.ParameterList,
    dict,
    list,
    int,
    float,
]


def save_checkpoint(path: str | Path, payload: Mapping[str, Any], keep_previous: bool = True) -> None:
    """Write a checkpoint; the file that was there before is kept as `<stem>.previous.pth`, unless told otherwise.

    At every moment, even if the process is killed, a complete checkpoint exists under one of the two names.

    Raises:
        OSError: The disk is full or not writable; the earlier file is untouched.
    """
    path = Path(path)
    content = {**payload, CHECKSUM: checksum(payload)}
    with atomic_path(path) as temporary:
        writer = _Writer(temporary)
        torch.save(content, writer)
        writer.close()
        if writer.error is not None:
            raise OSError(writer.error.errno, writer.error.strerror, str(path)) from writer.error
        if keep_previous:
            _keep_previous(path)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU, without its checksum.

    A damaged file is replaced by the previous one where there is one; the log says so.

    Raises:
        FileNotFoundError: There is neither the file nor a previous one.
        RuntimeError: Neither can be read.
    """
    path, previous = Path(path), previous_path(path)
    if not path.exists() and not previous.exists():
        raise FileNotFoundError(f"no checkpoint {path}")
    try:
        return _read(path)
    except (RuntimeError, FileNotFoundError) as error:
        if not previous.exists():
            raise
        content = _read(previous)
        _LOGGER.warning("%s; continuing from the one before it, %s", str(error).splitlines()[0], previous)
        return content


def previous_path(path: str | Path) -> Path:
    """Where `save_checkpoint` keeps the file that `path` replaced."""
    path = Path(path)
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def load_state(module: nn.Module, state: Mapping[str, Tensor], path: str | Path) -> None:
    """Load a state dict strictly.

    Args:
        module: Where the tensors go.
        state: Name to tensor; a `module.` prefix from multi-GPU training is removed.
        path: The file it came from, for the error.

    Raises:
        RuntimeError: Names are missing, unexpected or of another shape. The first line says how many of each and names
            the first; the following lines list every one.
    """
    if state and all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    own = module.state_dict()
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    reshaped = [
        f"{name} is {tuple(state[name].shape)} there and {tuple(own[name].shape)} here"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    problems = []
    if missing:
        problems.append(f"lacks {len(missing)} of {len(own)} entries, first {missing[0]}")
    if unexpected:
        problems.append(f"has {len(unexpected)} that this network does not have, first {unexpected[0]}")
    if reshaped:
        problems.append(f"has {len(reshaped)} of another shape, first {reshaped[0]}")
    if problems:
        report = [f"missing: {name}" for name in missing] + [f"unexpected: {name}" for name in unexpected] + reshaped
        summary = f"checkpoint {path} {'; '.join(problems)}; is it for this network?"
        raise RuntimeError("\n".join([summary, *report]))
    module.load_state_dict(dict(state))


def checksum(payload: Any) -> str:
    """SHA-256 of names, kinds and values of a nested payload; independent of how it is stored."""
    digest = hashlib.sha256()
    _feed(digest, payload)
    return digest.hexdigest()


def remove_leftovers(folder: str | Path) -> None:
    """Remove temporary files that killed processes left in a folder of checkpoints, while no run writes there."""
    for path in Path(folder).glob(".*-*"):
        if path.suffix in (".pth", ".ckpt"):
            path.unlink(missing_ok=True)


class _Writer:
    """A file that takes everything and remembers its first error: torch's writer ends the process on a full disk."""

    def __init__(self, path: Path):
        self.error: OSError | None = None
        self._file = path.open("wb")

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self.error = error
        return len(data)

    def flush(self) -> None:
        """The file is flushed when it is closed."""

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error


def _read(path: Path) -> dict[str, Any]:
    if path.is_dir():
        raise RuntimeError(f"expected a checkpoint file but {path} is a folder")
    data = path.read_bytes()  # so that an OSError below is about the content, not about the disk
    if not data:
        raise RuntimeError(f"checkpoint {path} is empty; the copy was cut off or the disk was full")
    if data.startswith(b"version https://git-lfs"):
        raise RuntimeError(f"{path} is a Git LFS pointer, not a checkpoint; fetch the file itself with git lfs pull")
    try:
        with _harmless_allowed(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle protocol of foreign files
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        refused = _REFUSED.search(str(error))
        reason = refused[0] if refused else " ".join(str(error).split())[:200]
        raise RuntimeError(f"checkpoint {path} is damaged or not a PyTorch file ({reason})") from error
    if not isinstance(content, dict):
        raise RuntimeError(f"expected a dictionary in checkpoint {path}, found a {type(content).__name__}")
    stored = content.pop(CHECKSUM, None)
    if stored is not None and stored != checksum(content):
        raise RuntimeError(f"checkpoint {path} is damaged: its content does not match its checksum")
    return content


def _harmless_allowed() -> AbstractContextManager[None]:
    """The short list of types, for the time of one load (from torch 2.5 on; before, for good)."""
    allowed = [*_HARMLESS, *_numpy_types()]
    if hasattr(torch.serialization, "safe_globals"):
        return torch.serialization.safe_globals(allowed)
    torch.serialization.add_safe_globals([kind for kind in allowed if not isinstance(kind, tuple)])
    return nullcontext()


def _numpy_types() -> list[Any]:
    """NumPy's scalar and array constructors under the names that old files use."""
    kinds = {type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")}
    multiarray = np.core.multiarray if np.lib.NumpyVersion(np.__version__) < "2.0.0" else np._core.multiarray
    named = [
        (getattr(multiarray, name), f"{module}.multiarray.{name}")
        for name in ("scalar", "_reconstruct")
        for module in ("numpy.core", "numpy._core")
    ]
    return [*kinds, *named]


def _keep_previous(path: Path) -> None:
    """Give the present file its second name, in one step; the caller then renames the new one over the first."""
    if not path.exists():
        return
    previous = previous_path(path)
    link = path.with_name(f".{path.stem}-link-{os.getpid()}.pth")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:  # a file system without hard links
        link.write_bytes(path.read_bytes())
    link.replace(previous)


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        digest.update(f"tensor {value.dtype} {tuple(value.shape)};".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(value, Mapping):
        digest.update(f"map {len(value)};".encode())
        for key, item in value.items():
            _feed(digest, key)
            _feed(digest, item)
    elif isinstance(value, list | tuple | nn.ParameterList):
        digest.update(f"sequence {len(value)};".encode())
        for item in value:
            _feed(digest, item)
    else:
        digest.update(f"{type(value).__name__} {value!r};".encode())
