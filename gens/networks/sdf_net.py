"""The signed distance at points of the scene's cube, from their position and their features (spec 4.5).

    p = PE_4(x)        q = PE_2(features looked up at x)
    PE_k(x) = [x, sin x, cos x, sin 2x, cos 2x, ..., sin 2^(k-1) x, cos 2^(k-1) x]

    h = softplus(lin0(p)); then softplus(lin_i([h, q])), where a skip layer takes [h, p] / sqrt(2) for h;
    the last layer has no activation, its first number is the distance (negative inside)

Weights are kept as direction and length per row (weight_v, weight_g), as the released checkpoint has them.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from gens.networks.volumes import Volumes, look_up

BETA = 100.0


class SdfDerivatives(NamedTuple):
    """Signed distance, its gradient, and the gradient of the sum of the gradient's components (Hessian times ones)."""

    sdf: Float[Tensor, "P 1"]
    gradient: Float[Tensor, "P 3"]
    smooth: Float[Tensor, "P 3"]


class WeightNormLinear(nn.Module):
    """A linear layer whose weight is, row by row, weight_g * weight_v / |weight_v|."""

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        plain = nn.Linear(in_features, out_features)
        self.bias = plain.bias
        self.weight_g = nn.Parameter(torch.empty(out_features, 1))
        self.weight_v = nn.Parameter(torch.empty(out_features, in_features))
        self.set_weight(plain.weight)

    @property
    def weight(self) -> Float[Tensor, "Cout Cin"]:
        """The effective weight."""
        return self.weight_v * (self.weight_g / self.weight_v.norm(dim=1, keepdim=True))

    @torch.no_grad()
    def set_weight(self, weight: Float[Tensor, "Cout Cin"]) -> None:
        """Choose directions and lengths so that this is the effective weight."""
        self.weight_v.copy_(weight)
        self.weight_g.copy_(weight.norm(dim=1, keepdim=True))

    def forward(self, x: Float[Tensor, "P Cin"]) -> Float[Tensor, "P Cout"]:
        return functional.linear(x, self.weight, self.bias)


class SdfNetwork(nn.Module):
    """Arguments are the config's `sdf_network` entries.

    Args:
        d_out: Numbers per point; only the first is used.
        d_in: Coordinates of a point.
        d_hidden: Width.
        n_layers: Hidden layers.
        skip_in: Layers that see the position again.
        multires, feat_multires: Frequencies of the two encodings.
        bias: Radius of the sphere that the geometric initialisation describes.
        scale: Of positions; the distance is divided by it.
        geometric_init: Start as a sphere.
        weight_norm: Must be true: released weights have no other form.
        inside_outside: Start with a sphere seen from inside.
        feat_channels: Features per point.

    Raises:
        ValueError: `weight_norm` is false, or the first or the last layer is a skip layer.
    """

    def __init__(
        self,
        d_out: int = 129,
        d_in: int = 3,
        d_hidden: int = 128,
        n_layers: int = 6,
        skip_in: Sequence[int] = (3,),
        multires: int = 4,
        bias: float = 0.5,
        scale: float = 1.0,
        geometric_init: bool = True,
        weight_norm: bool = True,
        inside_outside: bool = False,
        feat_channels: int = 20,
        feat_multires: int = 2,
    ):
        super().__init__()
        if not weight_norm:
            raise ValueError("sdf_network.weight_norm must be True: GenS checkpoints hold normalised weights only")
        if not all(0 < layer < n_layers for layer in skip_in):
            raise ValueError(f"sdf_network.skip_in must name layers from 1 to {n_layers - 1}, got {list(skip_in)}")
        self.scale = scale
        self.multires, self.feat_multires = multires, feat_multires
        self.skip_in = tuple(skip_in)
        self.num_layers = n_layers + 1
        self.position_channels = d_in * (1 + 2 * multires)
        self.feature_channels = feat_channels * (1 + 2 * feat_multires)
        for layer in range(self.num_layers):
            entering = self.position_channels if layer == 0 else d_hidden + self.feature_channels
            leaving = d_hidden - self.position_channels if layer + 1 in self.skip_in else d_hidden
            setattr(self, f"lin{layer}", WeightNormLinear(entering, d_out if layer == n_layers else leaving))
        if geometric_init:
            self._become_a_sphere(d_in, bias, inside_outside)

    def forward(self, points: Float[Tensor, "P 3"], volumes: Volumes) -> Float[Tensor, "P d_out"]:
        """Signed distance, then what else the last layer says."""
        p = encode(points * self.scale, self.multires)
        q = encode(look_up(volumes, points), self.feat_multires)
        x = p
        for layer in range(self.num_layers):
            if layer in self.skip_in:
                x = torch.cat([x, p], dim=-1) / math.sqrt(2)
            if layer > 0:
                x = torch.cat([x, q], dim=-1)
            x = getattr(self, f"lin{layer}")(x)
            if layer < self.num_layers - 1:
                x = functional.softplus(x, BETA)
        return torch.cat([x[:, :1] / self.scale, x[:, 1:]], dim=-1)

    def sdf(self, points: Float[Tensor, "P 3"], volumes: Volumes) -> Float[Tensor, "P 1"]:
        """Signed distance alone."""
        return self(points, volumes)[:, :1]

    @torch.enable_grad()
    def with_gradient(
        self, points: Float[Tensor, "P 3"], volumes: Volumes
    ) -> tuple[Float[Tensor, "P 1"], Float[Tensor, "P 3"]]:
        """Signed distance and its gradient by position; both can be differentiated further."""
        if not points.requires_grad:
            points = points.detach().requires_grad_()
        sdf = self.sdf(points, volumes)
        return sdf, torch.autograd.grad(sdf.sum(), points, create_graph=True)[0]

    @torch.enable_grad()
    def derivatives(self, points: Float[Tensor, "P 3"], volumes: Volumes) -> SdfDerivatives:
        """Signed distance with first and second derivatives by position; all can be differentiated further."""
        if not points.requires_grad:
            points = points.detach().requires_grad_()
        sdf, gradient = self.with_gradient(points, volumes)
        return SdfDerivatives(sdf, gradient, torch.autograd.grad(gradient.sum(), points, create_graph=True)[0])

    @torch.no_grad()
    def _become_a_sphere(self, d_in: int, radius: float, inside_outside: bool) -> None:
        """Initial weights whose distance is close to |x| - radius and independent of the features."""
        for layer in range(self.num_layers):
            linear = getattr(self, f"lin{layer}")
            out, entering = linear.weight_v.shape
            weight = torch.randn(out, entering) * math.sqrt(2 / out)
            linear.bias.zero_()
            if layer == 0:
                weight[:, d_in:] = 0
            elif layer < self.num_layers - 1:
                unused = self.feature_channels + (self.position_channels - d_in if layer in self.skip_in else 0)
                weight[:, -unused:] = 0
            else:
                sign = -1 if inside_outside else 1
                weight = sign * math.sqrt(math.pi / entering) + 1e-4 * torch.randn(out, entering)
                weight[:, -self.feature_channels :] = 0
                linear.bias.fill_(-sign * radius)
                linear.bias[-self.feature_channels :] = 0
            linear.set_weight(weight)


def encode(x: Float[Tensor, "P C"], frequencies: int) -> Float[Tensor, "P E"]:
    """PE of the module's text."""
    waves = [x]
    for octave in range(frequencies):
        waves += [torch.sin(x * 2**octave), torch.cos(x * 2**octave)]
    return torch.cat(waves, dim=-1)
