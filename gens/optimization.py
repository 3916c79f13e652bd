"""Adam and the factor of its learning rates (spec 6).

A function of the fractional epoch, in fine-tuning of the step, t; T is the whole length:

lambda(t) = 0.1 + 0.9 t / warmup                                                 t < warmup
lambda(t) = alpha + (1 - alpha) (1 + cos(pi (t - warmup) / (T - warmup))) / 2    afterwards
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

COLD = 0.1


class WarmupCosine(LRScheduler):
    """Sets every group's rate to its base rate times lambda; `step_to` is called after each step of the optimiser."""

    def __init__(self, optimizer: Optimizer, total: int | float, warmup: int | float, alpha: float):
        self.total, self.warmup, self.alpha = total, warmup, alpha
        self.time: int | float = 0.0
        super().__init__(optimizer)

    def factor(self) -> float:
        """Lambda at the present time."""
        if self.time < self.warmup:
            return COLD + (1 - COLD) * self.time / self.warmup
        progress = (self.time - self.warmup) / (self.total - self.warmup) if self.total > self.warmup else 1.0
        return self.alpha + (1 - self.alpha) * (1 + math.cos(math.pi * progress)) / 2

    def get_lr(self) -> list[float]:
        """Rate of each group at the present time."""
        return [base * self.factor() for base in self.base_lrs]

    def step_to(self, time: int | float) -> None:
        """Let the next step of the optimiser run with the rates of `time`."""
        self.time = self.last_epoch = time
        self._last_lr = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate


def build_optimizer(cfg: Any, network: nn.Module) -> Optimizer:
    """Adam for training across scenes; groups: implicit surface, then feature network and 3D U-Net."""
    rates = cfg.train.lr_confs
    image_parameters = [*network.feature_network.parameters(), *network.reg_network.parameters()]
    return torch.optim.Adam(
        [
            {"params": list(network.implicit_surface.parameters()), "lr": rates.mlp_lr},
            {"params": image_parameters, "lr": rates.feat_lr},
        ]
    )


def build_finetune_optimizer(cfg: Any, surface: nn.Module, volumes: Sequence[nn.Parameter]) -> Optimizer:
    """Adam for fine-tuning; groups: implicit surface, then one per volume, finest first."""
    rates = cfg.train.lr_confs
    groups = [{"params": list(surface.parameters()), "lr": rates.mlp_lr}]
    groups += [{"params": [volume], "lr": rate} for volume, rate in zip(volumes, rates.vol_lr, strict=True)]
    return torch.optim.Adam(groups)


def build_scheduler(cfg: Any, optimizer: Optimizer) -> WarmupCosine:
    """The schedule of the `train` block."""
    return WarmupCosine(optimizer, cfg.train.epochs, cfg.train.warmup, cfg.train.alpha)


def cos_anneal_ratio(epoch: int | float, anneal_end: int | float) -> float:
    """How far the rendering has moved from its soft to its exact form: min(1, epoch / anneal_end)."""
    return 1.0 if anneal_end == 0 else min(1.0, epoch / anneal_end)
