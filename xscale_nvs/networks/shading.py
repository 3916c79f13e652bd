"""The shading network: surface feature, view direction, light and exposure code to linear colour.

    (a, p) = mapping(light)         x = FiLM1(FiLM0(feature, a0, p0), a1, p1)
    (t, u) = exposure network       x = exp(u) x + t
    (a', p') = mapping_dir(x)       y = FiLM1'(FiLM0'(view, a0', p0'), a1', p1')
    linear = sigmoid(W y + b)

Codes come once per view (or once for all) and are broadcast over rays only where they meet them.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xscale_nvs.networks.film import FilmLayer, MappingNetwork, scale_frequencies


class ShadingNetwork(nn.Module):
    """Attributes that own parameters have the released names.

    Args:
        feature_length: Z, of the surface feature.
        hidden: Width.
        light_length: Of the light code.
        exposure_length: Of the exposure code; None for a network without one.
    """

    def __init__(self, feature_length: int, hidden: int, light_length: int, exposure_length: int | None):
        super().__init__()
        self.network = nn.ModuleList([FilmLayer(feature_length, hidden), FilmLayer(hidden, hidden)])
        self.mapping_network = MappingNetwork(light_length, hidden, 4 * hidden)
        self.network_dir = nn.ModuleList([FilmLayer(3, hidden), FilmLayer(hidden, hidden)])
        self.mapping_network_dir = MappingNetwork(hidden, hidden, 4 * hidden)
        self.mapping_network_x = None
        if exposure_length is not None:
            self.mapping_network_x = nn.Sequential(
                nn.Linear(exposure_length, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, 2 * hidden)
            )
        self.layer_sl = nn.Sequential(nn.Linear(hidden, 3), nn.Sigmoid())
        self._initialize(feature_length, hidden)

    def forward(
        self,
        feature: Float[Tensor, "V R Z"],
        view_dir: Float[Tensor, "V R 3"],
        light: Float[Tensor, "#V #R light"],
        exposure: Float[Tensor, "#V #R exposure"] | None = None,
    ) -> Float[Tensor, "V R 3"]:
        return self.layer_sl(self.directional(self.expose(self.spatial(feature, light), exposure), view_dir))

    def spatial(
        self, feature: Float[Tensor, "V R Z"], light: Float[Tensor, "#V #R light"]
    ) -> Float[Tensor, "V R hidden"]:
        """The feature under a light."""
        return _film(self.network, feature, *self.mapping_network(light))

    def expose(
        self, spatial: Float[Tensor, "V R hidden"], exposure: Float[Tensor, "#V #R exposure"] | None
    ) -> Float[Tensor, "V R hidden"]:
        """The lit feature as a photograph's exposure shows it; unchanged without a code."""
        if self.mapping_network_x is None or exposure is None:
            return spatial
        shift, log_scale = self.mapping_network_x(exposure).chunk(2, dim=-1)
        return torch.addcmul(shift, log_scale.exp(), spatial)

    def directional(
        self, exposed: Float[Tensor, "V R hidden"], view_dir: Float[Tensor, "V R 3"]
    ) -> Float[Tensor, "V R hidden"]:
        """A sinusoidal network over the view direction, modulated by the exposed feature."""
        return _film(self.network_dir, view_dir, *self.mapping_network_dir(exposed))

    def _initialize(self, feature_length: int, hidden: int) -> None:
        nn.init.uniform_(self.network[0].layer.weight, -1 / feature_length, 1 / feature_length)
        nn.init.uniform_(self.network_dir[0].layer.weight, -1 / 3, 1 / 3)
        bound = math.sqrt(6 / hidden) / 25
        for layer in (self.network[1].layer, self.network_dir[1].layer, self.layer_sl[0]):
            nn.init.uniform_(layer.weight, -bound, bound)


def _film(layers: nn.ModuleList, x: Tensor, raw_frequencies: Tensor, phases: Tensor) -> Tensor:
    """Two sinusoidal layers; the first half of frequencies and phases is the first one's."""
    frequencies = scale_frequencies(raw_frequencies).chunk(2, dim=-1)
    for layer, frequency, phase in zip(layers, frequencies, phases.chunk(2, dim=-1), strict=True):
        x = layer(x, frequency, phase)
    return x


class ShadingMachine(nn.Module):
    """Holds the shading network under its released name, `render_net_c`."""

    def __init__(self, *sizes: int | None):
        super().__init__()
        self.render_net_c = ShadingNetwork(*sizes)
