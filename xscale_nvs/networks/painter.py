"""The model for pictures: one light and one exposure for all rays, so everything that follows from them is done once.

With fixed codes the first two sinusoidal layers are linear layers with other weights, sin(W' x + b') where W' = q W and
b' = q b + r; the exposure's scale and shift fold into the layer behind them, and 15 f + 30 into the last mapping layer.
The numbers differ from the model's by rounding only.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu_

from common.parallel import run_in_threads
from xscale_nvs.networks.film import LEAK, scale_frequencies
from xscale_nvs.networks.model import XscaleModel
from xscale_nvs.networks.shading import ShadingNetwork
from xscale_nvs.tone import tone

# Rays at once on a CPU core: what lies between two layers stays in its cache.
CPU_CHUNK = 2048


class Painter:
    """Colours of surface points.

    Args:
        model: With its box set. Later changes of the shading network's weights have no effect here.
        light: Code, as `XscaleModel.light_code` gives it for one view.
        exposure: Code, as `XscaleModel.exposure_code` gives it, or None.
        chunk: Rays computed at once on a GPU.
    """

    @torch.no_grad()
    def __init__(
        self,
        model: XscaleModel,
        light: Float[Tensor, "1 1 light"],
        exposure: Float[Tensor, "1 1 exposure"] | None,
        chunk: int,
    ):
        self.model = model
        self.device = model.center.device
        self._chunk = CPU_CHUNK if self.device.type == "cpu" else chunk
        self._shading = _FoldedShading(model.shading_machine.render_net_c, light, exposure)

    @torch.inference_mode()
    def __call__(self, xyz: Float[Tensor, "R M 3"], viewdr: Float[Tensor, "R M 3"]) -> Float[Tensor, "R 3"]:
        """Colours in [-0.001, 1.001] of rays with M sub-samples, in memory that depends on the chunk alone."""
        size = max(1, self._chunk // xyz.shape[1])
        parts = [slice(first, first + size) for first in range(0, len(xyz), size)]
        rgb = torch.empty(len(xyz), 3, device=self.device)

        def paint(part: slice) -> None:
            rgb[part] = self._paint(xyz[part].to(self.device), viewdr[part].to(self.device))

        if self.device.type == "cpu":
            run_in_threads([lambda part=part: paint(part) for part in parts])
        else:
            for part in parts:
                paint(part)
        return rgb

    def _paint(self, xyz: Tensor, viewdr: Tensor) -> Tensor:
        feature = self.model.features(xyz[None])[0]
        return tone(self._shading(feature, self.model.view_direction(viewdr[None])[0]))


class _FoldedShading:
    """`ShadingNetwork` for fixed codes, as matrix products with biases."""

    def __init__(self, network: ShadingNetwork, light: Tensor, exposure: Tensor | None):
        raw, phases = network.mapping_network(light[0, 0])
        frequencies = scale_frequencies(raw).chunk(2)
        film = [
            _scaled(layer.layer, frequency, phase)
            for layer, frequency, phase in zip(network.network, frequencies, phases.chunk(2), strict=True)
        ]
        hidden, output = network.mapping_network_dir.network[0], network.mapping_network_dir.network[2]
        self._spatial = [*film, _after_exposure(hidden, network, exposure)]
        half = output.out_features // 2
        ones, zeros = torch.ones(half), torch.zeros(half)
        gain, offset = torch.cat([15 * ones, ones]), torch.cat([30 * ones, zeros])
        self._modulation = _scaled(output, gain.to(light.device), offset.to(light.device))
        self._directional = [_affine(layer.layer) for layer in network.network_dir]
        self._colour = _affine(network.layer_sl[0])

    def __call__(self, feature: Float[Tensor, "R Z"], view_dir: Float[Tensor, "R 3"]) -> Float[Tensor, "R 3"]:
        (bias0, weight0), (bias1, weight1), (bias2, weight2) = self._spatial
        x = torch.addmm(bias0, feature, weight0).sin_()
        x = torch.addmm(bias1, x, weight1).sin_()
        x = leaky_relu_(torch.addmm(bias2, x, weight2), LEAK)
        bias, weight = self._modulation
        q0, q1, r0, r1 = torch.addmm(bias, x, weight).chunk(4, dim=-1)
        y = view_dir
        for (bias, weight), frequency, phase in zip(self._directional, (q0, q1), (r0, r1), strict=True):
            y = torch.addcmul(phase, frequency, torch.addmm(bias, y, weight)).sin_()
        bias, weight = self._colour
        return torch.addmm(bias, y, weight).sigmoid_()


def _affine(layer: nn.Linear) -> tuple[Tensor, Tensor]:
    """Bias and transposed weight, as `addmm` takes them."""
    return layer.bias.detach().clone(), layer.weight.detach().T.contiguous()


def _scaled(layer: nn.Linear, gain: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """The layer followed by gain * x + offset."""
    bias, weight = _affine(layer)
    return torch.addcmul(offset, gain, bias), weight * gain


def _after_exposure(layer: nn.Linear, network: ShadingNetwork, exposure: Tensor | None) -> tuple[Tensor, Tensor]:
    """The layer preceded by the exposure's exp(u) * x + t."""
    bias, weight = _affine(layer)
    if network.mapping_network_x is None or exposure is None:
        return bias, weight
    shift, log_scale = network.mapping_network_x(exposure[0, 0]).chunk(2)
    return bias + shift @ weight, log_scale.exp()[:, None] * weight
