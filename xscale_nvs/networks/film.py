"""Sinusoidal layers whose frequencies and phases come from a mapping network (FiLM-SIREN, pi-GAN)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

LEAK = 0.2


class FilmLayer(nn.Module):
    """sin(q * (W x + b) + r)."""

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)

    def forward(
        self, x: Float[Tensor, "*#rays I"], frequencies: Float[Tensor, "*#rays O"], phases: Float[Tensor, "*#rays O"]
    ) -> Float[Tensor, "*rays O"]:
        return torch.sin(torch.addcmul(phases, frequencies, self.layer(x)))


class MappingNetwork(nn.Module):
    """From a code to frequencies and phases: W2 leaky(W0 z + b0) + b2, first half and second half."""

    def __init__(self, in_features: int, hidden: int, out_features: int):
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(in_features, hidden), nn.LeakyReLU(LEAK, inplace=True), nn.Linear(hidden, out_features)
        )
        for layer in (self.network[0], self.network[2]):
            nn.init.kaiming_normal_(layer.weight, a=LEAK, mode="fan_in", nonlinearity="leaky_relu")
        with torch.no_grad():
            self.network[2].weight *= 0.25

    def forward(self, code: Float[Tensor, "*rays I"]) -> tuple[Float[Tensor, "*rays O"], Float[Tensor, "*rays O"]]:
        frequencies, phases = self.network(code).chunk(2, dim=-1)
        return frequencies, phases


def scale_frequencies(raw: Float[Tensor, "*rays O"]) -> Float[Tensor, "*rays O"]:
    """Frequencies around 30, as sinusoidal networks need them: 15 f + 30."""
    return raw * 15 + 30
