"""ID-NeRF's options: `--a.b=value` on the command line over a YAML file over its parents (spec 1.1 to 1.3).

    --a.b.c=text    the text as YAML 1.1; what is still a text and has a comma becomes a list
    --a.b.c=        null
    --a.b.c         true
    --a.b.c!        false

`--yaml=NAME` is required and names `configs/NAME.yaml`. The result is a value that is passed down; nothing here is
global, nothing asks a question.
"""

import random
import string
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from common.io.data_files import read_text
from common.paths import resolve_input
from common.settings import Config, nearest_name, to_config
from idnerf.option_checks import check_options
from idnerf.option_defaults import ABSENT, DATASETS, NULLABLE, OPEN, SETTINGS, Setting

METHOD_FOLDER = Path(__file__).parent
COMMAND_LINE = "on the command line"
PARITY = "parity"
_DEBUG = {"data_train": 20, "data_val": 1}  # items that a run with `_debug` in its name sees; tests see one
_KINDS = {
    "text": "a text",
    "texts": "a text or a list of texts",
    "whole": "a whole number",
    "wholes": "a whole number or a list of them",
    "number": "a number",
    "numbers": "a number or a list of them",
    "switch": "true or false",
}


def parse_arguments(arguments: Sequence[str]) -> dict[str, Any]:
    """The words of a command line as a nested dictionary, values as YAML has them.

    Raises:
        ValueError: A word of another form, or a key given twice.
    """
    parsed: dict[str, Any] = {}
    for word in arguments:
        if not word.startswith("--") or not word[2:].strip("=!"):
            raise ValueError(f"expected --key=value, --key or --key! on the command line, got {word!r}")
        key, *value = word[2:].split("=")
        if len(value) > 1:
            raise ValueError(f"{word!r} has more than one '='; a value cannot contain one")
        if value:
            _put(parsed, key, _read_value(value[0], word))
        elif key.endswith("!"):
            _put(parsed, key[:-1], False)
        else:
            _put(parsed, key, True)
    return parsed


def merge_options(arguments: Sequence[str]) -> dict[str, Any]:
    """The tree of a command line: its YAML file with all parents, and the words over it.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: No `--yaml`, a word of another form, a file that is not YAML, or an unknown option.
    """
    given = parse_arguments(arguments)
    name = given.get("yaml")
    if not name or isinstance(name, bool | dict | list):
        raise ValueError("--yaml=NAME is required and names configs/NAME.yaml, such as --yaml=train or --yaml=test")
    _refuse_unknown(given, COMMAND_LINE)
    return _laid_over(_read_with_parents(_config_file(str(name)), ()), _spelt_out(given))


def load_options(arguments: Sequence[str]) -> Config:
    """Everything that a run needs to know; no file is written and no generator is seeded.

    Args:
        arguments: Words of the command line, without the program's name.

    Returns:
        All options of `option_defaults.SETTINGS`, where data sets that are not used are None; and besides `output_path`
        (`output_root`/`name`) and `device` ("cpu" or "cuda:N").

    Raises:
        FileNotFoundError, ValueError: As `merge_options`, or a value that ID-NeRF cannot work with.
        TypeError: A value of another kind.
    """
    opt = to_config(_complete(merge_options(arguments), SETTINGS))
    for name, section in _data_sections(opt):
        section["dataset_name"] = section.dataset_name or (name.rpartition(".")[2] if "." in name else "dtu")
    check_options(opt)
    _derive(opt)
    return opt


def weights_file(opt: Config) -> Path:
    """The file that `load` names.

    Raises:
        FileNotFoundError: There is none; a path is looked up in the working directory, then in this package.
    """
    try:
        return resolve_input(opt.load, METHOD_FOLDER)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"load: {error}; name a checkpoint such as {opt.output_root}/RUN/models/latest.pth with --load=FILE"
        ) from None


def option_names() -> list[str]:
    """Dotted names of all options and sections."""
    return list(_names(SETTINGS))


def _read_value(text: str, word: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"the value of {word!r} is not YAML: {' '.join(str(error).split())}") from None
    if isinstance(value, str) and "," in value:
        pieces = [piece for piece in value.split(",") if piece]
        return [int(piece) if piece.isdecimal() else piece for piece in pieces]
    return value


def _put(parsed: dict[str, Any], key: str, value: Any) -> None:
    *sections, leaf = key.split(".")
    node = parsed
    for section in sections:
        node = node.setdefault(section, {})
        if not isinstance(node, dict):
            raise ValueError(f"--{key} is given, but {section!r} has a value already; it is a value or a section")
    if leaf in node:
        raise ValueError(f"--{key} is given twice; give it once")
    node[leaf] = value


def _config_file(name: str) -> Path:
    try:
        return resolve_input(Path("configs") / f"{name}.yaml", METHOD_FOLDER)
    except FileNotFoundError:
        known = sorted({path.stem for folder in (Path(), METHOD_FOLDER) for path in folder.glob("configs/*.yaml")})
        raise FileNotFoundError(
            f"--yaml={name} names no file: there is no configs/{name}.yaml in {Path.cwd()} or in {METHOD_FOLDER}; there"
            f" are {', '.join(known)}"
        ) from None


def _read_with_parents(path: Path, children: tuple[Path, ...]) -> dict[str, Any]:
    """A file over its parents; an earlier parent lies over a later one."""
    if any(path.samefile(child) for child in children):
        raise ValueError(f"{path} is its own parent through _parent_ of {children[-1]}")
    try:
        content = yaml.safe_load(read_text(path)) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not a YAML file: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"expected options as 'key: value' lines in {path}, found a {type(content).__name__}")
    parents = content.pop("_parent_", None) or []
    _refuse_unknown(content, f"in {path}")
    merged = _spelt_out(content)
    for parent in [parents] if isinstance(parents, str) else parents:
        merged = _laid_over(_read_with_parents(resolve_input(parent, METHOD_FOLDER), (*children, path)), merged)
    return merged


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two trees as one: dictionaries merge key by key, everything else of `above` replaces."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _laid_over(merged[key], value) if both else value
    return merged


def _spelt_out(content: Mapping[str, Any]) -> dict[str, Any]:
    """A layer with `parity: NAME` as the section that it is short for."""
    if isinstance(content.get(PARITY), str):
        return {**content, PARITY: {"base": content[PARITY]}}
    return dict(content)


def _refuse_unknown(content: Mapping[str, Any], where: str, schema: Mapping = SETTINGS, prefix: str = "") -> None:
    for key, value in content.items():
        name = f"{prefix}{key}"
        known = schema.get(key)
        if known is None and prefix[:-1] not in OPEN:
            near = nearest_name(name, option_names())
            hint = f"did you mean {near!r}?" if near else "see idnerf/option_defaults.py for the options there are"
            raise ValueError(f"unknown option {name!r} {where}; {hint}")
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            _refuse_unknown(value, where, known, f"{name}.")
        elif isinstance(known, Mapping) and not (value is None and name in NULLABLE) and name != PARITY:
            first = next(iter(known))
            raise TypeError(f"option {name!r} {where} is a section with options such as {name}.{first}, got {value!r}")


def _complete(tree: Mapping[str, Any], schema: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The tree with defaults for what is not given, values as their kinds."""
    whole: dict[str, Any] = {}
    for key, known in schema.items():
        name = f"{prefix}{key}"
        if isinstance(known, Setting):
            whole[key] = _fit(tree[key], known, name) if key in tree else known.default
        elif (name in ABSENT and key not in tree) or (key in tree and tree[key] is None):
            whole[key] = None
        else:
            whole[key] = _complete(tree.get(key, {}), known, f"{name}.")
    further = {key: _number(value) for key, value in tree.items() if key not in schema}
    return whole | further


def _fit(value: Any, known: Setting, name: str) -> Any:
    """`value` as the kind of an option."""
    if value is None and (known.nullable or known.default is None):
        return None
    kind = known.kind.removesuffix("s") if known.kind in ("texts", "wholes", "numbers") else known.kind
    several = kind != known.kind
    values = value if several and isinstance(value, list) else [value]
    fitted = [_as_kind(item, kind) for item in values]
    if any(item is None for item in fitted):
        raise TypeError(f"option {name!r} must be {_KINDS[known.kind]}, got {value!r}")
    return fitted if several else fitted[0]


def _as_kind(value: Any, kind: str) -> Any:
    """`value` as a kind, or None where it cannot be read as one."""
    if kind == "text":
        return None if isinstance(value, bool | dict | list) or value is None else str(value)
    if kind == "switch":
        words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        return value if isinstance(value, bool) else words.get(str(value).lower())
    number = _number(value)  # YAML 1.1 reads 1e-4 as a text
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    if kind == "whole":
        return int(number) if float(number).is_integer() else None
    return number


def _number(value: Any) -> Any:
    """A text that spells a number as that number; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _derive(opt: Config) -> None:
    """Name, lengths of debugging runs, output folder and device (spec 1.3), in place."""
    name = opt.name or time.strftime("%b%d_%H%M%S").lower()
    if opt.seed is None:
        name += "_" + "".join(random.SystemRandom().choices(string.ascii_uppercase, k=4))
    elif opt.seed:
        name += f"_seed{opt.seed}"
    opt["name"] = name
    if "_debug" in name:
        opt["max_epoch"] = 2
        for section_name, section in _data_sections(opt):
            section["max_len"] = _DEBUG.get(section_name, 1)
    opt["output_path"] = f"{opt.output_root}/{name}"
    opt["device"] = "cpu" if opt.cpu or not torch.cuda.is_available() else f"cuda:{opt.gpu_ids[0]}"


def _data_sections(opt: Config) -> Iterator[tuple[str, Config]]:
    """Dotted names and sections of the data sets that are used."""
    sections = [("data_train", opt.data_train), ("data_val", opt.data_val)]
    sections += [(f"data_test.{name}", opt.data_test[name]) for name in DATASETS]
    return ((name, section) for name, section in sections if section is not None)


def _names(settings: Mapping, prefix: str = "") -> Iterator[str]:
    for key, value in settings.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{key}.")
