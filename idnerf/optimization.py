"""Optimiser groups and learning-rate schedule (spec 6).

Groups in order: `feat_enc` at `lr_enc`, `nerf_dec` at `lr_dec`, `latent_inference` at `lr_other`. A group whose rate is
not positive is left out; the first two are then frozen, the third still takes part in gradients. The released program
always leaves the third out and lets its gradients pile up (spec, Q1): `parity.released_optimizer`, or `lr_other: 0`.
"""

import inspect
import logging
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from common.settings import Config, nearest_name
from idnerf.parity import is_released

GROUPS = {"feat_enc": "lr_enc", "nerf_dec": "lr_dec", "latent_inference": "lr_other"}
_PER_STEP = ("OneCycleLR",)  # every other schedule is stepped after each epoch
_LOGGER = logging.getLogger(__name__)


def build_optimizer(opt: Config, network: nn.Module) -> Optimizer:
    """The optimiser of `optim.algo` over the children of the network; a group knows its child as `name`.

    Raises:
        ValueError: No such optimiser, an argument that it does not take, or nothing to optimise.
    """
    groups = []
    for child, key in GROUPS.items():
        module, latent = getattr(network, child), child == "latent_inference"
        if opt.optim[key] > 0 and not (latent and is_released(opt, "released_optimizer")):
            groups.append({"params": list(module.parameters()), "lr": opt.optim[key], "name": child})
        elif not latent:
            module.requires_grad_(False)
    if not groups:
        raise ValueError(
            f"nothing would be trained: {', '.join(GROUPS.values())} of optim are all 0; raise one of them"
        )
    settings = dict(opt.optim.algo)
    kind = _find(torch.optim, settings.pop("type"), Optimizer, "optim.algo.type")
    try:
        return kind(groups, **settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"optim.algo does not suit {kind.__name__}: {error}") from None


def build_scheduler(opt: Config, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler | None:
    """The schedule of `optim.sched`, or None for constant rates.

    Keys that the schedule does not take (those of the file's one-cycle schedule, when another type is chosen) are left
    out with a warning.

    Args:
        opt: All options.
        optimizer: As `build_optimizer` made it.
        steps_per_epoch: Steps that this process takes in an epoch.

    Raises:
        ValueError: No such schedule, or arguments that do not suit it.
    """
    if opt.optim.sched is None:
        return None
    settings = dict(opt.optim.sched)
    kind = _find(lr_scheduler, settings.pop("type"), LRScheduler, "optim.sched.type")
    if kind is lr_scheduler.OneCycleLR:
        settings |= {"max_lr": [group["lr"] for group in optimizer.param_groups]}
        settings |= {"epochs": opt.max_epoch, "steps_per_epoch": steps_per_epoch}
        settings["pct_start"] = _usable_start(settings.get("pct_start", 0.3), opt.max_epoch * steps_per_epoch)
    taken = inspect.signature(kind).parameters
    unused = [key for key in settings if key not in taken]
    if unused:
        _LOGGER.warning("optim.sched: %s does not take %s; left out", kind.__name__, ", ".join(unused))
    try:
        return kind(optimizer, **{key: value for key, value in settings.items() if key in taken})
    except (TypeError, ValueError) as error:
        raise ValueError(f"optim.sched does not suit {kind.__name__}: {error}") from None


def steps_every_iteration(scheduler: LRScheduler | None) -> bool:
    """Whether a schedule is stepped after each iteration; all others are stepped after each epoch."""
    return type(scheduler).__name__ in _PER_STEP


def clip_encoder(opt: Config, network: nn.Module) -> Tensor | None:
    """Shorten the gradient of `feat_enc` to the norm `optim.clip_enc`; the norm before, or None where it is off."""
    if opt.optim.clip_enc is None:
        return None
    return nn.utils.clip_grad_norm_(network.feat_enc.parameters(), opt.optim.clip_enc)


def learning_rates(optimizer: Optimizer) -> dict[str, float]:
    """The present rate of every group by the name of its child."""
    return {group["name"]: group["lr"] for group in optimizer.param_groups}


def iterations_of(fraction: int | float, steps_per_epoch: int) -> int | None:
    """Every how many iterations something happens that is asked for as a fraction of an epoch; None: never."""
    return math.ceil(fraction * steps_per_epoch) if fraction > 0 else None


def _usable_start(pct_start: int | float, total: int) -> float:
    """The warm-up's share; PyTorch divides by its length less one step, so a length of exactly one becomes longer."""
    return float(pct_start) * (1 + 1e-9) if float(pct_start * total) == 1.0 else float(pct_start)


def _find(module: Any, name: str, base: type, option: str) -> type:
    kinds = {key: value for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, base)}
    if name not in kinds or kinds[name] is base:
        near = nearest_name(name, kinds)
        raise ValueError(
            f"{option} is {name!r}, which PyTorch does not have{f'; did you mean {near!r}?' if near else ''}"
        )
    return kinds[name]
