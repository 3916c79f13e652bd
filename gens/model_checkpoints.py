"""Checkpoints of GenS, released and ours (spec 8).

generic       <root>/checkpoints/model_<epoch>.ckpt    `model`: state dict of the whole network
fine-tuned    <root>/checkpoints/model_<step>.ckpt     `model`: `volumes`, `mask_volmes`, `features` as ParameterLists,
                                                       `implicit_surface`: state dict

Both have `epoch` (last finished epoch, or step), `optimizer` and `lr_scheduler`; ours have under `polyview` what an
exact continuation needs besides. `latest.ckpt` beside them is where a run that was stopped goes on. The random numbers
of a step depend on the seed and the step alone, so no generator's state needs to be kept.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from common.checkpoints import load_checkpoint, load_state, previous_path, save_checkpoint
from gens.optimization import WarmupCosine

FOLDER = "checkpoints"
LATEST = "latest.ckpt"
LISTS = ("volumes", "mask_volmes", "features")
_MATCHING = "match_feature_network."
_OWN = "polyview"
_LOGGER = logging.getLogger(__name__)


@dataclass
class RunState:
    """Everything that training or fine-tuning changes.

    Attributes:
        network, optimizer, scheduler: As built from the config.
        seed: Of the run.
        kind: "train" or "finetune".
        started_from: Checksum of the weights the run began with; empty for none.
        epoch: The one that runs now, from 0; fine-tuning has only one.
        position: Steps of it that are done.
    """

    network: nn.Module
    optimizer: Optimizer
    scheduler: WarmupCosine
    seed: int
    kind: str
    started_from: str = ""
    epoch: int = 0
    position: int = 0

    def save(self, path: Path, finished: int, keep_previous: bool = False) -> None:
        """Write a checkpoint whose last finished epoch (or step) is `finished`."""
        model = self.network.state_dict() if self.kind == "train" else finetuned_model(self.network)
        schedule = {name: getattr(self.scheduler, name) for name in ("base_lrs", "last_epoch", "_last_lr")}
        payload = {
            "epoch": finished,
            "model": model,
            "optimizer": self.optimizer.state_dict(),
            "lr_scheduler": schedule,
            _OWN: {
                "kind": self.kind,
                "seed": self.seed,
                "started_from": self.started_from,
                "epoch": self.epoch,
                "position": self.position,
            },
        }
        save_checkpoint(path, payload, keep_previous)

    def restore(self, content: Mapping[str, Any], path: Path) -> None:
        """Continue a run from the content of its checkpoint; the network has been loaded already.

        Raises:
            RuntimeError: The optimiser is another one's.
        """
        own = content.get(_OWN, {})
        try:
            self.optimizer.load_state_dict(content["optimizer"])
            stored = content["lr_scheduler"]
            self.scheduler.base_lrs = [float(rate) for rate in stored["base_lrs"]]
            self.scheduler.step_to(float(stored["last_epoch"]))
        except (KeyError, ValueError, TypeError) as error:
            raise RuntimeError(
                f"checkpoint {path} cannot continue this run: its optimiser or schedule does not fit ({error})"
            ) from None
        self.seed = own.get("seed", self.seed)
        self.started_from = own.get("started_from", "")
        self.epoch = own.get("epoch", int(content["epoch"]) + 1)
        self.position = own.get("position", 0)


def find_latest(root: str | Path) -> Path | None:
    """Where a run below `root` can go on, or None."""
    path = Path(root) / FOLDER / LATEST
    return path if path.is_file() or previous_path(path).is_file() else None


def load_generic(network: nn.Module, path: str | Path) -> dict[str, Any]:
    """Load a generic checkpoint into the network; returns the file's content.

    Names that are missing or unexpected are logged one by one, as far as the file is one of GenS at all. Where the
    matching network is missing as a whole it becomes a copy of the feature network.

    Raises:
        FileNotFoundError: There is no such file.
        RuntimeError: It is damaged, fine-tuned, of another network, or has tensors of another shape.
    """
    content = load_checkpoint(path)
    state = content.get("model")
    if isinstance(state, Mapping) and set(LISTS) & set(state):
        raise RuntimeError(
            f"checkpoint {path} is a fine-tuned one (it holds the volumes of one scene); add --load_vol, or give the"
            " generic checkpoint it came from"
        )
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise RuntimeError(f"checkpoint {path} has no network under 'model'; is it a GenS checkpoint?")
    state = {name.removeprefix("module."): value for name, value in state.items()}
    if not any(name.startswith(_MATCHING) for name in state):
        _LOGGER.info("%s has no matching network; it starts as a copy of the feature network", path)
        copied = {name: value for name, value in state.items() if name.startswith("feature_network.")}
        state |= {f"match_{name}": value for name, value in copied.items()}
    own = network.state_dict()
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    if len(missing) < len(own) / 2:
        for name in missing:
            _LOGGER.warning("missing in %s: %s (it keeps its initial value)", path, name)
        for name in unexpected:
            _LOGGER.warning("unexpected in %s: %s (it is not used)", path, name)
        state = own | {name: value for name, value in state.items() if name in own}
    load_state(network, state, path)
    return content


def load_finetuned(network: nn.Module, path: str | Path) -> dict[str, Any]:
    """Load a fine-tuned checkpoint: implicit surface, volumes, masks and features; returns the file's content.

    Raises:
        FileNotFoundError: There is no such file.
        RuntimeError: It is damaged, a generic checkpoint, or does not fit the network.
    """
    content = load_checkpoint(path)
    model = content.get("model")
    if not isinstance(model, Mapping) or not {*LISTS, "implicit_surface"} <= set(model):
        kind = "a generic one" if isinstance(model, Mapping) and len(model) > len(LISTS) + 1 else "of another kind"
        raise RuntimeError(
            f"checkpoint {path} is {kind}, without the volumes of a scene; leave out --load_vol, or give a file that"
            " fine-tuning wrote"
        )
    load_state(network.implicit_surface, model["implicit_surface"], path)
    volumes, masks, features = (_stored_list(model, name, path) for name in LISTS)
    network.use_volumes(volumes, masks, features)
    return content


def finetuned_model(network: nn.Module) -> dict[str, Any]:
    """The `model` entry of a fine-tuned checkpoint."""
    lists = {name: nn.ParameterList(getattr(network, name)) for name in LISTS}
    return lists | {"implicit_surface": network.implicit_surface.state_dict()}


def _stored_list(model: Mapping[str, Any], name: str, path: str | Path) -> list[Tensor]:
    values = model[name]
    if not isinstance(values, nn.ParameterList | Sequence) or not all(isinstance(value, Tensor) for value in values):
        raise RuntimeError(f"checkpoint {path} should hold a list of tensors under {name!r}")
    return [value.detach() for value in values]
