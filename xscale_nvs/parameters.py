"""Reading the paper's parameter file: a Python file with a class `Params` whose constructor sets attributes.

An override replaces the value at the moment the file assigns the key, so everything that the file computes afterwards
follows it. A file without some of today's keys (the authors' own, say) gets them from the shipped file, computed from
its own values.
"""

import argparse
import ast
import difflib
import operator
import runpy
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from common.paths import resolve_input
from xscale_nvs.configs.parameter import Params as ShippedParams

METHOD_FOLDER = Path(__file__).parent
DEFAULT_FILE = "configs/parameter.py"
PLACEHOLDERS = {"root_file": "/Your/path/to/record", "datasetFolder": "/Your/path/to/dataset"}
# Keys that may be None, and what they are when they are not.
_OPTIONAL = {
    "load_checkpoint_dir": str,
    "splitName": str,
    "trajectory_wb_id": int,
    "undistort_crop_iter": int,
    "seed": int,
}
_POSITIVE = (
    "ss_ratio", "hash_base_resol", "hash_n_levels", "z_length_s", "log2_hashmap_size", "descriptor_dim", "z_length_l",
    "z_length_x", "max_epoch", "draw_cubic_iter", "save_checkpoint_iter", "dsp_factor", "num_lit", "batch_shuffle_iter",
    "change_nrm_coef_iter", "training_batch_size", "infer_batch_size", "random_view_batch_size",
    "ultra_cache_batch_size", "change_batches_iter", "shuffle_batches_iter", "navigation_H", "navigation_W",
    "navigation_focal", "lr_net_2d", "lr_embeddings", "z_near", "z_far",
)  # fmt: skip


class Params(types.SimpleNamespace):
    """Settings as attributes; the keys and their meaning are those of `configs/parameter.py`."""


def add_parameter_arguments(parser: argparse.ArgumentParser) -> None:
    """`--params FILE` and trailing KEY VALUE words, which every command of this method takes; flags go before them."""
    parser.epilog = "Settings follow the flags as KEY VALUE pairs, for example: exp_id castle dsp_factor 2"
    parser.add_argument("--params", default=DEFAULT_FILE, help="parameter file, looked up here and in xscale_nvs")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="settings to override")


def parse_params(arguments: Sequence[str] | None, description: str) -> Params:
    """The settings of a command line that has nothing else on it."""
    parser = argparse.ArgumentParser(description=description)
    add_parameter_arguments(parser)
    given = parser.parse_args(arguments)
    return load_params(given.params, given.opts)


def load_params(file: str | Path = DEFAULT_FILE, overrides: Sequence[str] = ()) -> Params:
    """The settings of a parameter file. The file is Python and is executed: name only files that you trust.

    Args:
        file: Looked up in the working directory, then in this package.
        overrides: KEY VALUE KEY VALUE ...; values are Python literals or words; lists of views may be written 0:60:7.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file has no usable class `Params`, a key is unknown, or a value does not fit.
        TypeError: A value of another kind than the file's.
    """
    path = resolve_input(file, METHOD_FOLDER)
    words = _pairs(overrides)
    values = _collect(_read_class(path), words, path)
    values = _collect(ShippedParams, words, path, given=values) | values
    unknown = [key for key in words if key not in values]
    if unknown:
        near = difflib.get_close_matches(unknown[0], values, 1, 0.6)
        hint = f"did you mean {near[0]!r}?" if near else f"see {path} for the settings there are"
        raise ValueError(f"unknown setting {unknown[0]!r} on the command line; {hint}")
    params = Params(**values)
    _check(params, path)
    return params


def require_folders(params: Params, *keys: str) -> None:
    """Refuse folders that still hold the shipped placeholder; `keys` of `PLACEHOLDERS`.

    Raises:
        ValueError: The sentence says how to set it.
    """
    for key in keys:
        if getattr(params, key) == PLACEHOLDERS[key]:
            raise ValueError(
                f"{key} is still {PLACEHOLDERS[key]!r}; set it in the parameter file or add '{key} FOLDER' to the "
                "command"
            )


def _pairs(words: Sequence[str]) -> dict[str, str]:
    for word in words[::2]:
        if word.startswith("--"):
            raise ValueError(f"{word} came after the first KEY VALUE setting; flags go before the settings")
    if len(words) % 2:
        raise ValueError(f"settings on the command line come as KEY VALUE pairs, but {words[-1]!r} has no value")
    return dict(zip(words[::2], map(str, words[1::2]), strict=True))


def _read_class(path: Path) -> type:
    if path.is_dir():
        raise ValueError(f"expected a parameter file but {path} is a folder")
    try:
        found = runpy.run_path(str(path)).get("Params")
    except Exception as error:  # the user's own code: it may fail in any way
        raise ValueError(f"{path} cannot be executed as a parameter file: {_reason(error)}") from error
    if not isinstance(found, type):
        raise ValueError(f"{path} has no class Params; copy xscale_nvs/configs/parameter.py and edit the copy")
    return found


def _collect(cls: type, words: Mapping[str, str], path: Path, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The attributes that a constructor sets, with overrides applied as it sets them.

    Args:
        cls: With a constructor without arguments.
        words: Overrides as text, read as the kind of value that the file assigns.
        path: The file, for messages.
        given: Values that replace the class's as they are.
    """
    given = given or {}

    def assign(self: object, key: str, value: Any) -> None:
        if key in given:
            value = given[key]
        elif key in words:
            value = _fit(words[key], value, key)
        object.__setattr__(self, key, value)

    try:
        return dict(vars(type("Params", (cls,), {"__setattr__": assign})()))
    except _Unfit as error:
        raise error.cause from None
    except Exception as error:  # the user's own code: it may fail in any way
        raise ValueError(f"the class Params of {path} fails: {_reason(error)}") from error


class _Unfit(Exception):
    """An override that does not fit, on its way out of the user's constructor."""

    def __init__(self, cause: TypeError):
        super().__init__(str(cause))
        self.cause = cause


def _fit(text: str, current: Any, key: str) -> Any:
    """An override as the kind of value that it replaces."""
    value = _literal(text)
    if key in _OPTIONAL and value is None:
        return None
    kind = _OPTIONAL.get(key, type(current))
    if kind is bool:
        value = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(text.lower(), text)
    elif kind is str:
        return text
    elif kind is float and type(value) is int:
        value = float(value)
    elif kind is int and type(value) is float and value.is_integer():
        value = int(value)
    elif kind is int and type(value) is float and key.startswith("undistort_crop_rate"):
        return value  # written 0 in the file, but a fraction
    elif kind is list:
        value = _numbers(text, value)
    elif kind is tuple and isinstance(value, list):
        value = tuple(value)
    elif kind is torch.device:
        return _device(text, key)
    if type(value) is not kind:
        names = {int: "a whole number", float: "a number", bool: "True or False", list: "a list, or views as 0:60:7"}
        raise _Unfit(TypeError(f"setting {key!r} must be {names.get(kind, kind.__name__)}, got {text!r}"))
    return value


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return text


def _numbers(text: str, value: Any) -> Any:
    """A list from a list, a tuple, a number, or a range START:STOP[:STEP]; anything else as it is."""
    parts = text.split(":")
    if len(parts) in (2, 3) and all(part.strip().isdecimal() for part in parts) and int(parts[-1]) > 0:
        return list(range(*map(int, parts)))
    if isinstance(value, tuple):
        return list(value)
    return [value] if type(value) in (int, float) else value


def _device(text: str, key: str) -> torch.device:
    try:
        return torch.device(text)
    except RuntimeError:
        raise _Unfit(TypeError(f"setting {key!r} must be a device such as cpu or cuda:0, got {text!r}")) from None


def _reason(error: Exception) -> str:
    """What went wrong in the user's file, and on which line of it."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    return f"{type(error).__name__}: {error}".strip()


def _check(params: Params, path: Path) -> None:
    """Values that would fail later, far from the setting they come from."""
    for key in _POSITIVE:
        value = getattr(params, key)
        if not isinstance(value, int | float) or not value > 0:
            raise ValueError(f"setting {key!r} of {path} must be a positive number, got {value!r}")
    for key in ("all_view_list", "test_view_list", "training_view_list", "hold_out_list"):
        views = getattr(params, key)
        try:
            setattr(params, key, [operator.index(view) for view in views])
        except TypeError:
            raise ValueError(f"setting {key!r} of {path} must be a list of view numbers, got {views!r}") from None
        if min(views, default=0) < 0 or len(set(views)) != len(views):
            raise ValueError(f"setting {key!r} of {path} must name different views, counted from 0, got {views!r}")
    if params.z_length_s not in (1, 2, 4, 8):
        raise ValueError(f"setting 'z_length_s' of {path} must be 1, 2, 4 or 8, got {params.z_length_s}")
    if params.z_near >= params.z_far:
        raise ValueError(f"z_near {params.z_near} must be smaller than z_far {params.z_far} in {path}")
    if params.use_sparse_embedding:
        raise ValueError(f"use_sparse_embedding in {path} must be False: Adam takes no sparse gradients of code tables")
