"""Training: epochs of single steps, checkpoints, validation."""

import logging
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from common.batches import to_device
from common.checkpoints import remove_leftovers, save_checkpoint
from common.distributed import barrier, is_distributed, is_main_process, synchronize_batch_norm
from common.paths import move_aside
from common.reporting import RunningValues, ScalarWriter, progress_line, scalar_writer
from common.training import check_finite
from gefu.data.loaders import build_test_loader, build_training_loader
from gefu.evaluator import evaluate
from gefu.experiment import (
    BESTS,
    LATEST,
    TrainingState,
    continue_training,
    experiment_name,
    recall_best,
)
from gefu.losses import GefuLoss, build_loss
from gefu.optimization import build_optimizer, build_scheduler

MAX_GRADIENT = 40.0  # gradients are clipped to +- this, entry by entry
_LOGGER = logging.getLogger(__name__)


def train(cfg: Any, network: nn.Module, device: torch.device, seed: int) -> None:
    """Train until `train.epoch`, from where the experiment's folder says; leaves checkpoints and TensorBoard scalars.

    Args:
        cfg: Resolved config.
        network: Newly built; on any device.
        device: Where to train.
        seed: Of a new run; a run that continues keeps its own.

    Raises:
        FileNotFoundError, ValueError: Data that is missing or damaged.
        RuntimeError: A checkpoint that does not fit, or a loss that is no longer a number.
    """
    prepare_folders(cfg)
    network.to(device)
    if is_distributed():
        network = synchronize_batch_norm(network, device)
    optimizer = build_optimizer(cfg, network)
    state = TrainingState(network, optimizer, build_scheduler(cfg, optimizer), seed)
    continue_training(cfg, state)
    recall_best(cfg.trained_model_dir, state.best)
    _Run(cfg, state, build_loss(cfg).to(device), device).run()


def prepare_folders(cfg: Any) -> None:
    """Make the experiment's folders; with `resume` False an earlier run is moved aside first."""
    if is_main_process():
        for name in (cfg.trained_model_dir, cfg.record_dir):
            if not cfg.resume:
                move_aside(name, "resume is False")
            Path(name).mkdir(parents=True, exist_ok=True)
        remove_leftovers(cfg.trained_model_dir)
    barrier()


def train_step(
    network: nn.Module, loss: Callable[..., Any], optimizer: torch.optim.Optimizer, batch: Mapping[str, Any]
) -> dict[str, float]:
    """One update of the parameters; returns the logged scalars of the batch. The clipped gradients stay in place."""
    optimizer.zero_grad(set_to_none=True)
    total, scalars = loss(network(batch), batch)
    total.backward()
    nn.utils.clip_grad_value_(network.parameters(), MAX_GRADIENT)
    optimizer.step()
    return dict(zip(scalars, torch.stack(list(scalars.values())).tolist(), strict=True))


class _Run:
    """One run of an experiment in this process."""

    def __init__(self, cfg: Any, state: TrainingState, loss: GefuLoss, device: torch.device):
        self.cfg = cfg
        self.state = state
        self.loss = loss
        self.device = device
        self.network = state.network
        if is_distributed():
            self.network = DistributedDataParallel(
                state.network,
                device_ids=[device.index] if device.type == "cuda" else None,
                find_unused_parameters=True,  # attn.layer_norm is in the state dict but not in the computation
            )
        self.loader = build_training_loader(cfg, state.seed)
        self.length = self.loader.batch_sampler.length
        self._recent = RunningValues()
        self._saved = time.monotonic()

    def run(self) -> None:
        """All epochs that are left."""
        with scalar_writer(self.cfg.record_dir, is_main_process()) as writer:
            test_loader = self._build_validation()
            while self.state.epoch < self.cfg.train.epoch:
                epoch = self.state.epoch
                self._train_epoch(writer)
                self._finish_epoch()
                if test_loader is not None and (epoch + 1) % self.cfg.eval_ep == 0:
                    self._validate(epoch, test_loader, writer)

    def _train_epoch(self, writer: ScalarWriter | None) -> None:
        state = self.state
        self.network.train()
        self.loader.batch_sampler.start(state.epoch, state.position)
        asked = time.monotonic()
        for batch in self.loader:
            began = time.monotonic()
            scalars = train_step(self.network, self.loss, state.optimizer, to_device(batch, self.device))
            check_finite(scalars, f"step {state.step}", "train.lr")
            state.position += 1
            state.step += 1
            self._recent.update(scalars | {"data": began - asked, "batch": time.monotonic() - asked})
            if is_main_process():
                self._report(writer)
                self._save_within_epoch()
            asked = time.monotonic()

    def _finish_epoch(self) -> None:
        """Step the schedule and save; the state then stands at the start of the next epoch."""
        state, cfg = self.state, self.cfg
        state.scheduler.step()
        state.epoch += 1
        state.position = 0
        if not is_main_process():
            return
        if state.epoch % cfg.save_ep == 0:
            self._save(f"{state.epoch - 1}.pth")
        if state.epoch % cfg.save_latest_ep == 0 or state.epoch == cfg.train.epoch:
            self._save(LATEST)

    def _save(self, name: str) -> None:
        save_checkpoint(Path(self.cfg.trained_model_dir) / name, self.state.payload(experiment_name(self.cfg)))

    def _save_within_epoch(self) -> None:
        cfg, state = self.cfg, self.state
        due = cfg.save_iter > 0 and state.position % cfg.save_iter == 0
        due |= cfg.save_minutes > 0 and time.monotonic() - self._saved > 60 * cfg.save_minutes
        if due and state.position < self.length:
            self._save(LATEST)
            self._saved = time.monotonic()

    def _report(self, writer: ScalarWriter | None) -> None:
        state, cfg = self.state, self.cfg
        if state.step % cfg.log_interval and state.position != self.length:
            return
        means = self._recent.means()
        left = (cfg.train.epoch - state.epoch) * self.length - state.position
        rate = state.optimizer.param_groups[0]["lr"]
        _LOGGER.info(progress_line(left * means["batch"], state.epoch, state.step, means, rate))
        if writer is not None:
            writer.write("train", self._recent.medians(), state.step)

    def _build_validation(self) -> DataLoader | None:
        """The test set, or None where validation is off, not this process's task, or without data."""
        if self.cfg.skip_eval or self.cfg.eval_ep <= 0 or not is_main_process():
            return None
        try:
            return build_test_loader(self.cfg)
        except FileNotFoundError as error:
            _LOGGER.warning("training goes on without validation: %s", error)
            return None

    def _validate(self, epoch: int, loader: DataLoader, writer: ScalarWriter | None) -> None:
        state = self.state
        losses: list[dict[str, float]] = []

        def watch(outputs: Mapping[str, Tensor], batch: Mapping[str, Any]) -> None:
            with torch.no_grad():
                _, scalars = self.loss(outputs, to_device(batch, self.device))
            losses.append({name: value.item() for name, value in scalars.items()})

        results = evaluate(state.network, loader, self.cfg, watch=watch)
        results |= {name: statistics.fmean(entry[name] for entry in losses) for name in losses[0]}
        if writer is not None:
            writer.write("val", results, epoch)
        for name, sign in BESTS.items():
            if name in results and sign * results[name] > sign * state.best[name]:
                state.best[name] = results[name]
                self._save(f"{name}_best.pth")
