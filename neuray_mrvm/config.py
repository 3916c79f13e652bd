"""NeuRay's configuration: one YAML file with flat keys, over the defaults of `config_defaults.py`.

The files of per-scene training differ in nothing but the scene and the initialisation, so they are one template: the
path `configs/ft/<cv|depth>/<dtu|llff|nerf_synthetic>/neuray_ft_<cv|depth>_<scene>.yaml` is that template with the names
put in, unless there is such a file. The result is a value that is passed down; nothing here is global.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from common.io.data_files import read_text
from common.paths import resolve_input
from common.settings import Config, fit_value, nearest_name, read_literal, to_config
from neuray_mrvm.config_defaults import (
    CHOICES,
    FINE_TUNING,
    FT_DATASET,
    GEN_DATASET,
    GENERALIZATION,
    KIND_WITHOUT_DEFAULT,
    LOSSES,
    LR_CFG,
    LR_CFG_KEYS,
    NETWORK,
    RENDERING,
    SECTIONS,
    TRAINER,
)

METHOD_FOLDER = Path(__file__).parent
DEFAULT_CONFIG = "configs/gen/neuray_gen_depth.yaml"
TEMPLATE = METHOD_FOLDER / "configs" / "ft" / "template.yaml"
_TEMPLATE_PATH = re.compile(r"configs/ft/(cv|depth)/(dtu|llff|nerf_synthetic)/neuray_ft_\1_([\w.-]+)\.yaml")
_INIT_OF = {"cv": "cost_volume", "depth": "depth"}
_DATABASE_OF = {
    "dtu": "dtu_test/{}/black_800",
    "llff": "llff_colmap/{}/high",
    "nerf_synthetic": "nerf_synthetic/{}/black_800",
}
_FLAT = {**TRAINER, **LOSSES, **NETWORK, **GENERALIZATION, **FINE_TUNING}
_DATASETS = {"gen": GEN_DATASET, "ft": FT_DATASET}


def load_config(cfg: str | Path, overrides: Sequence[str] = ()) -> Config:
    """All settings of a file.

    Args:
        cfg: YAML file, looked up in the working directory and then in the method's folder.
        overrides: KEY VALUE words that win over the file; a key inside a section is `section.key`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Not YAML, an unknown key, or a value that does not fit; the sentence says where.
        TypeError: A value of another kind.
    """
    content, where = _read(cfg)
    return complete_config(_overridden(content, overrides), where)


def complete_config(settings: Mapping[str, Any], where: str = "the settings") -> Config:
    """Checked settings with defaults for what is not given.

    `train_dataset_cfg` and the `cfg` of validation sets stay as they are written, because rendering and training fill
    them with different defaults: see `dataset_settings` and `rendering_settings`.

    Args:
        settings: What a file holds; may be incomplete.
        where: Named in errors.

    Raises:
        ValueError, TypeError: As `load_config`.
    """
    whole: dict[str, Any] = {key: _copied(value) for key, value in _FLAT.items()}
    whole |= {key: dict(section) for key, section in SECTIONS.items()} | {"lr_cfg": dict(LR_CFG)}
    whole |= {"train_dataset_cfg": {}, "val_set_list": []}
    dataset = str(settings.get("train_dataset_type", "gen"))
    for key, value in settings.items():
        if key in SECTIONS:
            whole[key] |= _checked(value, SECTIONS[key], where, f"{key}.")
        elif key == "lr_cfg":
            whole[key] = _checked(value, LR_CFG_KEYS, where, "lr_cfg.")
        elif key == "train_dataset_cfg":
            whole[key] = _checked(value, _DATASETS.get(dataset, GEN_DATASET), where, f"{key}.")
        elif key == "val_set_list":
            whole[key] = _validation_sets(value, where)
        else:
            whole |= _checked({key: value}, _FLAT, where)
    # The table of sample positions is exactly as long as there are samples.
    whole["agg_net_cfg"]["sample_num"] = whole["depth_sample_num"]
    whole["fine_agg_net_cfg"]["sample_num"] = whole["depth_sample_num"] + whole["fine_depth_sample_num"]
    return to_config(whole)


def dataset_settings(settings: Mapping[str, Any], kind: str = "gen") -> Config:
    """The settings of a training or validation set of a kind, gen or ft, with defaults for what is not given."""
    defaults = {key: _copied(value) for key, value in _DATASETS[kind].items()}
    return to_config(defaults | _checked(settings, _DATASETS[kind], "the dataset's settings"))


def rendering_settings(cfg: Mapping[str, Any]) -> Config:
    """How views are chosen and padded when a scene is rendered: `train_dataset_cfg` over rendering's own defaults."""
    given = cfg.get("train_dataset_cfg", {})
    return to_config({key: given.get(key, value) for key, value in RENDERING.items()})


def write_config(cfg: Mapping[str, Any]) -> str:
    """The settings as YAML that `load_config` reads."""
    return yaml.safe_dump(_plain(cfg), sort_keys=False)


def _read(cfg: str | Path) -> tuple[dict[str, Any], str]:
    """What a file holds, and its name."""
    match = _TEMPLATE_PATH.search(Path(cfg).as_posix())
    try:
        path = resolve_input(cfg, METHOD_FOLDER)
    except FileNotFoundError:
        if match is None:
            raise
        path = TEMPLATE
    text = read_text(path)
    if path == TEMPLATE and match is not None:
        init, folder, scene = match.groups()
        names = {"NAME": f"neuray_ft_{init}_{scene}", "INIT": _INIT_OF[init], "SCENE": scene}
        names["DATABASE"] = _DATABASE_OF[folder].format(scene)
        text = re.sub(r"<(NAME|INIT|SCENE|DATABASE)>", lambda found: names[found[1]], text)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not a YAML file: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"expected settings as 'key: value' lines in {path}, found a {type(content).__name__}")
    for key in ("name", "network"):
        if not content.get(key):
            raise ValueError(f"{path} has no setting {key!r}; every file needs one")
    return content, str(path)


def _overridden(content: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    if len(words) % 2:
        raise ValueError(f"settings come as KEY VALUE pairs, but {words[-1]!r} has no value")
    whole = dict(content)
    for key, value in zip(words[::2], words[1::2], strict=True):
        section, _, name = key.rpartition(".")
        if section:
            whole[section] = {**(whole.get(section) or {}), name: value}
        else:
            whole[name] = value
    return whole


def _checked(settings: Any, known: Mapping[str, Any], where: str, prefix: str = "") -> dict[str, Any]:
    """The values as the kinds of the defaults."""
    if not isinstance(settings, Mapping):
        raise TypeError(
            f"setting {prefix[:-1]!r} in {where} must be a section with settings of its own, got {settings!r}"
        )
    fitted = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if key not in known:
            near = nearest_name(name, _names())
            hint = f"did you mean {near!r}?" if near else "neuray_mrvm/config_defaults.py lists all there are"
            raise ValueError(f"unknown setting {name!r} in {where}; {hint}")
        default = known[key]
        if default is None:
            fitted[key] = (
                None if value is None else fit_value(read_literal(value), KIND_WITHOUT_DEFAULT[key], name, where)
            )
        elif isinstance(default, Mapping):  # weights of database types: replaced as a whole
            fitted[key] = _checked(value, default, where, f"{name}.")
        else:
            fitted[key] = fit_value(read_literal(value), default, name, where)
        for choice in fitted[key] if isinstance(fitted[key], list) else [fitted[key]]:
            if key in CHOICES and choice not in CHOICES[key]:
                raise ValueError(f"{name} in {where} is {choice!r}; there are {', '.join(CHOICES[key])}")
    return fitted


def _validation_sets(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise TypeError(f"setting 'val_set_list' in {where} must be a list of name, type and cfg, got {value!r}")
    sets = []
    for number, item in enumerate(value):
        prefix = f"val_set_list.{number}."
        if set(item) != {"name", "type", "cfg"} or item["type"] not in _DATASETS:
            raise ValueError(f"{prefix[:-1]} in {where} needs a name, a type (gen or ft) and a cfg, got {dict(item)}")
        cfg = _checked(item["cfg"], _DATASETS[item["type"]], where, f"{prefix}cfg.")
        sets.append({"name": str(item["name"]), "type": item["type"], "cfg": cfg})
    return sets


def _names() -> Iterator[str]:
    yield from _FLAT
    yield from ("train_dataset_cfg", "val_set_list")
    sections = {**SECTIONS, "lr_cfg": LR_CFG_KEYS, "train_dataset_cfg": {**GEN_DATASET, **FT_DATASET}}
    for section, known in sections.items():
        yield section
        yield from (f"{section}.{key}" for key in known)


def _copied(value: Any) -> Any:
    return dict(value) if isinstance(value, dict) else list(value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
