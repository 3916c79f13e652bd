"""One training step: codes, colours, loss, and four Adam optimisers (XScale-NVS, Sec. 5 and 6).

A step may hold millions of rays. They go through the network in chunks whose gradients add up to the whole's, so that
memory follows the chunk.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from common.sparse_adam import SparseAdam
from xscale_nvs.losses import absolute_difference
from xscale_nvs.networks.model import XscaleModel

# Rays whose activations are kept at once.
CHUNK = {"cpu": 1 << 15, "cuda": 1 << 19}


@dataclass(frozen=True)
class RayBatch:
    """Rays of one step: V views, R rays of each, M sub-samples per ray; see `XscaleModel.forward`.

    Attributes:
        xyz, viewdr: Points and directions.
        colour: Photographs' values divided by 256.
        positions: Of the views in `training_view_list`.
        lights: Their lighting conditions.
    """

    xyz: Float[Tensor, "V R M 3"]
    viewdr: Float[Tensor, "V R M 3"]
    colour: Float[Tensor, "V R 3"]
    positions: Int[Tensor, " V"]
    lights: Int[Tensor, " V"]


class Optimizers:
    """Four Adam optimisers with PyTorch's defaults: shading network, hash grid, light codes, exposure codes.

    Args:
        model: What they change.
        lr_network: Learning rate of the shading network.
        lr_embeddings: Learning rate of the other three.
    """

    def __init__(self, model: XscaleModel, lr_network: float, lr_embeddings: float):
        parts = {
            "network": (model.shading_machine, lr_network),
            "light": (model.l_embeddings_list, lr_embeddings),
            "exposure": (model.x_embeddings_list, lr_embeddings),
        }
        self._all: dict[str, Any] = {
            name: torch.optim.Adam(part.parameters(), lr=rate)
            for name, (part, rate) in parts.items()
            if len(list(part.parameters()))
        }
        self._grid = SparseAdam(model.spatial_encoding.spatial_enc.params, lr=lr_embeddings)
        self._all["encoding"] = self._grid

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for optimizer in self._all.values():
            optimizer.zero_grad()

    def step(self) -> None:
        """Change all parameters that have a gradient."""
        for optimizer in self._all.values():
            optimizer.step()

    def catch_up(self) -> None:
        """Bring every entry of the grid to the present step; before its values are read from outside."""
        self._grid.catch_up()

    def state_dict(self) -> dict[str, Any]:
        """The states of all, by name."""
        return {name: optimizer.state_dict() for name, optimizer in self._all.items()}

    def load_state_dict(self, states: Mapping[str, Any]) -> None:
        """Continue from states.

        Raises:
            ValueError: They belong to other optimisers.
        """
        if states.keys() != self._all.keys():
            raise ValueError(f"the stored optimisers are {', '.join(states)}, expected {', '.join(self._all)}")
        for name, optimizer in self._all.items():
            optimizer.load_state_dict(states[name])


def train_step(model: XscaleModel, optimizers: Optimizers, batch: RayBatch, weight: float = 1.0) -> float:
    """One update of all parameters; returns the loss before it, the mean absolute difference of colours."""
    optimizers.zero_grad()
    loss = backpropagate(model, batch, weight)
    optimizers.step()
    return loss


def backpropagate(model: XscaleModel, batch: RayBatch, weight: float = 1.0, chunk: int | None = None) -> float:
    """Add the gradients of `weight` times the mean absolute difference to the parameters'; returns that mean.

    Args:
        model: Its codes are looked up once for all chunks.
        batch: The rays.
        weight: Of the loss.
        chunk: Rays computed at once; None takes what suits the device.
    """
    codes = [model.light_code(batch.lights)]
    codes += [model.exposure_code(batch.positions)] if model.x_embeddings_list else []
    leaves = [code.detach().requires_grad_() for code in codes]
    V, R = batch.colour.shape[:2]
    size = max(1, (chunk or CHUNK[batch.colour.device.type]) // (V * batch.xyz.shape[2]))
    total = torch.zeros((), device=batch.colour.device)
    for first in range(0, R, size):
        part = slice(first, first + size)
        rgb = model(batch.xyz[:, part], batch.viewdr[:, part], *leaves)
        difference = absolute_difference(rgb, batch.colour[:, part]) / batch.colour.numel()
        (weight * difference).backward()
        total += difference.detach()
    torch.autograd.backward(codes, [leaf.grad for leaf in leaves])
    return float(total)
