"""Checkpoints, released and ours (spec 8).

A file is a dictionary: `step` (the last one that was run), `best_para` (the best value of the key metric),
`network_state_dict`, `optimizer_state_dict`. Ours have under `polyview` what an exact continuation needs besides. The
folder `<save_dir>/model/<name>` has:

model.pth             where a run that was stopped goes on; the file before it is `model.previous.pth`
model_best.pth        the best validation so far
model_<step>.pth      every `extra_save_interval` steps

A file holds the target projector as it was before the step's own moving average. The random numbers of a step depend on
the seed and the step alone, so no generator's state needs to be kept.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from common.checkpoints import load_checkpoint, load_state, previous_path, save_checkpoint

LATEST, BEST = "model.pth", "model_best.pth"
_OWN = "polyview"
_STATE = "network_state_dict"
_RAY_FEATS = re.compile(r"ray_feats\.(\d+)$")
_MASKED_MODELLING = re.compile(r"(projector|target_projector|predictor)\..*|.*\bagg_impl\.mask_token$")
_COUNTERS = re.compile(r"init_net\.mvsnet\..*num_batches_tracked$")
_VISIBILITY_HEAD = re.compile(r".*\bvis_decoder\..*")
_LOGGER = logging.getLogger(__name__)


@dataclass
class RunState:
    """Everything that training changes.

    Attributes:
        network, optimizer: As built from the config.
        seed: Of the run.
        step: The one that runs next.
        best: Of the key metric so far; 0 at the start.
    """

    network: nn.Module
    optimizer: Optimizer
    seed: int
    step: int = 0
    best: float = 0.0

    def save(self, path: Path, keep_previous: bool = False) -> None:
        """Write a checkpoint in the middle of `step`: after the optimiser's step, before the moving average."""
        optimizer = self.optimizer.state_dict()  # first: it brings every parameter up to date
        payload = {
            "step": self.step,
            "best_para": self.best,
            _STATE: self.network.state_dict(),
            "optimizer_state_dict": optimizer,
            _OWN: {"seed": self.seed},
        }
        save_checkpoint(path, payload, keep_previous)

    def restore(self, path: Path) -> bool:
        """Continue a run from its checkpoint: `step` becomes the stored one, the network stands in the middle of it.

        Returns:
            Whether that step's update has been made. False for released files, whose programs ran it again.

        Raises:
            RuntimeError: The file is damaged or another network's.
        """
        content = load_checkpoint(path)
        load_network_state(self.network, network_state(content, path), path)
        try:
            self.optimizer.load_state_dict(content["optimizer_state_dict"])
            self.step, self.best = int(content["step"]), float(content["best_para"])
        except (KeyError, ValueError, TypeError) as error:
            raise RuntimeError(f"checkpoint {path} cannot continue this run: it does not fit ({error})") from None
        own = content.get(_OWN)
        self.seed = self.seed if own is None else own["seed"]
        return own is not None


def run_folder(save_dir: str | Path, name: str) -> Path:
    """Where the checkpoints of a run lie."""
    return Path(save_dir) / "model" / name


def find_latest(folder: Path) -> Path | None:
    """Where the run of a folder can go on, or None."""
    path = folder / LATEST
    return path if path.is_file() or previous_path(path).is_file() else None


def load_network(network: nn.Module, path: str | Path) -> int:
    """Load the network of a checkpoint; returns the file's step.

    Raises:
        FileNotFoundError: There is no such file.
        RuntimeError: It is damaged, or of another network.
    """
    content = load_checkpoint(path)
    load_network_state(network, network_state(content, path), path)
    return int(content.get("step", 0))


def network_state(content: Mapping[str, Any], path: str | Path) -> dict[str, Tensor]:
    """The network's tensors in the content of a checkpoint; RuntimeError where there are none."""
    state = content.get(_STATE)
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise RuntimeError(f"checkpoint {path} has no network under {_STATE!r}; is it a NeuRay checkpoint?")
    return {name.removeprefix("module."): value for name, value in state.items()}


def load_network_state(network: nn.Module, state: Mapping[str, Tensor], path: str | Path) -> None:
    """Load tensors strictly, but for what files of other ages lack or have besides; one line says what that was.

    Raises:
        RuntimeError: Tensors are missing, unexpected or of another shape.
    """
    own, state = network.state_dict(), dict(state)
    _check_kind(own, state, path)
    notes = []
    missing = [name for name in own if name not in state]
    untrained = [name for name in missing if _MASKED_MODELLING.match(name)]
    if untrained:
        notes.append(
            f"it has nothing of mask-based modelling ({len(untrained)} tensors keep their initial values); a plain"
            " NeuRay checkpoint needs fine_depth_sample_num: 64 and fine_depth_use_all: false"
        )
    counters = [name for name in missing if _COUNTERS.match(name)]
    unused = [name for name in state if name not in own and (_COUNTERS.match(name) or _VISIBILITY_HEAD.match(name))]
    if counters or unused:
        notes.append(f"{len(counters)} counters are missing, {len(unused)} tensors are not used")
    for name in untrained + counters:
        state[name] = own[name]
    for name in unused:
        del state[name]
    load_state(network, state, path)
    if notes:
        _LOGGER.warning("%s: %s", path, "; ".join(notes))


def ray_feature_shapes(state: Mapping[str, Tensor]) -> list[tuple[int, ...]]:
    """Shapes of a per-scene checkpoint's ray features, in order of the reference views; empty for other networks."""
    found = {int(match[1]): tuple(state[name].shape) for name in state if (match := _RAY_FEATS.match(name))}
    return [found[index] for index in sorted(found)]


def _check_kind(own: Mapping[str, Tensor], state: Mapping[str, Tensor], path: str | Path) -> None:
    here, there = len(ray_feature_shapes(own)), len(ray_feature_shapes(state))
    if here and not there:
        raise RuntimeError(f"checkpoint {path} is for any scene, without ray features; a per-scene one is needed here")
    if there and not here:
        raise RuntimeError(
            f"checkpoint {path} was trained on one scene (it holds the ray features of {there} views); a checkpoint for"
            " any scene is needed here"
        )
    if here != there:
        raise RuntimeError(
            f"checkpoint {path} has ray features of {there} views but the scene has {here}; another scene?"
        )
