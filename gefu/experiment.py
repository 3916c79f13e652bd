"""The folder of an experiment: which checkpoint to take, what a checkpoint holds, and how training continues from one.

    <trained_model_dir>/latest.pth, <epoch>.pth, {psnr,ssim,lpips}_best.pth

A checkpoint has the paper's entries (`net`, `optim`, `scheduler`, `recorder`, `epoch` = last finished epoch) and,
under `polyview`, what an exact continuation needs besides them. Training continues from a checkpoint in one of two
ways:

* exactly, when this experiment wrote it: network, optimiser, schedule, random states and position in the epoch;
* as the paper does, when it came from elsewhere (a pretraining checkpoint copied into the folder of a fine-tuning
  run): the optimiser starts anew, the schedule keeps the base rates it was saved with, so `train.lr` holds for the
  first epoch only.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from common.checkpoints import load_checkpoint, load_state, previous_path
from common.seeding import random_states, restore_random_states
from gefu.optimization import reset_decay

LATEST = "latest.pth"
BESTS = {"psnr": 1.0, "ssim": 1.0, "lpips": -1.0}  # metric to the sign that makes larger better
_START = {"psnr": 0.0, "ssim": 0.0, "lpips": 10.0}
_LOGGER = logging.getLogger(__name__)


@dataclass
class TrainingState:
    """Everything that training changes.

    Attributes:
        network, optimizer, scheduler: As built from the config.
        seed: Of the run; decides order, number and choice of the views.
        epoch: The one that runs now, from 0.
        position: Batches of it that are done.
        step: Batches since the start of the experiment.
        best: Best validation metric so far.
    """

    network: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler
    seed: int
    epoch: int = 0
    position: int = 0
    step: int = 0
    best: dict[str, float] = field(default_factory=lambda: dict(_START))

    def payload(self, experiment: str) -> dict[str, Any]:
        """The content of a checkpoint, written at this moment."""
        return {
            "net": self.network.state_dict(),
            "optim": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "recorder": {"step": self.step},
            "epoch": self.epoch - 1,
            "polyview": {
                "experiment": experiment,
                "seed": self.seed,
                "position": self.position,
                "best": dict(self.best),
                "random": random_states(),
            },
        }


def experiment_name(cfg: Any) -> str:
    """What tells this experiment's checkpoints from others'."""
    return f"{cfg.task}/{cfg.exp_name}"


def find_checkpoint(folder: str | Path, epoch: int = -1) -> Path | None:
    """The checkpoint of an experiment's folder, or None.

    Args:
        folder: May be missing, and may hold any other files.
        epoch: That epoch's; -1 takes the latest, else the highest epoch there is.
    """
    folder = Path(folder)
    if epoch >= 0:
        return folder / f"{epoch}.pth" if (folder / f"{epoch}.pth").is_file() else None
    latest = folder / LATEST
    if latest.is_file() or previous_path(latest).is_file():
        return latest
    numbered = [path for path in folder.glob("*.pth") if path.stem.isdecimal()]
    return max(numbered, key=lambda path: int(path.stem), default=None)


def load_trained(cfg: Any, network: nn.Module) -> Path:
    """Load the checkpoint that `test.epoch` selects for evaluation; returns its path.

    Raises:
        FileNotFoundError: The experiment has no such checkpoint.
        RuntimeError: It does not fit the network.
    """
    path = find_checkpoint(cfg.trained_model_dir, cfg.test.epoch)
    if path is None:
        wanted = f"{cfg.test.epoch}.pth" if cfg.test.epoch >= 0 else LATEST
        raise FileNotFoundError(
            f"no checkpoint {wanted} in {cfg.trained_model_dir}; train first, or put a trained {LATEST} there"
        )
    load_state(network, _network_state(load_checkpoint(path), path), path)
    return path


def continue_training(cfg: Any, state: TrainingState) -> None:
    """Bring `state` to where the experiment's folder, or else the `pretrain` experiment, says; in place."""
    path = find_checkpoint(cfg.trained_model_dir) if cfg.resume else None
    if path is not None:
        content = load_checkpoint(path)
        load_state(state.network, _network_state(content, path), path)
        own = content.get("polyview", {})
        if own.get("experiment") == experiment_name(cfg):
            _continue_exactly(content, own, state, path)
            _LOGGER.info("continuing at epoch %d, batch %d, from %s", state.epoch, state.position, path)
        else:
            _continue_as_the_paper(content, state, path)
            _LOGGER.info("continuing at epoch %d with a new optimiser from %s", state.epoch, path)
        reset_decay(cfg, state.scheduler)
    if cfg.pretrain and state.epoch == 0 and state.position == 0:
        folder = Path(cfg.trained_model_dir).parent / cfg.pretrain
        path = find_checkpoint(folder)
        if path is None:
            raise FileNotFoundError(f"pretrain names the experiment {cfg.pretrain!r}, but {folder} has no checkpoint")
        load_state(state.network, _network_state(load_checkpoint(path), path), path)
        _LOGGER.info("starting from the weights of %s", path)


def recall_best(folder: str | Path, best: dict[str, float]) -> None:
    """Update the best metrics from the `*_best.pth` files, which are written after `latest.pth`."""
    for name, sign in BESTS.items():
        path = Path(folder) / f"{name}_best.pth"
        if path.is_file():
            value = load_checkpoint(path).get("polyview", {}).get("best", {}).get(name)
            if value is not None and sign * value > sign * best[name]:
                best[name] = value


def _network_state(content: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    if not isinstance(content.get("net"), Mapping):
        raise RuntimeError(f"checkpoint {path} has no entry 'net' with a network's weights; is it a GeFu checkpoint?")
    return content["net"]


def _continue_exactly(content: Mapping[str, Any], own: Mapping[str, Any], state: TrainingState, path: Path) -> None:
    stored, groups = content["optim"]["param_groups"], state.optimizer.param_groups
    if len(stored) != len(groups) or set(stored[0]) != set(groups[0]):
        raise RuntimeError(
            f"checkpoint {path} was written with another optimiser; restore train.optim or start anew with resume False"
        )
    state.optimizer.load_state_dict(content["optim"])
    _restore_schedule(content["scheduler"], state.scheduler, ("base_lrs", "last_epoch", "_step_count", "_last_lr"))
    state.epoch = content["epoch"] + 1
    state.step = content["recorder"]["step"]
    state.seed = own["seed"]
    state.position = own["position"]
    state.best.update(own["best"])
    restore_random_states(own["random"])


def _continue_as_the_paper(content: Mapping[str, Any], state: TrainingState, path: Path) -> None:
    if "optim" not in content:
        return  # weights only: a new run that starts from them
    try:
        _restore_schedule(content["scheduler"], state.scheduler, ("base_lrs", "last_epoch"))
        state.epoch = int(content["epoch"]) + 1
        state.step = int(content["recorder"]["step"])
    except (KeyError, TypeError, ValueError) as error:
        raise RuntimeError(
            f"checkpoint {path} has an optimiser but no usable schedule, step or epoch ({error})"
        ) from error


def _restore_schedule(stored: Mapping[str, Any], scheduler: LRScheduler, names: tuple[str, ...]) -> None:
    """Only the named entries: a file must not be able to overwrite anything else of the scheduler."""
    if len(stored["base_lrs"]) != len(scheduler.base_lrs):
        raise ValueError(f"{len(stored['base_lrs'])} base rates for {len(scheduler.base_lrs)} parameters")
    for name in names:
        if name in stored:
            setattr(scheduler, name, stored[name])
