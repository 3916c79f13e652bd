"""The three networks that a scene's volumes are read with, under their released names."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gens.networks.blending import BlendingNetwork
from gens.networks.sdf_net import SdfNetwork


class VarianceNetwork(nn.Module):
    """How sharply the rendered opacity follows the surface: one number (spec 4.7)."""

    def __init__(self, init_val: float = 0.3):
        super().__init__()
        self.variance = nn.Parameter(torch.tensor(float(init_val)))

    def forward(self) -> Float[Tensor, ""]:
        """Inverse standard deviation of the logistic density, in 1 / units of the cube."""
        return torch.exp(self.variance * 10.0).clamp(1e-6, 1e6)


class ImplicitSurface(nn.Module):
    """Distance, colour and sharpness; arguments are the config's blocks of the same names."""

    def __init__(
        self,
        sdf_network: Mapping[str, Any] | None = None,
        color_network: Mapping[str, Any] | None = None,
        variance_network: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        color = dict(color_network or {})
        self.sdf_network = SdfNetwork(**(sdf_network or {}))
        self.color_network = BlendingNetwork(color.pop("d_feature", 20), **color)
        self.deviation_network = VarianceNetwork(**(variance_network or {}))
