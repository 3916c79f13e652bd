"""GenS's configuration: a HOCON file, then KEY VALUE overrides, then `--scene` and `--ref_view`.

The result has every setting of `config_defaults.py`, is passed down as a value, and is global nowhere. Numbers, lists
and switches may be written as HOCON or as Python has them.
"""

import argparse
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.io.data_files import read_text
from common.paths import resolve_input
from common.settings import Config, nearest_name, read_literal, to_config
from gens.config_defaults import DATASETS, SETTINGS, Setting

METHOD_FOLDER = Path(__file__).parent
DEFAULT_CONFIG = "./confs/gens.conf"
MODES = ("train", "val", "finetune")
_KINDS = {
    "text": "a text",
    "texts": "a list of texts",
    "whole": "a whole number",
    "wholes": "a list of whole numbers",
    "number": "a number",
    "numbers": "a list of numbers",
    "switch": "True or False",
}


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line of `main.py`; `opts` is everything from the first positional word on."""
    parser = argparse.ArgumentParser(description="GenS", epilog="Settings follow the flags as KEY VALUE pairs.")
    parser.add_argument("--conf", default=DEFAULT_CONFIG, help="HOCON file, looked up here and in the gens folder")
    parser.add_argument("--mode", choices=MODES, default="train")
    parser.add_argument("--resume", help="checkpoint; fine-tuning needs one")
    parser.add_argument("--mesh_resolution", type=int, default=512, help="points along a side of the grid for meshes")
    parser.add_argument("--clean_mesh", action="store_true", help="remove what the masks do not confirm from meshes")
    parser.add_argument("--scene", help="scene to fine-tune on, instead of finetune_dataset.scene")
    parser.add_argument("--ref_view", type=int, help="reference view, instead of finetune_dataset.ref_view")
    parser.add_argument("--load_vol", action="store_true", help="--resume is a fine-tuned checkpoint")
    parser.add_argument("--no_cuda", action="store_true", help="compute on the CPU")
    parser.add_argument(
        "--local_rank", "--local-rank", type=int, default=0, help="set by the launcher; the environment wins"
    )
    parser.add_argument("--dist-url", "--dist_url", default="env://", help="how processes find each other")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="settings to override")
    args = parser.parse_args(arguments)
    if args.mesh_resolution < 2:
        parser.error(f"--mesh_resolution must be at least 2, got {args.mesh_resolution}")
    return args


def load_config(
    conf: str | Path, opts: Sequence[str] = (), scene: str | None = None, ref_view: int | None = None
) -> Config:
    """All settings of a file and its overrides; a dataset that the file does not describe is None.

    Args:
        conf: HOCON file, looked up in the working directory and then in the method's folder.
        opts: KEY VALUE KEY VALUE ...
        scene: Overrides `finetune_dataset.scene`.
        ref_view: Overrides `finetune_dataset.ref_view`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Not HOCON, an unknown key, or a value that does not fit; the sentence says where.
        TypeError: A value of another kind.
    """
    path = resolve_input(conf, METHOD_FOLDER)
    settings: dict = {}
    _merge(settings, _read_hocon(path), SETTINGS, str(path))
    for name, text in _pairs(opts):
        _merge(settings, _nested(name, _read_word(text)), SETTINGS, "the command line")
    for key, value in (("scene", scene), ("ref_view", ref_view)):
        if value is not None:
            _merge(settings, {"finetune_dataset": {key: value}}, SETTINGS, f"--{key}")
    cfg = to_config(_complete(settings, SETTINGS))
    _check(cfg, path)
    return cfg


def require_dataset(cfg: Config, name: str) -> Config:
    """The settings of a dataset, after making sure that they are there and name real folders.

    Raises:
        ValueError: The config has no such block, or a placeholder stands where a folder should.
    """
    settings = cfg[name]
    if settings is None:
        raise ValueError(f"the config has no {name}; take one that has, such as confs/gens.conf")
    for key in ("dataset_name", "data_dir"):
        value = settings[key]
        if not value or is_placeholder(value):
            raise ValueError(
                f"{name}.{key} is {'missing' if not value else f'still the placeholder {value!r}'}; write it into the"
                f" config or add '{name}.{key} VALUE' to the command"
            )
    return settings


def is_placeholder(value: str) -> bool:
    """Whether a text is one like `<your data path>`."""
    return value.startswith("<") and value.endswith(">")


def write_config(cfg: Mapping[str, Any]) -> str:
    """The settings as text that `load_config` reads."""

    def block(settings: Mapping[str, Any], indent: str) -> Iterator[str]:
        for key, value in settings.items():
            if isinstance(value, Mapping):
                yield from (f"{indent}{key} {{", *block(value, indent + "    "), f"{indent}}}")
            elif value is not None:
                yield f"{indent}{key} = {_hocon(value)}"

    return "\n".join(block(cfg, "")) + "\n"


def _hocon(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_hocon, value))}]"
    return '"{}"'.format(value.replace("\\", "\\\\").replace('"', '\\"')) if isinstance(value, str) else str(value)


def _read_hocon(path: Path) -> dict:
    from pyhocon import ConfigFactory
    from pyhocon.exceptions import ConfigException
    from pyparsing import ParseBaseException

    try:
        return ConfigFactory.parse_string(read_text(path), basedir=str(path.parent)).as_plain_ordered_dict()
    except (ParseBaseException, ConfigException, AttributeError) as error:
        problem = " ".join(str(error).split())
        raise ValueError(f"{path} is not a HOCON file: {problem}") from None


def _pairs(opts: Sequence[str]) -> list[tuple[str, str]]:
    for word in opts[::2]:
        if word.startswith("--"):
            raise ValueError(f"{word} came after the first KEY VALUE setting; flags go before the settings")
    if len(opts) % 2:
        raise ValueError(f"settings on the command line come as KEY VALUE pairs, but {opts[-1]!r} has no value")
    return list(zip(opts[::2], map(str, opts[1::2]), strict=True))


def _nested(name: str, value: Any) -> dict:
    for key in reversed(name.split(".")):
        value = {key: value}
    return value


def _read_word(text: str) -> Any:
    """The value of a word of the command line; `[scan24, scan37]` needs no quotation marks."""
    value = read_literal(text)
    if isinstance(value, str) and text.startswith("[") and text.endswith("]"):
        return [read_literal(item.strip()) for item in text[1:-1].split(",") if item.strip()]
    return list(value) if isinstance(value, tuple) else value


def _merge(settings: dict, content: Mapping, schema: Mapping, where: str, prefix: str = "") -> None:
    """Put the values of a file over `settings`."""
    for key, value in content.items():
        name = f"{prefix}{key}"
        known = schema.get(key)
        if known is None:
            near = nearest_name(name, _names(SETTINGS))
            hint = f"did you mean {near!r}?" if near else "see gens/config_defaults.py for the settings there are"
            raise ValueError(f"unknown setting {name!r} in {where}; {hint}")
        if isinstance(known, Setting):
            settings[key] = _fit(value, known.kind, name, where)
        elif isinstance(value, Mapping):
            _merge(settings.setdefault(key, {}), value, known, where, f"{name}.")
        else:
            raise TypeError(f"setting {name!r} in {where} must be a section with settings of its own, got {value!r}")


def _fit(value: Any, kind: str, name: str, where: str) -> Any:
    """`value` as the kind that the setting has; what cannot be read as that kind is an error."""
    if value is None or value == "null":
        return None
    if kind in ("texts", "wholes", "numbers"):
        return [_fit(item, kind[:-1], name, where) for item in (value if isinstance(value, list) else [value])]
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "switch" and not isinstance(value, bool):
        value = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}.get(
            str(value).lower()
        )
        fits = value is not None
    elif kind == "text":
        fits = isinstance(value, str) or plain
        value = str(value)
    elif kind == "whole":
        fits = plain and math.isfinite(value) and float(value).is_integer()
        value = int(value) if fits else value
    elif kind == "number":
        fits = plain and math.isfinite(value)
        value = float(value) if fits else value
    else:
        fits = isinstance(value, bool)
    if not fits:
        raise TypeError(f"setting {name!r} in {where} must be {_KINDS[kind]}, got {value!r}")
    return value


def _complete(settings: Mapping, schema: Mapping) -> dict:
    """The settings with defaults for what is not given."""
    whole: dict = {}
    for key, known in schema.items():
        if isinstance(known, Setting):
            whole[key] = settings.get(key)
            if whole[key] is None:
                whole[key] = list(known.default) if isinstance(known.default, list) else known.default
        elif key in DATASETS and key not in settings:
            whole[key] = None
        else:
            whole[key] = _complete(settings.get(key, {}), known)
    return whole


def _names(schema: Mapping, prefix: str = "") -> Iterator[str]:
    for key, value in schema.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{key}.")


def _check(cfg: Config, path: Path) -> None:
    """Values that would fail later, far from the setting they come from."""
    dims = cfg.model.volume.volume_dims
    if len(dims) != 5 or dims[0] < 64 or any(fine != 2 * coarse for fine, coarse in itertools.pairwise(dims)):
        raise ValueError(
            f"model.volume.volume_dims in {path} must be five sizes, each half of the one before, the first at least 64"
            f" (such as [256, 128, 64, 32, 16]), got {dims}"
        )
    for name in DATASETS:
        if cfg[name] is not None:
            _check_dataset(cfg[name], f"{name}.", path)
    if cfg.train.epochs < 1 or min(cfg.train.save_freq, cfg.train.log_freq, cfg.train.val_freq) <= 0:
        raise ValueError(f"train.epochs, save_freq, log_freq and val_freq in {path} must be positive")
    if len(cfg.train.lr_confs.vol_lr) != len(dims):
        raise ValueError(
            f"train.lr_confs.vol_lr in {path} needs one rate per volume, {len(dims)} of them, got"
            f" {cfg.train.lr_confs.vol_lr}"
        )


def _check_dataset(settings: Config, prefix: str, path: Path) -> None:
    size = settings.img_hw
    if len(size) != 2 or any(number <= 0 or number % 32 for number in size):
        raise ValueError(f"{prefix}img_hw in {path} must be [height, width] in multiples of 32, got {size}")
    least = {"num_src_view": 2 if prefix.startswith("train") else 1, "num_views": 3, "val_res_level": 1, "n_rays": 0}
    for key, number in least.items():
        if settings[key] < number:
            raise ValueError(f"{prefix}{key} in {path} must be at least {number}, got {settings[key]}")
    for key in ("factor", "interval_scale", "num_interval"):
        if not settings[key] > 0:
            raise ValueError(f"{prefix}{key} in {path} must be positive, got {settings[key]}")
