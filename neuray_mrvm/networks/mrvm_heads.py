"""The heads of mask-based modelling: `projector`, `target_projector`, `predictor` (spec 5.12).

The prediction of the fine network is `predictor(projector(t))`, its target `target_projector(t)` of the coarse network.
The target projector follows the projector slowly and never sees a gradient.
"""

import copy

import torch
from torch import nn

# Channels of the features t along a ray (spec 5.5, step 10).
RAY_FEATURES = 16


def projection_head(in_channels: int, hidden_channels: int, out_channels: int) -> nn.Sequential:
    """Two linear layers with batch normalisation and ReLU between them."""
    return nn.Sequential(
        nn.Linear(in_channels, hidden_channels),
        nn.BatchNorm1d(hidden_channels),
        nn.ReLU(),
        nn.Linear(hidden_channels, out_channels),
    )


def target_of(projector: nn.Module) -> nn.Module:
    """A copy that no optimiser moves."""
    return copy.deepcopy(projector).requires_grad_(False)


@torch.no_grad()
def follow(target: nn.Module, projector: nn.Module, gamma: float) -> None:
    """Move the target's parameters to `gamma` target + (1 - `gamma`) projector; running statistics stay its own."""
    for slow, fast in zip(target.parameters(), projector.parameters(), strict=True):
        slow.lerp_(fast, 1 - gamma)
