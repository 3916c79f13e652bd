"""Training: single steps, logs, validation, checkpoints (spec 7).

Below the output folder a run leaves

    model/<name>/                           see neuray_mrvm/model_checkpoints.py
    logs/<name>/                            train.txt, val.txt, TensorBoard
    vis_val/<name>-<validation set>/        pictures of the validation views
"""

import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from common.checkpoints import remove_leftovers
from common.io.atomic import atomic_path
from common.paths import move_aside
from common.reporting import ScalarWriter, scalar_writer
from common.seeding import seed_torch
from common.training import check_finite
from neuray_mrvm.config import write_config
from neuray_mrvm.experiment import Experiment, build_experiment
from neuray_mrvm.losses import compute_losses, total_loss
from neuray_mrvm.model_checkpoints import BEST, LATEST, RunState, find_latest, run_folder
from neuray_mrvm.networks.ray_rendering import RandomDraws
from neuray_mrvm.optimization import build_optimizer, learning_rate, set_learning_rate
from neuray_mrvm.validation import validate
from neuray_mrvm.view_batch import TrainingItem

_STEP = 1  # stream of random numbers: what the network draws in a step
_LOGGER = logging.getLogger(__name__)


def train(cfg: Mapping[str, Any], data_dir: Path, save_dir: Path, resume: bool, device: torch.device) -> None:
    """Train up to and including step `total_step`.

    Args:
        cfg: Settings, with what the flags decide (`neuray_mrvm.training_settings`).
        data_dir: Folder of the data sets.
        save_dir: Output folder.
        resume: Continue the run of this name where it was stopped; otherwise an earlier one is moved aside.
        device: Where to train.

    Raises:
        FileNotFoundError, ValueError: Data or a checkpoint that is missing or damaged.
        RuntimeError: A checkpoint that does not fit, or a loss that is no longer a number.
        NotImplementedError: `multi_gpus` is set.
    """
    if cfg["multi_gpus"]:
        raise NotImplementedError("multi_gpus: true is not supported; a batch is one view, so use one GPU")
    folder = run_folder(save_dir, cfg["name"])
    if not resume:
        move_aside(folder, "--resume was not given")
    latest = find_latest(folder)
    experiment = build_experiment(cfg, data_dir, latest)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    network = experiment.network.to(device)
    optimizer = build_optimizer(cfg, network)
    state = RunState(network, optimizer, cfg["seed"])
    run = Run(cfg, state, experiment, save_dir, device)
    if latest is not None:
        if state.restore(latest):
            run.finish_step()
        _LOGGER.info("continuing at step %d from %s", state.step, latest)
    run.run()


def train_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    item: TrainingItem,
    cfg: Mapping[str, Any],
    draws: RandomDraws | None = None,
) -> dict[str, Tensor]:
    """One update of the parameters, without the moving average that ends a step.

    Args:
        network: In train mode.
        optimizer: Of the network's parameters, at the step's rate.
        item: On the network's device.
        cfg: Settings.
        draws: Random numbers instead of PyTorch's.

    Returns:
        Every term of the loss, and their sum under `loss`. The gradients stay in place.
    """
    optimizer.zero_grad(set_to_none=True)
    terms = compute_losses(cfg["loss"], network(item, draws), item, cfg)
    total = total_loss(terms)
    total.backward()
    optimizer.step()
    return {name: value.detach().mean() for name, value in terms.items()} | {"loss": total.detach()}


class Run:
    """One run in this process."""

    def __init__(
        self, cfg: Mapping[str, Any], state: RunState, experiment: Experiment, save_dir: Path, device: torch.device
    ):
        self.cfg, self.state, self.experiment = cfg, state, experiment
        self.save_dir, self.device = Path(save_dir), device
        self.folder = run_folder(save_dir, cfg["name"])
        self.logs = self.save_dir / "logs" / cfg["name"]
        self._saved = time.monotonic()

    def run(self) -> None:
        """All steps that are left."""
        state, total = self.state, self.cfg["total_step"]
        if state.step > total:
            _LOGGER.info("%s has finished its %d steps; leave out --resume to begin anew", self.folder, total)
            return
        with atomic_path(self.folder / "settings.yaml") as temporary:
            temporary.write_text(write_config(self.cfg), encoding="utf8")
        validation = self.experiment.validation_sets()
        began, first = time.monotonic(), state.step
        with (
            scalar_writer(self.logs, True) as writer,
            tqdm(total=total + 1, initial=first, unit="step", desc=self.cfg["name"], disable=None) as bar,
        ):
            for item in self.experiment.training_items(state.seed, first):
                scalars = self._step(item)
                bar.set_postfix(loss=f"{scalars['loss']:.4f}", refresh=False)
                bar.update()
                if self._is_due("train_log_step"):
                    self._log(writer, "train", scalars)
                    seconds = (total - state.step) * (time.monotonic() - began) / (state.step - first + 1)
                    line = "  ".join(f"{name} {value:.5f}" for name, value in scalars.items())
                    _LOGGER.info("step %d  eta %s  %s", state.step, timedelta(seconds=int(seconds)), line)
                if validation and (self._is_due("val_interval") or state.step == total):
                    self._validate(writer, validation)
                self._save()
                self.finish_step()

    def finish_step(self) -> None:
        """What follows the saving of a step; the state then stands before the next one."""
        state, cfg = self.state, self.cfg
        if cfg["stage"] == "pretrain" and state.step >= cfg["stage_two_begin"]:
            state.network.update_target()
        state.step += 1

    def _step(self, item: TrainingItem) -> dict[str, float]:
        state, cfg = self.state, self.cfg
        rate = learning_rate(cfg, state.step)
        set_learning_rate(state.optimizer, rate)
        seed_torch(_STEP, state.seed, state.step)
        state.network.train()
        terms = train_step(state.network, state.optimizer, item.to(self.device), cfg)
        scalars = dict(zip(terms, torch.stack(list(terms.values())).tolist(), strict=True))
        check_finite(scalars, f"step {state.step}", "lr_cfg")
        return scalars | {"lr": rate}

    def _validate(self, writer: ScalarWriter, sets: Mapping[str, Any]) -> None:
        """Score every set; the last one decides whether this is the best network so far."""
        state, cfg = self.state, self.cfg
        results: dict[str, float] = {}
        for name, items in sets.items():
            folder = self.save_dir / "vis_val" / f"{cfg['name']}-{name}"
            results = validate(state.network, items(state.step), cfg, folder, self.device)
            self._log(writer, "val", {f"{name}-{key}": value for key, value in results.items()})
            line = "  ".join(f"{key} {value:.4f}" for key, value in results.items())
            _LOGGER.info("step %d  %s: %s", state.step, name, line)
        key = cfg["key_metric_name"]
        if key not in results:
            raise ValueError(f"key_metric_name {key!r} is not computed; there are {', '.join(results)}")
        if results[key] > state.best:
            state.best = results[key]
            state.save(self.folder / BEST)

    def _log(self, writer: ScalarWriter, prefix: str, scalars: Mapping[str, float]) -> None:
        writer.write(prefix, scalars, self.state.step)
        with (self.logs / f"{prefix}.txt").open("a", encoding="utf8") as file:
            file.write(f"{prefix} " + " ".join(f"{name} {value:.5f}" for name, value in scalars.items()) + "\n")

    def _save(self) -> None:
        state, cfg = self.state, self.cfg
        minutes = cfg["save_minutes"]
        due = self._is_due("save_interval") or state.step == cfg["total_step"]
        due |= minutes > 0 and time.monotonic() - self._saved > 60 * minutes
        if due:
            state.save(self.folder / LATEST, keep_previous=True)
            self._saved = time.monotonic()
        if self._is_due("extra_save_interval"):
            state.save(self.folder / f"model_{state.step}.pth")

    def _is_due(self, interval: str) -> bool:
        return self.state.step % max(1, self.cfg[interval]) == 0
