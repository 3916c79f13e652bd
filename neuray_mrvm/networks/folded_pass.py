"""One pass over rays without gradients: what `observe` and `Aggregation` compute, arranged for a CPU.

Only pairs of a sample and a view that sees it are computed, in tiles that stay in a core's cache; memory is that of a
few numbers per sample. Layers on a concatenation are evaluated in parts: what the views of a sample share is multiplied
once. Two linear layers without an activation between them are one.
"""

import importlib

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from common.ops.softplus import has_kernel
from neuray_mrvm import geometry, sampling
from neuray_mrvm.networks.aggregation import SEEN_CHANNELS, AggregatedSamples, Aggregation
from neuray_mrvm.networks.distribution_decoder import DistributionDecoder
from neuray_mrvm.networks.ray_attention import sample_encoding
from neuray_mrvm.view_batch import ViewBatch

# Rays whose samples attend to each other at once.
BLOCK_RAYS = 64
# Outputs of a layer that the kernel computes together.
BLOCK = 8


def can_fold(decoder: DistributionDecoder, aggregation: Aggregation, *tensors: Tensor) -> bool:
    """Nobody asks for gradients, and these networks and tensors are what the CPU's kernel takes."""
    sizes = len(decoder.mean_decoder[0].weight), len(aggregation.prob_embed[0].weight)
    is_taken = all(size % BLOCK == 0 for size in sizes) and all(each.dtype == torch.float32 for each in tensors)
    return is_taken and not torch.is_grad_enabled() and has_kernel(*tensors)


class FoldedPass:
    """A decoder and an aggregation for fixed views; later changes of their weights have no effect.

    Args:
        views: With pictures.
        image_feats: Of the views, like `ray_feats` with the channels innermost in memory to be fast.
        ray_feats: Of the views.
        decoder: Of ray features to distributions.
        aggregation: What blends the views.
    """

    def __init__(
        self,
        views: ViewBatch,
        image_feats: Float[Tensor, "V 32 _ _"],
        ray_feats: Float[Tensor, "V C _ _"],
        decoder: DistributionDecoder,
        aggregation: Aggregation,
    ):
        self._kernels = importlib.import_module("neuray_mrvm.networks.folded_kernels")
        self._impl, self._smallest = aggregation.agg_impl, decoder.bias_val
        near, far = (-1 / views.depth_range).unbind(dim=1)
        cameras = views.Ks @ views.poses, geometry.camera_centers(views.poses), torch.stack([near, 1 / (far - near)], 1)
        maps = (each.permute(0, 2, 3, 1) for each in (views.imgs, image_feats, ray_feats))
        self._views = self._kernels.Views(*(each.contiguous().numpy() for each in (*cameras, *maps)))
        layers = _decoder_layers(decoder) | _aggregation_layers(aggregation)
        self._layers = self._kernels.Layers(**{name: _packed(*layer) for name, layer in layers.items()})

    def __call__(
        self, rays: geometry.QueryRays, depth: Float[Tensor, "R N"], spacing: Float[Tensor, "R N"]
    ) -> tuple[AggregatedSamples, Int[Tensor, "R N"]]:
        """Density, colour and feature of samples, and how many views see each."""
        count, shape = depth.numel(), depth.shape
        samples = (
            rays.points(depth).flatten(0, 1),
            rays.to_camera(),
            *map(torch.flatten, sampling.half_spacings(spacing)),
        )
        t, colors = depth.new_empty(count, 16), depth.new_empty(count, 3)
        num_views = torch.empty(count, dtype=torch.int64)
        arrays = self._kernels.Samples(*(each.contiguous().numpy() for each in samples))
        self._kernels.render(arrays, self._views, self._layers, self._smallest, t, colors, num_views)
        num_views = num_views.view(shape)
        parts = zip(t.view(*shape, 16).split(BLOCK_RAYS), num_views.split(BLOCK_RAYS), strict=True)
        density, feature = zip(*(self._along_rays(*part) for part in parts), strict=True)
        return AggregatedSamples(torch.cat(density), colors.view(*shape, 3), torch.cat(feature)), num_views

    def _along_rays(
        self, t: Float[Tensor, "R N 16"], num_views: Int[Tensor, "R N"]
    ) -> tuple[Float[Tensor, "R N"], Float[Tensor, "R N 16"]]:
        """Density and feature of samples (spec 5.5, steps 9 to 11)."""
        t = self._impl.ray_attention(t + sample_encoding(t.shape[1], t), num_views > 1)
        return self._impl.out_geometry_fc(t)[..., 0].relu() * (num_views > 0), t


Layer = tuple[Tensor, Tensor]


def _decoder_layers(decoder: DistributionDecoder) -> dict[str, Layer]:
    """The heads side by side."""
    heads = [decoder.mean_decoder, decoder.var_decoder, decoder.aw_decoder]
    heads += [] if decoder.vis_decoder is None else [decoder.vis_decoder]
    bias = [torch.cat([head[layer].bias for head in heads]) for layer in (0, 2, 4)]
    first, second = (torch.cat([head[layer].weight for head in heads]) for layer in (0, 2))
    last = torch.block_diag(*(head[4].weight for head in heads))
    return {"heads_in": (first, bias[0]), "heads_hidden": (second, bias[1]), "heads_out": (last, bias[2])}


def _aggregation_layers(aggregation: Aggregation) -> dict[str, Layer]:
    embed, impl = aggregation.prob_embed, aggregation.agg_impl
    last = embed[2]
    # Inputs of `base_fc`: statistics over the views, the pair's own, and the embedded ray features.
    shared, own, embedded = impl.base_fc[0].weight.split([4 * SEEN_CHANNELS, SEEN_CHANNELS, len(last.weight)], dim=1)
    neuray = impl.neuray_fc[0]
    of_pair = torch.cat([own, embedded @ last.weight], dim=1)
    of_neuray = functional.pad(neuray.weight @ last.weight, (SEEN_CHANNELS, 0))
    first_bias = torch.cat([embedded @ last.bias, neuray.bias + neuray.weight @ last.bias])
    linear = {
        "embed": embed[0],
        "direction_in": impl.ray_dir_fc[0],
        "direction_out": impl.ray_dir_fc[2],
        "neuray_out": impl.neuray_fc[2],
        "base_out": impl.base_fc[2],
        "vis_in": impl.vis_fc[0],
        "vis_out": impl.vis_fc[2],
        "vis2_in": impl.vis_fc2[0],
        "vis2_out": impl.vis_fc2[2],
        "geometry_in": impl.geometry_fc[0],
        "geometry_out": impl.geometry_fc[2],
        "rgb_in": impl.rgb_fc[0],
        "rgb_hidden": impl.rgb_fc[2],
        "rgb_out": impl.rgb_fc[4],
    }
    layers: dict[str, Layer] = {name: (layer.weight, layer.bias) for name, layer in _only_linear(linear).items()}
    layers["base_and_neuray"] = torch.cat([of_pair, of_neuray]), first_bias
    layers["base_shared"] = shared, impl.base_fc[0].bias
    return layers


def _only_linear(layers: dict[str, nn.Module]) -> dict[str, nn.Linear]:
    return {name: layer for name, layer in layers.items() if isinstance(layer, nn.Linear)}


def _packed(weight: Float[Tensor, "Cout Cin"], bias: Float[Tensor, " Cout"]) -> np.ndarray:
    """(blocks of outputs, inputs, outputs of a block), then the biases as one more input; zeros fill the last block."""
    whole = functional.pad(torch.cat([weight, bias[:, None]], dim=1), (0, 0, 0, -len(weight) % BLOCK))
    return whole.unflatten(0, (-1, BLOCK)).mT.detach().contiguous().numpy()
