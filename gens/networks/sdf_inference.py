"""The signed distance field of one scene, for many points and no gradients by weights.

What `SdfNetwork` computes, arranged for a CPU: weights are folded once, the features' share of all layers is one matrix
product, activations are overwritten in place together with their slopes, points come in chunks that stay in a core's
cache, and the gradient is the chain rule written out backwards, without a recorded graph. On other devices the network
itself runs, chunk by chunk.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from common.ops.level_sampling import sample_levels, sample_levels_with_slopes
from common.ops.softplus import softplus_
from common.parallel import run_in_threads
from gens.networks.ray_sampling import FAR_AWAY
from gens.networks.sdf_net import BETA, SdfNetwork, encode
from gens.networks.volumes import Volumes, is_seen

CPU_CHUNK = 1024
GPU_CHUNK = 65536


class SdfField:
    """Distances at points of the cube.

    Args:
        network: Later changes of its weights have no effect here on a CPU.
        volumes: Regularised, fine to coarse.
        masks: Where they mean something, fine to coarse.

    Attributes:
        is_on_cpu: Points are evaluated on the CPU, where callers may share the work among threads.
    """

    @torch.no_grad()
    def __init__(self, network: SdfNetwork, volumes: Volumes, masks: Volumes):
        self._network, self._volumes, self._masks = network, [volume.detach() for volume in volumes], list(masks)
        self.is_on_cpu = _is_cpu(volumes[0].device)
        self._folded = _FoldedSdf(network, self._volumes) if self.is_on_cpu else None

    def __call__(self, points: Float[Tensor, "P 3"]) -> Float[Tensor, " P"]:
        """Distances, everywhere."""
        return self._for_chunks(points, self._sdf, 1)[:, 0]

    def with_gradient(self, points: Float[Tensor, "P 3"]) -> tuple[Float[Tensor, " P"], Float[Tensor, "P 3"]]:
        """Distances and their gradients."""
        values = self._for_chunks(points, self._sdf_and_gradient, 4)
        return values[:, 0], values[:, 1:]

    def masked(self, points: Float[Tensor, "P 3"]) -> tuple[Float[Tensor, " P"], Bool[Tensor, " P"]]:
        """Distances where a mask is set, `FAR_AWAY` elsewhere, and where that is."""
        seen = self.is_seen(points)
        sdf = points.new_full((len(points),), FAR_AWAY)
        evaluated = evaluated_points(seen)
        sdf[evaluated] = self(points[evaluated])
        return sdf, seen

    def is_seen(self, points: Float[Tensor, "P 3"]) -> Bool[Tensor, " P"]:
        """Whether any level's mask is set at a point."""
        return is_seen(self._masks, points)

    @torch.no_grad()
    def _for_chunks(self, points: Tensor, function: Callable[[Tensor], Tensor], width: int) -> Float[Tensor, "P width"]:
        size = CPU_CHUNK if self._folded else GPU_CHUNK
        results = points.new_empty(len(points), width)
        parts = [slice(first, first + size) for first in range(0, len(points), size)]

        def evaluate(part: slice) -> None:
            results[part] = function(points[part])

        tasks = [partial(evaluate, part) for part in parts]
        if self._folded:
            run_in_threads(tasks)
        else:
            for task in tasks:
                task()
        return results

    def _sdf(self, points: Tensor) -> Float[Tensor, "P 1"]:
        return self._folded.sdf(points) if self._folded else self._network.sdf(points, self._volumes)

    def _sdf_and_gradient(self, points: Tensor) -> Float[Tensor, "P 4"]:
        if self._folded:
            return self._folded.sdf_and_gradient(points)
        return torch.cat(self._network.with_gradient(points, self._volumes), dim=-1).detach()


def evaluated_points(seen: Bool[Tensor, " P"]) -> Tensor:
    """Indices of the points to evaluate: those that are seen, or the first ten if none is, as the release does."""
    indices = seen.nonzero()[:, 0]
    return indices if len(indices) else torch.arange(min(10, len(seen)), device=seen.device)


def _is_cpu(device: torch.device) -> bool:
    return device.type == "cpu"


class _FoldedSdf:
    """`SdfNetwork` for fixed weights and volumes; points of one chunk at a time.

    A layer is its share of the features plus its share of the layer before. A layer before a skip is narrower than the
    others; it gets outputs that nothing depends on, whose place the position takes.
    """

    def __init__(self, network: SdfNetwork, volumes: Volumes):
        self._levels = [volume[0].movedim(0, -1).contiguous() for volume in volumes]
        self._scale, self._multires, self._feat_multires = network.scale, network.multires, network.feat_multires
        self._skip_in, self._position = network.skip_in, network.position_channels
        layers = [getattr(network, f"lin{layer}") for layer in range(network.num_layers)]
        weights, biases = [layer.weight.detach() for layer in layers], [layer.bias.detach() for layer in layers]
        weights[-1], biases[-1] = weights[-1][:1] / network.scale, biases[-1][:1] / network.scale
        self._width = width = weights[1].shape[1] - network.feature_channels
        self._first = _padded(weights[0], width).T.contiguous()
        self._biases = [_padded(bias, width) for bias in biases[:-1]] + biases[-1:]
        self._inner, self._from_features = [], []
        for layer, weight in enumerate(weights[1:], 1):
            padded = weight if layer == network.num_layers - 1 else _padded(weight, width)
            shrink = math.sqrt(0.5) if layer in self._skip_in else 1.0
            self._inner.append((padded[:, :width] * shrink).T.contiguous())
            self._from_features.append(padded[:, width:].T.contiguous())

    def sdf(self, points: Float[Tensor, "P 3"]) -> Float[Tensor, "P 1"]:
        """Distances."""
        return self._forward(*self._encodings(points, sample_levels(self._levels, points)), None)

    def sdf_and_gradient(self, points: Float[Tensor, "P 3"]) -> Float[Tensor, "P 4"]:
        """Distances, then gradients."""
        features, feature_slopes = sample_levels_with_slopes(self._levels, points)
        slopes = points.new_empty(len(self._inner), len(points), self._width)
        sdf = self._forward(*self._encodings(points, features), slopes)
        along_p, along_q = self._backward(slopes)
        gradient = _through_encoding(points * self._scale, along_p, self._multires) * self._scale
        along_features = _through_encoding(features, along_q, self._feat_multires)
        gradient += (feature_slopes * along_features).sum(dim=-1).T
        return torch.cat([sdf, gradient], dim=-1)

    def _encodings(self, points: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        return encode(points * self._scale, self._multires), encode(features, self._feat_multires)

    def _forward(self, p: Tensor, q: Tensor, slopes: Tensor | None) -> Float[Tensor, "P 1"]:
        x = torch.addmm(self._biases[0], p, self._first)
        for layer, (inner, from_features) in enumerate(zip(self._inner, self._from_features, strict=True), 1):
            softplus_(x, BETA, None if slopes is None else slopes[layer - 1])
            if layer in self._skip_in:
                x[:, -self._position :] = p
            x = torch.addmm(self._biases[layer], q, from_features).addmm_(x, inner)
        return x

    def _backward(self, slopes: Tensor) -> tuple[Float[Tensor, "P p"], Float[Tensor, "P q"]]:
        """Derivatives of the distance by both encodings; `slopes` is overwritten."""
        num_points = slopes.shape[1]
        along_p = slopes.new_zeros(num_points, self._position)
        along_q = self._from_features[-1].T.expand(num_points, -1).contiguous()
        along = self._inner[-1].T.expand(num_points, -1)
        for layer in range(len(self._inner) - 1, -1, -1):
            if layer + 1 in self._skip_in:
                along_p += along[:, -self._position :]
            delta = slopes[layer].mul_(along)
            if layer > 0:
                along_q.addmm_(delta, self._from_features[layer - 1].T)
                along = delta @ self._inner[layer - 1].T
        return along_p.addmm_(delta, self._first.T), along_q


def _padded(weight: Tensor, rows: int) -> Tensor:
    """Zero rows at the end: outputs that nothing depends on."""
    missing = weight.new_zeros(rows - len(weight), *weight.shape[1:])
    return torch.cat([weight, missing])


def _through_encoding(x: Float[Tensor, "P C"], along: Float[Tensor, "P E"], frequencies: int) -> Float[Tensor, "P C"]:
    """Derivative by x, from the derivative by `encode(x, frequencies)`."""
    parts = along.chunk(1 + 2 * frequencies, dim=-1)
    total = parts[0].clone()
    for octave in range(frequencies):
        angle = x * 2**octave
        change = parts[1 + 2 * octave] * torch.cos(angle) - parts[2 + 2 * octave] * torch.sin(angle)
        total += change * 2**octave
    return total
