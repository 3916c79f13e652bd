"""Optimiser and learning-rate schedules; both schedules are stepped once per epoch.

exponential   lr(e) = base * gamma^(e / decay_epochs)
multi_step    lr(e) = base * gamma^(number of milestones up to e)
"""

import bisect
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class ExponentialDecay(LRScheduler):
    """Multiplies the base rate by `gamma` every `decay_epochs` epochs, continuously."""

    def __init__(self, optimizer: Optimizer, decay_epochs: int | float, gamma: float):
        self.decay_epochs = decay_epochs
        self.gamma = gamma
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        """Rate of each group at `last_epoch`."""
        return [base * self.gamma ** (self.last_epoch / self.decay_epochs) for base in self.base_lrs]


class MultiStepDecay(LRScheduler):
    """Multiplies the base rate by `gamma` at each milestone."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float):
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        """Rate of each group at `last_epoch`."""
        passed = bisect.bisect_right(self.milestones, self.last_epoch)
        return [base * self.gamma**passed for base in self.base_lrs]


def build_optimizer(cfg: Any, network: nn.Module) -> Optimizer:
    """Adam, RAdam or SGD with one group per tensor, as released checkpoints store it.

    Raises:
        ValueError: `train.optim` is none of them.
    """
    return _optimizer(cfg.train, network.parameters())


def build_scheduler(cfg: Any, optimizer: Optimizer) -> ExponentialDecay | MultiStepDecay:
    """The schedule of `train.scheduler`; ValueError for a type that does not exist."""
    settings = cfg.train.scheduler
    if settings.type == "exponential":
        return ExponentialDecay(optimizer, settings.decay_epochs, settings.gamma)
    if settings.type == "multi_step":
        return MultiStepDecay(optimizer, settings.milestones, settings.gamma)
    raise ValueError(f"train.scheduler.type must be exponential or multi_step, got {settings.type!r}")


def reset_decay(cfg: Any, scheduler: ExponentialDecay | MultiStepDecay) -> None:
    """The config's decay after a schedule's state was restored; its base rates stay the restored ones."""
    settings = cfg.train.scheduler
    scheduler.gamma = settings.gamma
    if isinstance(scheduler, ExponentialDecay):
        scheduler.decay_epochs = settings.decay_epochs
    else:
        scheduler.milestones = sorted(settings.milestones)


def _optimizer(settings: Any, parameters: Iterable[nn.Parameter]) -> Optimizer:
    groups = [{"params": [parameter]} for parameter in parameters]
    common = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    if settings.optim == "adam":
        return torch.optim.Adam(groups, eps=settings.eps, **common)
    if settings.optim == "radam":
        return torch.optim.RAdam(groups, eps=settings.eps, **common)
    if settings.optim == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, **common)
    raise ValueError(f"train.optim must be adam, radam or sgd, got {settings.optim!r}")
