"""GeFu's configuration: YAML files with a parent chain, then KEY VALUE overrides from the command line.

Built-in defaults come first, then the file named by `parent_cfg` (recursively), then the file itself, then the
overrides. Strings are read as Python literals where that succeeds, so `5e-4` and `[1, 2]` mean what they say in a file
and on the command line. The result is a value that is passed down; nothing here is global.
"""

import argparse
import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from common.paths import resolve_input
from common.reporting import git_describe
from common.settings import Config, fit_value, nearest_name, read_literal, to_config
from gefu.config_defaults import DEFAULTS, UNREAD, UNREAD_PREFIXES

METHOD_FOLDER = Path(__file__).parent
DEFAULT_CONFIG = "configs/gefu/dtu_pretrain.yaml"


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line shared by `train_net.py` and `run.py`: `cfg_file`, `type`, `test`, `local_rank`, `opts`.

    `opts` is everything from the first positional word on; flags come before it.
    """
    parser = argparse.ArgumentParser(description="GeFu", epilog="Settings follow the flags as KEY VALUE pairs.")
    parser.add_argument("--cfg_file", default=DEFAULT_CONFIG, help="YAML file, looked up here and in the gefu folder")
    parser.add_argument("--type", default="", help="what run.py does: evaluate, network or dataset")
    parser.add_argument("--test", action="store_true", help="evaluate instead of training")
    parser.add_argument(
        "--local_rank", "--local-rank", type=int, default=0, help="set by the launcher; the environment wins"
    )
    parser.add_argument("--det", default="", help=argparse.SUPPRESS)
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="settings to override")
    return parser.parse_args(arguments)


def load_config(cfg_file: str | Path, opts: Sequence[str] = ()) -> Config:
    """The resolved settings of a file and its overrides.

    Args:
        cfg_file: YAML file, looked up in the working directory and then in the method's folder.
        opts: KEY VALUE KEY VALUE ...; a word `other_opts` ends the list.

    Raises:
        FileNotFoundError: A file of the parent chain does not exist.
        ValueError: An unknown key, a value that does not fit, or an override without a value; the sentence says where.
        TypeError: A value of another kind than the setting's default.
    """
    settings = copy.deepcopy(DEFAULTS)
    for path, content in _parent_chain(cfg_file):
        _merge(settings, content, str(path))
    _merge_overrides(settings, opts)
    _finish_names(settings)
    cfg = to_config(settings)
    _check(cfg)
    return cfg


def select_gpus(cfg: Config) -> None:
    """Show only the GPUs of `gpus` to this process; [-1] leaves the environment as it is. Call before CUDA is used."""
    if -1 not in cfg.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, cfg.gpus))


def _parent_chain(cfg_file: str | Path) -> Iterator[tuple[Path, dict]]:
    """The files to merge, most distant parent first."""
    chain: list[tuple[Path, dict]] = []
    name: str | Path = cfg_file
    while name:
        path = resolve_input(name, METHOD_FOLDER)
        if any(path.samefile(known) for known, _ in chain):
            raise ValueError(f"{path} names itself as its own parent through parent_cfg")
        content = _read_yaml(path)
        chain.append((path, content))
        name = content.get("parent_cfg", "")
    return reversed(chain)


def _read_yaml(path: Path) -> dict:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise ValueError(f"{path} is not a YAML file: {problem}") from error
    except IsADirectoryError:
        raise ValueError(f"expected a YAML file but {path} is a folder") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ValueError(f"expected settings as 'key: value' lines in {path}, found a {type(content).__name__}")
    return content


def _merge(settings: dict, content: Mapping, where: str, prefix: str = "") -> None:
    """Put the values of a file over `settings`."""
    for key, value in content.items():
        name = f"{prefix}{key}"
        value = read_literal(value)
        if isinstance(value, Mapping):
            if not isinstance(settings.setdefault(key, {}), dict):
                raise TypeError(f"setting {name!r} in {where} is a section, expected {settings[key]!r} or the like")
            _merge(settings[key], value, where, f"{name}.")
            if not settings[key]:
                _refuse_unknown(name, where)
        elif key in settings:
            settings[key] = fit_value(value, settings[key], name, where)
        else:
            _refuse_unknown(name, where)
            settings[key] = value


def _merge_overrides(settings: dict, opts: Sequence[str]) -> None:
    words = list(opts)
    if "other_opts" in words:
        words = words[: words.index("other_opts")]
    for word in words[::2]:
        if word.startswith("--"):
            raise ValueError(f"{word} came after the first KEY VALUE setting; flags go before the settings")
    if len(words) % 2:
        raise ValueError(f"settings on the command line come as KEY VALUE pairs, but {words[-1]!r} has no value")
    for name, text in zip(words[::2], words[1::2], strict=True):
        *sections, leaf = name.split(".")
        node = settings
        for section in sections:
            node = node.get(section)
            if not isinstance(node, dict):
                _refuse_unknown(name, "the command line")
                break
        else:
            if leaf in node:
                node[leaf] = fit_value(read_literal(text), node[leaf], name, "the command line", text)
            else:
                _refuse_unknown(name, "the command line")
                node[leaf] = read_literal(text)


def _refuse_unknown(name: str, where: str) -> None:
    if name in UNREAD or name.startswith(UNREAD_PREFIXES):
        return
    near = nearest_name(name, {*_names(DEFAULTS), *UNREAD})
    hint = f"; did you mean {near!r}?" if near else "; see the files in configs/gefu for the settings there are"
    raise ValueError(f"unknown setting {name!r} in {where}{hint}")


def _names(settings: Mapping, prefix: str = "") -> Iterator[str]:
    for key, value in settings.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{key}.")


def _finish_names(settings: dict) -> None:
    """Experiment name and the three output folders, in place."""
    name = settings["exp_name"] + (f"_{settings['exp_name_tag']}" if settings["exp_name_tag"] else "")
    for word, command in (("gitbranch", ["--all"]), ("gitcommit", ["--tags", "--always"])):
        if word in name:
            name = name.replace(word, git_describe(command))
    settings["exp_name"] = name
    for key in ("trained_model_dir", "record_dir", "result_dir"):
        settings[key] = "/".join([settings[key], settings["task"], name])
    settings["result_dir"] = "/".join([settings["result_dir"], settings["save_tag"]])


def _check(cfg: Config) -> None:
    """Values that would fail later, far from the setting they come from."""
    meta = cfg.train.sampler_meta
    if len(meta.input_views_num) != len(meta.input_views_prob) or not meta.input_views_num:
        raise ValueError("train.sampler_meta.input_views_num and input_views_prob must have the same number of entries")
    if min(meta.input_views_prob) < 0 or abs(sum(meta.input_views_prob) - 1.0) > 1e-6:
        raise ValueError(
            f"train.sampler_meta.input_views_prob must be probabilities that sum to 1, got {meta.input_views_prob}"
        )
    for name, count in (
        ("gefu.test_input_views", cfg.gefu.test_input_views),
        ("train.sampler_meta.input_views_num", min(meta.input_views_num)),
    ):
        if count < 2:
            raise ValueError(
                f"{name} is {count}, but GeFu needs at least 2 source views: it compares them with each other"
            )
    if len(cfg.gefu.train_input_views) < 2:
        raise ValueError(
            "gefu.train_input_views needs two entries; the second plus one is the number of candidate sources"
        )
    if False in cfg.gefu.cas_config.get("train_img", []):
        raise ValueError("gefu.cas_config.train_img must be True for both levels: the network needs whole images")
    counts = ("log_interval", "save_ep", "save_latest_ep", "eval_ep", "train.batch_size", "train.epoch")
    for name in counts:
        section, _, key = name.rpartition(".")
        if (cfg[section] if section else cfg)[key] < 1:
            raise ValueError(f"{name} must be at least 1")
    for name in ("train_dataset", "test_dataset"):
        size = cfg[name].input_h_w
        if size and (len(size) != 2 or any(number <= 0 or number % 32 for number in size)):
            raise ValueError(f"{name}.input_h_w must be [height, width] in multiples of 32, got {size}")
