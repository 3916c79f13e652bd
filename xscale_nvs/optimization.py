"""One training step: codes, colours, loss, and four Adam optimisers (XScale-NVS, Sec. 5 and 6).

A step may hold millions of rays. They go through the network in chunks whose gradients add up to the whole's, so that
memory follows the chunk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from common.parallel import run_in_threads
from common.sparse_adam import SparseAdam
from xscale_nvs.losses import absolute_difference
from xscale_nvs.networks.model import XscaleModel
from xscale_nvs.tone import tone

CHUNK = 1 << 18  # sub-samples whose features are kept at once
# Rays that a thread shades at once: an eighth of the chunk within these bounds, whatever the number of threads, so that
# sums do not depend on it.
CPU_SLICE = (1 << 8, 1 << 11)


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
            name: torch.optim.Adam(part.parameters(), lr=rate, fused=True)
            for name, (part, rate) in parts.items()
            if len(list(part.parameters()))
        }
        self._grid = SparseAdam(model.spatial_encoding.spatial_enc.params, lr=lr_embeddings)
        self._all["encoding"] = self._grid
        self._on_cpu = model.center.device.type == "cpu"

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for optimizer in self._all.values():
            optimizer.zero_grad()

    def step(self) -> None:
        """Change all parameters that have a gradient."""
        small = [optimizer.step for optimizer in self._all.values() if optimizer is not self._grid]
        if self._on_cpu:
            run_in_threads(small)  # so that tiny operations do not wait for several threads each
        else:
            for step in small:
                step()
        self._grid.step()

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


def backpropagate(model: XscaleModel, batch: RayBatch, weight: float = 1.0, chunk: int = CHUNK) -> float:
    """Add the gradients of `weight` times the mean absolute difference to the parameters'; returns that mean.

    Args:
        model: Its codes are looked up once for all chunks.
        batch: The rays.
        weight: Of the loss.
        chunk: Sub-samples whose features are kept at once.
    """
    codes = [model.light_code(batch.lights)]
    codes += [model.exposure_code(batch.positions)] if model.x_embeddings_list else []
    shared = [code.detach().requires_grad_() for code in codes] + list(model.shading_machine.parameters())
    V, R, M = batch.xyz.shape[:3]
    totals: list[Tensor] = []
    for part in _parts(R, chunk // (V * M)):
        results = _shade_chunk(model, _cut(batch, part), shared, weight / batch.colour.numel())
        totals = results if not totals else [total.add_(result) for total, result in zip(totals, results, strict=True)]
    loss, *gradients = totals
    torch.autograd.backward(codes + shared[len(codes) :], gradients)
    return float(loss) / batch.colour.numel()


def _shade_chunk(model: XscaleModel, batch: RayBatch, shared: list[Tensor], weight: float) -> list[Tensor]:
    """Loss of some rays, and the gradients of `weight` times it in `shared`; the grid's is added to the grid's own.

    On a CPU, threads shade slices that fit a core's cache; their results are added in the slices' order.
    """
    features = model.features(batch.xyz)
    shading, view_dir = model.shading_machine.render_net_c, model.view_direction(batch.viewdr)
    has_exposure = bool(model.x_embeddings_list)

    def shade(part: slice) -> tuple[Tensor, tuple[Tensor, ...]]:
        feature = features.detach()[:, part].requires_grad_()
        light, exposure = shared[0], shared[1] if has_exposure else None
        rgb = tone(shading(feature, view_dir[:, part], light, exposure))
        loss = absolute_difference(rgb, batch.colour[:, part])
        return loss.detach(), torch.autograd.grad(weight * loss, [feature, *shared])

    V, R = batch.colour.shape[:2]
    if features.is_cuda:
        results = [shade(slice(None))]
    else:
        size = min(max(V * R // 8, CPU_SLICE[0]), CPU_SLICE[1])
        results = run_in_threads([lambda part=part: shade(part) for part in _parts(R, size // V)])
    losses, gradients = zip(*results, strict=True)
    of_features, *others = zip(*gradients, strict=True)
    features.backward(torch.cat(of_features, dim=1))
    return [sum(parts[1:], start=parts[0].clone()) for parts in (losses, *others)]


def _parts(length: int, size: int) -> list[slice]:
    size = max(1, size)
    return [slice(first, min(first + size, length)) for first in range(0, length, size)]


def _cut(batch: RayBatch, part: slice) -> RayBatch:
    """Some rays of every view."""
    return replace(batch, xyz=batch.xyz[:, part], viewdr=batch.viewdr[:, part], colour=batch.colour[:, part])
