"""Checkpoints of ID-NeRF (spec 7).

models/latest.pth                 `model`, `optim`, `sched`, `epoch`, `iter`: where a run goes on
models/ep{epoch}_it{iter}.pth     `model`, `epoch`, `iter`: kept at the ends of epochs

`model` is the state dict of the whole network, loaded child by child (`feat_enc`, `latent_inference`, `nerf_dec`).
`epoch` counts finished epochs. Ours have besides, under `polyview`, what an exact continuation needs and how the
weights were trained. Random numbers of a step depend on the seed and the step alone, so no generator is stored.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from common.checkpoints import load_checkpoint, load_state, previous_path, save_checkpoint
from idnerf.parity import is_released

FOLDER = "models"
LATEST = "latest.pth"
GMFLOW = ("backbone", "transformer")
_OWN = "polyview"
# The length of a schedule belongs to the options: a run may be continued with a larger `max_epoch`.
_LENGTH = ("total_steps", "_schedule_phases")
_LOGGER = logging.getLogger(__name__)


@dataclass
class RunState:
    """Everything that training changes.

    Attributes:
        network, optimizer, scheduler: As built from the options; the schedule is None for constant rates.
        seed: Of the run.
        epoch: The one that runs now, from 0.
        iteration: Steps done since the run began.
        position: Items of the present epoch that are done, by this process.
    """

    network: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler | None
    seed: int
    epoch: int = 0
    iteration: int = 0
    position: int = 0

    def save(self, folder: str | Path, backup: bool = False) -> Path:
        """Write `latest.pth` into the folder of a run, and the copy that is kept where `backup` says so.

        Returns:
            The path of `latest.pth`.

        Raises:
            OSError: The disk is full or not writable; the files that were there are untouched.
        """
        folder = Path(folder) / FOLDER
        content: dict[str, Any] = {"model": self.network.state_dict(), "epoch": self.epoch, "iter": self.iteration}
        content[_OWN] = {"seed": self.seed, "position": self.position, "behaviour": behaviour(self.network.opt)}
        if backup:
            save_checkpoint(folder / f"ep{self.epoch}_it{self.iteration}.pth", content, keep_previous=False)
        content["optim"] = self.optimizer.state_dict()
        if self.scheduler is not None:
            content["sched"] = self.scheduler.state_dict()
        save_checkpoint(folder / LATEST, content)
        return folder / LATEST

    def restore(self, path: str | Path, steps_per_epoch: int) -> None:
        """Continue the run that wrote a file: weights, optimiser, schedule and place.

        Args:
            path: `latest.pth`, ours or the released program's.
            steps_per_epoch: Items of an epoch, to find the place in a file that does not say it.

        Raises:
            FileNotFoundError, RuntimeError: As `load_weights`; RuntimeError also where the optimiser is another one's.
        """
        content = load_weights(self.network, path)
        try:
            self.optimizer.load_state_dict(content["optim"])
        except KeyError:
            _LOGGER.warning("%s has no state of the optimiser; its moments start at zero", path)
        except ValueError as error:
            raise RuntimeError(
                f"checkpoint {path} cannot continue this run: its optimiser is another one's ({error}); give the"
                " options of that run, or start a new one from its weights with --load"
            ) from None
        if self.scheduler is not None and "sched" in content:
            stored = {name: value for name, value in content["sched"].items() if name not in _LENGTH}
            self.scheduler.load_state_dict(stored)
        elif self.scheduler is not None:
            _LOGGER.warning("%s has no state of the learning-rate schedule; it starts anew", path)
        own = content.get(_OWN, {})
        self.epoch, self.iteration = int(content.get("epoch", 0)), int(content.get("iter", 0))
        self.seed = own.get("seed", self.seed)
        self.position = own.get("position", max(0, self.iteration - self.epoch * steps_per_epoch))


def find_latest(folder: str | Path) -> Path | None:
    """Where the run in a folder can go on, or None."""
    path = Path(folder) / FOLDER / LATEST
    return path if path.is_file() or previous_path(path).is_file() else None


def load_weights(network: nn.Module, path: str | Path, parts: Sequence[str] | None = None) -> dict[str, Any]:
    """Load a checkpoint child by child; the log says which are in it and which keep their values.

    Args:
        network: With the children of the released model.
        path: `latest.pth`, one that is kept, or a bare state dict; names may carry the `module.` of several GPUs.
        parts: Children to load; None for all that the file has.

    Returns:
        The content of the file.

    Raises:
        FileNotFoundError: There is no such file.
        RuntimeError: It is damaged or of another network, or a child that was asked for is not in it.
    """
    content = _read(Path(path))
    state = _state_dict(content, path)
    children = dict(network.named_children())
    found = {child: _part(state, child) for child in children}
    unknown = [child for child in parts or () if not found.get(child)]
    if unknown:
        there = ", ".join(child for child in found if found[child])
        raise RuntimeError(f"checkpoint {path} has no {unknown[0]}; it has {there or 'none of the network'}")
    wanted = [child for child in found if found[child] and (parts is None or child in parts)]
    if not wanted:
        raise RuntimeError(
            f"checkpoint {path} has nothing of {', '.join(children)}; is it one of ID-NeRF? (GMFlow's file goes to"
            " encoder.pretrain_weight)"
        )
    if wanted != ["feat_enc"]:  # the only child that does the same whatever the behaviour
        _compare_behaviour(content, network, path)
    for child in wanted:
        load_state(children[child], found[child], f"{path} ({child})")
    left = [child for child in children if child not in wanted]
    _LOGGER.info("loaded %s from %s", ", ".join(wanted), path)
    if left:
        level, reason = (logging.INFO, "not asked for") if parts is not None else (logging.WARNING, "not in the file")
        _LOGGER.log(level, "%s: %s and left as before", ", ".join(left), reason)
    return content


def behaviour(opt: Any) -> dict[str, Any]:
    """The options that weights suit: those that change what the network computes but not its names and shapes."""
    own: dict[str, Any] = {"n_src_views": opt.n_src_views}
    own |= {name: is_released(opt, name) for name in ("released_ray_pictures", "released_tokens", "released_window")}
    return own


def load_gmflow(feat_enc: nn.Module, path: str | Path, num_layers: int) -> None:
    """Load the backbone and the first transformer layers of GMFlow's released file; the up-sampler stays as it is.

    Args:
        feat_enc: Child of the network.
        path: `gmflow_sintel-0c07dcb3.pth`.
        num_layers: `encoder.num_transformer_layers`.

    Raises:
        FileNotFoundError: There is no such file; the sentence says where to get it.
        RuntimeError: It is damaged or another network's.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no file {path}; take {path.name} from the pretrained models of GMFlow (github.com/haofeixu/gmflow) and"
            " put it there, or start without it with --encoder.pretrain_weight="
        )
    parts = gmflow_parts(_state_dict(load_checkpoint(path), path), num_layers)
    for name in GMFLOW:
        load_state(getattr(feat_enc, name), parts[name], f"{path} ({name})")
    _LOGGER.info("loaded the backbone and %d transformer layers from %s", num_layers, path)


def gmflow_parts(state: Mapping[str, Tensor], num_layers: int) -> dict[str, dict[str, Tensor]]:
    """What of GMFlow's state dict goes to the backbone and to the transformer, under their own names."""
    parts = {name: _part(state, name) for name in GMFLOW}
    kept = tuple(f"layers.{layer}." for layer in range(num_layers))
    parts["transformer"] = {name: value for name, value in parts["transformer"].items() if name.startswith(kept)}
    return parts


def _read(path: Path) -> dict[str, Any]:
    try:
        return load_checkpoint(path)
    except RuntimeError as error:
        kept = sorted(path.parent.glob("ep*_it*.pth"))
        if path.name != LATEST or not kept or "Unsupported" not in str(error):
            raise
        raise RuntimeError(
            f"checkpoint {path} contains program objects, which are not loaded; take the weights beside it, {kept[-1]}"
        ) from error


def _compare_behaviour(content: Mapping[str, Any], network: nn.Module, path: str | Path) -> None:
    """Refuse weights for another number of views; warn where they were trained with other switches."""
    now = behaviour(network.opt)
    trained = content.get(_OWN, {}).get("behaviour", now)
    if trained["n_src_views"] != now["n_src_views"]:
        raise RuntimeError(
            f"checkpoint {path} is for {trained['n_src_views']} source views, but n_src_views is {now['n_src_views']};"
            f" add --n_src_views={trained['n_src_views']}"
        )
    for name, value in trained.items():
        if value != now.get(name, value):
            word = f"--parity.{name}" + "!" * (not value)
            _LOGGER.warning("%s was trained with parity.%s %s; add %s", path, name, str(value).lower(), word)


def _state_dict(content: Mapping[str, Any], path: str | Path) -> Mapping[str, Tensor]:
    state = content.get("model", content)
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise RuntimeError(f"checkpoint {path} has no network under 'model'; is it the right file?")
    return {name.removeprefix("module."): value for name, value in state.items()}


def _part(state: Mapping[str, Tensor], child: str) -> dict[str, Tensor]:
    """The entries of a child under its own names; several GPUs wrote `<child>.module.<name>`."""
    prefix = f"{child}."
    return {
        name.removeprefix(prefix).removeprefix("module."): value
        for name, value in state.items()
        if name.startswith(prefix)
    }
