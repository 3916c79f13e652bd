"""GeFu's configuration: YAML files with a parent chain, then KEY VALUE overrides from the command line.

Built-in defaults come first, then the file named by `parent_cfg` (recursively), then the file itself, then the
overrides. Strings are read as Python literals where that succeeds, so `5e-4` and `[1, 2]` mean what they say in a file
and on the command line. The result is a value that is passed down; nothing here is global.
"""

import argparse
import ast
import copy
import difflib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from common.paths import resolve_input

METHOD_FOLDER = Path(__file__).parent
DEFAULT_CONFIG = "configs/gefu/dtu_pretrain.yaml"

_DATASET = {
    "data_root": "",
    "ann_file": "",  # file with one scan per line; empty: every scan of the data set that is on disk
    "split": "train",
    "scene": "",  # this scene only
    "input_h_w": [],  # images are resized to this; empty: as stored
    "cache_megabytes": 0,  # decoded images kept in memory by each data process
}
DEFAULTS: dict[str, Any] = {
    "task": "hello",
    "exp_name": "gitbranch_hello",
    "exp_name_tag": "",
    "save_tag": "default",
    "workspace": ".",
    "trained_model_dir": "./trained_model",
    "record_dir": "./record",
    "result_dir": "./result",
    "gpus": [0, 1, 2, 3],
    "distributed": False,
    "resume": True,
    "pretrain": "",
    "fix_random": False,
    "train_dataset_module": "lib.datasets.dtu.gefu",
    "test_dataset_module": "lib.datasets.dtu.gefu",
    "network_module": "lib.networks.gefu.network",
    "loss_module": "lib.train.losses.gefu",
    "evaluator_module": "lib.evaluators.gefu",
    "ep_iter": -1,  # iterations per epoch; -1: once through the data
    "save_ep": 1,
    "save_latest_ep": 1,
    "save_minutes": 5.0,  # latest.pth is also written this often within an epoch; 0: never
    "save_iter": 0,  # and after every so many iterations; 0: never
    "eval_ep": 1,
    "log_interval": 20,
    "skip_eval": False,
    "save_result": False,
    "eval_lpips": True,
    "save_video": False,
    "save_ply": False,
    "gefu": {
        "train_input_views": [2, 3, 4],  # element 1 plus one is the number of candidate sources in training
        "test_input_views": 3,
        "viewdir_agg": True,
        "chunk_size": 1000000,
        "white_bkgd": False,
        "eval_depth": False,
        "eval_center": False,
        "reweighting": False,
        "perceptual_weight": 0.1,
        "ssim_weight": 0.1,
        "depth_weight": 0.0,
        "cas_config": {
            "num": 2,
            "depth_inv": [True, False],
            "volume_scale": [0.125, 0.5],
            "volume_planes": [64, 8],
            "im_feat_scale": [0.25, 0.5],
            "im_ibr_scale": [0.25, 1.0],
            "render_scale": [0.25, 1.0],
            "render_im_feat_level": [0, 2],
            "nerf_model_feat_ch": [32, 8],
            "render_if": [True, True],
            "num_samples": [8, 2],
            "train_img": [True, True],
            "loss_weight": [0.5, 1.0],
        },
    },
    "train_dataset": _DATASET,
    "test_dataset": {**_DATASET, "split": "test"},
    "train": {
        "batch_size": 4,
        "epoch": 10000,
        "num_workers": 8,
        "shuffle": True,
        "batch_sampler": "default",
        "collator": "default",
        "sampler_meta": {"input_views_num": [3], "input_views_prob": [1.0]},
        "optim": "adam",
        "lr": 5e-4,
        "weight_decay": 0.0,
        "eps": 1e-8,
        "scheduler": {"type": "multi_step", "gamma": 0.5, "decay_epochs": 50, "milestones": [80, 120, 200, 240]},
    },
    "test": {
        "batch_size": 1,
        "epoch": -1,  # the checkpoint to test; -1: the latest
        "batch_sampler": "default",
        "collator": "default",
        "sampler_meta": {"input_views_num": [3], "input_views_prob": [1.0]},
    },
}
# Keys that the paper's files and its ancestors' files carry and that nothing reads.
UNREAD = {
    *("parent_cfg", "task_arg", "level", "resolution", "fps", "eval", "clear_result"),
    *(
        "gefu.train_input_views_prob",
        "gefu.cas_config.num_rays",
        "gefu.cas_config.num_patchs",
        "gefu.cas_config.patch_size",
    ),
    *(f"{name}_dataset.{key}" for name in ("train", "test") for key in ("batch_size", "input_ratio")),
}
UNREAD_PREFIXES = ("task_arg.", "render_", "vis_", "demo_")


class Config(dict):
    """Nested settings, read as items or as attributes."""

    def __getattr__(self, name: str) -> Any:
        """The setting `name`."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no setting {name!r} here; there are {', '.join(map(str, self))}") from None


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
    cfg = _to_config(settings)
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
        value = _read_literal(value)
        if isinstance(value, Mapping):
            if not isinstance(settings.setdefault(key, {}), dict):
                raise TypeError(f"setting {name!r} in {where} is a section, expected {settings[key]!r} or the like")
            _merge(settings[key], value, where, f"{name}.")
            if not settings[key]:
                _refuse_unknown(name, where)
        elif key in settings:
            settings[key] = _fit(value, settings[key], name, where)
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
                node[leaf] = _fit(_read_literal(text), node[leaf], name, "the command line", text)
            else:
                _refuse_unknown(name, "the command line")
                node[leaf] = _read_literal(text)


def _read_literal(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return value  # an ordinary string


def _fit(value: Any, current: Any, name: str, where: str, text: str | None = None) -> Any:
    """`value` as the kind of `current`; what cannot be read as that kind is an error."""
    if isinstance(current, bool):
        words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        value = words.get(str(value).lower(), value)
    elif isinstance(current, str) and isinstance(value, int | float | list | tuple | bool):
        value = str(value) if text is None else text
    elif isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    elif isinstance(current, int) and isinstance(value, float) and value.is_integer():
        value = int(value)
    elif isinstance(current, list):
        value = list(value) if isinstance(value, tuple) else value if isinstance(value, list) else [value]
    if type(value) is not type(current):
        kinds = {
            "str": "a text",
            "int": "a whole number",
            "float": "a number",
            "bool": "True or False",
            "dict": "a section",
        }
        expected = kinds.get(type(current).__name__, type(current).__name__)
        raise TypeError(f"setting {name!r} in {where} must be {expected}, got {value!r}")
    return value


def _refuse_unknown(name: str, where: str) -> None:
    if name in UNREAD or name.startswith(UNREAD_PREFIXES):
        return
    known = sorted({*_names(DEFAULTS), *UNREAD})
    near = difflib.get_close_matches(name, known, 1, 0.6)
    if not near:  # the right word in the wrong section
        near = [other for other in known if other.rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]][:1]
    hint = f"; did you mean {near[0]!r}?" if near else "; see the files in configs/gefu for the settings there are"
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
            name = name.replace(word, _git_describe(command))
    settings["exp_name"] = name
    for key in ("trained_model_dir", "record_dir", "result_dir"):
        settings[key] = "/".join([settings[key], settings["task"], name])
    settings["result_dir"] = "/".join([settings["result_dir"], settings["save_tag"]])


def _git_describe(arguments: Sequence[str]) -> str:
    """What git calls the checkout in the working directory; empty outside a repository."""
    try:
        done = subprocess.run(["git", "describe", *arguments], capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _to_config(settings: Mapping) -> Config:
    return Config({key: _to_config(value) if isinstance(value, Mapping) else value for key, value in settings.items()})


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
    for name in ("train_dataset", "test_dataset"):
        size = cfg[name].input_h_w
        if size and (len(size) != 2 or any(number <= 0 or number % 32 for number in size)):
            raise ValueError(f"{name}.input_h_w must be [height, width] in multiples of 32, got {size}")
