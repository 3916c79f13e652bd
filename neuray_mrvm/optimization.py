"""Optimiser and learning rates (spec 7).

The papers' runs filled gradients with zeros between steps. So a parameter that has once had a gradient goes on moving
by Adam's momentum in every step that does not use it:

    m <- b1 m,  v <- b2 v,  p <- p - lr_t / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps)

The ray features of a scene, of which a step uses 9 maps of up to 100, depend on these moves. They are not made in a
sweep over all maps in every step, but when a map is next read, one after the other while a piece of it is in the cache
(`benchmarks/neuray_scene_optimizer.py`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

LOWEST_RATE = 1e-5
SCHEDULES = ("exp_decay", "warm_up_exp_decay")
# Order of the parts in the released networks, by which released optimiser states count their parameters.
_PARTS = (
    *("vis_encoder", "dist_decoder", "image_encoder", "agg_net", "projector", "target_projector", "predictor"),
    *("fine_dist_decoder", "fine_agg_net", "sph_fitter", "init_net", "ray_feats"),
)
_PIECE = 1 << 15  # numbers that stay in a core's cache while their moves are made


class PersistentAdam(torch.optim.Adam):
    """Adam, bit for bit that of zero-filled gradients, without the zeros.

    Args:
        parameters: All of them, in one group.
        lr: Step size; set it in `param_groups`.
        deferred: Those that most steps do not use. They are up to date only after `catch_up`: call it for what a step
            is about to read, and without arguments before everything is looked at (`state_dict` does so itself). When
            it is called changes no bit of the training.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float = 1e-3, deferred: Iterable[nn.Parameter] = ()):
        super().__init__(parameters, lr=lr, foreach=False)
        self._outstanding: dict[nn.Parameter, list[float]] = {parameter: [] for parameter in deferred}

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update everything that has a gradient or ever had one.

        Raises:
            RuntimeError: A deferred parameter was used without `catch_up`.
        """
        (group,) = self.param_groups
        for parameter in group["params"]:
            rates = self._outstanding.get(parameter)
            if parameter.grad is not None:
                if rates:
                    raise RuntimeError("a deferred parameter was used before catch_up() had brought it up to date")
            elif parameter in self.state:
                if rates is None:
                    self._move(parameter, [group["lr"]])
                else:
                    rates.append(group["lr"])
        super().step()

    @torch.no_grad()
    def catch_up(self, parameters: Iterable[nn.Parameter] | None = None) -> None:
        """Make the outstanding moves of these parameters, or of all."""
        for parameter in self._outstanding if parameters is None else parameters:
            rates = self._outstanding.get(parameter)
            if rates:
                self._move(parameter, rates)
                rates.clear()

    def state_dict(self) -> dict[str, Any]:
        """That of `torch.optim.Adam`, with nothing outstanding."""
        self.catch_up()
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from `state_dict()`, of this class or of `torch.optim.Adam`."""
        for rates in self._outstanding.values():
            rates.clear()
        super().load_state_dict(state_dict)
        self.param_groups[0]["foreach"] = False

    def _move(self, parameter: nn.Parameter, rates: list[float]) -> None:
        """The steps of zero gradient with these rates, in PyTorch's own order of operations."""
        group, state = self.param_groups[0], self.state[parameter]
        b1, b2 = group["betas"]
        first = int(state["step"]) + 1
        factors = [(rate / (1 - b1**t), (1 - b2**t) ** 0.5) for t, rate in enumerate(rates, first)]
        size = _PIECE if parameter.device.type == "cpu" else parameter.numel()
        arrays = (parameter.detach(), state["exp_avg"], state["exp_avg_sq"])
        for p, m, v in zip(*(array.view(-1).split(size) for array in arrays), strict=True):
            zero = torch.zeros_like(m)
            for rate, scale in factors:
                m.lerp_(zero, 1 - b1)
                v.mul_(b2)
                p.addcdiv_(m, (v.sqrt() / scale).add_(group["eps"]), value=-rate)
        state["step"] += len(rates)


def build_optimizer(cfg: Mapping[str, Any], network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of all parameters, frozen ones included, in one group.

    Updates of `ray_feats` are deferred until the network is about to read them.

    Raises:
        ValueError: `optimizer_type` is neither adam nor sgd.
    """
    parameters, rate = released_order(network), learning_rate(cfg, 0)
    if cfg["optimizer_type"] == "adam":
        deferred = getattr(network, "ray_feats", ())
        optimizer = PersistentAdam(parameters, rate, deferred)
        if deferred:
            network.before_reading = optimizer.catch_up
        return optimizer
    if cfg["optimizer_type"] == "sgd":
        return torch.optim.SGD(parameters, rate)
    raise ValueError(f"optimizer_type must be adam or sgd, got {cfg['optimizer_type']!r}")


def released_order(network: nn.Module) -> list[nn.Parameter]:
    """The network's parameters as released optimiser states count them."""
    named = sorted(network.named_parameters(), key=lambda entry: _PARTS.index(entry[0].split(".")[0]))
    return [parameter for _, parameter in named]


def learning_rate(cfg: Mapping[str, Any], step: int) -> float:
    """The rate of a step.

    exp_decay           max(lr_init decay_rate^floor(step / decay_step), 1e-5)
    warm_up_exp_decay   lr_warm for the first `warm_step` steps, then the same from there

    Raises:
        ValueError: Another `lr_type`, or an `lr_cfg` that lacks a number.
    """
    kind, rates = cfg["lr_type"], cfg["lr_cfg"]
    if kind == "exp_decay_ray_feats":
        raise ValueError(
            "lr_type exp_decay_ray_feats gives every ray feature to the optimiser twice, which PyTorch refuses; use"
            " exp_decay"
        )
    if kind not in SCHEDULES:
        raise ValueError(f"lr_type must be {' or '.join(SCHEDULES)}, got {kind!r}")
    needed = ["lr_init", "decay_step", "decay_rate", *(["lr_warm", "warm_step"] if kind != "exp_decay" else [])]
    missing = [name for name in needed if name not in rates]
    if missing:
        raise ValueError(f"lr_type {kind} needs {', '.join(needed)} in lr_cfg; there is no {', '.join(missing)}")
    if kind == "warm_up_exp_decay":
        if step < rates["warm_step"]:
            return float(rates["lr_warm"])
        step -= rates["warm_step"]
    return max(rates["lr_init"] * rates["decay_rate"] ** (step // rates["decay_step"]), LOWEST_RATE)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let the next step run with this rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
