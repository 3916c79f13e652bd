"""The 3D U-Net that regularises all volumes at once (spec 4.3).

    x0 = C(V0)      x_i = C(C([x_{i-1}, V_{i-1}]), first with stride 2)      i = 1 ... 5
    y5 = x5         y_i = T(y_{i+1}) + x_i                                   i = 4 ... 0
    out_i = 3 x 3 x 3 convolution of y_i, with bias

C is a convolution, T a transposed one that doubles the size; both are followed by instance normalisation and ReLU.
Channels lie innermost in memory: PyTorch's convolutions then need no copy of their input, and normalisation without
gradients works in place, part by part in the processor's cache.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from common.models.conv3d import conv3d
from common.parallel import run_in_threads, split_evenly

Volume = Float[Tensor, "1 _ _ _ _"]

_EPSILON = 1e-5
# Numbers that two steps of the normalisation can share in a core's cache.
_CHUNK = 2**18
# So many parts are done before threads have started.
_FEW = 8
# Below so many numbers but for the last axis PyTorch takes a slow path for 3-D convolutions on the CPU.
_SMALL = 20480


class RegularizationNetwork(nn.Module):
    """Volumes fine to coarse, each half the size of the one before; the finest has at least 64 voxels a side.

    Args:
        in_channels: Of the volumes, fine to coarse.
        out_channels: Of the results.
        base: Width of the finest level; every coarser one is twice as wide.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (8, 8, 8, 8, 8),
        out_channels: Sequence[int] = (4, 4, 4, 4, 4),
        base: int = 8,
    ):
        super().__init__()
        widths = [base, *[base * 2**level for level in range(len(in_channels))]]
        self.conv0 = NormedConvolution(in_channels[0], base)
        self.encoder_layers = nn.ModuleList()
        self.decoder_layers = nn.ModuleList()
        self.out_layers = nn.ModuleList()
        for level, channels in enumerate(in_channels):
            entering = widths[level] + (channels if level else 0)
            below, width = widths[level + 1], widths[level]
            self.encoder_layers.append(
                nn.Sequential(NormedConvolution(entering, below, stride=2), NormedConvolution(below, below))
            )
            self.decoder_layers.append(NormedTransposed(below, width))
            self.out_layers.append(nn.Conv3d(width, out_channels[level], 3, padding=1))

    def forward(self, volumes: Iterable[Volume]) -> list[Volume]:
        """Regularised volumes; those that are given are taken one after the other and not kept."""
        volumes = iter(volumes)
        skips = [self.conv0(self._checked(next(volumes)))]
        for level, layer in enumerate(self.encoder_layers):
            x = skips[-1] if level == 0 else torch.cat([skips[-1], next(volumes)], dim=1)
            skips.append(layer(x))
        x = skips.pop()
        results = []
        for layer, out in zip(reversed(self.decoder_layers), reversed(self.out_layers), strict=True):
            x = _add(layer(x), skips.pop())
            results.append(convolve(x, out.weight, out.bias))
        return results[::-1]

    def _checked(self, finest: Volume) -> Volume:
        least = 2 ** (len(self.encoder_layers) + 1)
        if min(finest.shape[2:]) < least:
            raise ValueError(
                f"the finest volume must have at least {least} voxels a side (instance normalisation at the coarsest "
                f"level needs more than one), got {tuple(finest.shape[2:])}"
            )
        return finest


class NormedConvolution(nn.Module):
    """Convolution, instance normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)

    def forward(self, x: Volume) -> Volume:
        return normalise(convolve(x, self.conv.weight, stride=self.conv.stride[0]))


class NormedTransposed(nn.Module):
    """Transposed convolution to twice the size, instance normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.ConvTranspose3d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1, bias=False)

    def forward(self, x: Volume) -> Volume:
        x = x.contiguous(memory_format=torch.channels_last_3d)
        y = functional.conv_transpose3d(x, self.conv.weight, stride=2, padding=1, output_padding=1)
        return normalise(y)


def convolve(x: Volume, weight: Float[Tensor, "O C 3 3 3"], bias: Tensor | None = None, stride: int = 1) -> Volume:
    """Convolution with kernel 3 and padding 1."""
    x = x.contiguous(memory_format=torch.channels_last_3d)
    if x.device.type == "cpu" and x.shape[:-1].numel() <= _SMALL:
        return conv3d(x, weight, bias, (stride,) * 3)
    return functional.conv3d(x, weight, bias, stride=stride, padding=1)


def normalise(x: Volume) -> Volume:
    """Instance normalisation and ReLU; `x` itself is overwritten where nobody asks for gradients."""
    if x.device.type != "cpu" or (torch.is_grad_enabled() and x.requires_grad):
        return functional.instance_norm(x, eps=_EPSILON).relu()
    x = x.contiguous(memory_format=torch.channels_last_3d)
    voxels = x.permute(0, 2, 3, 4, 1).view(-1, x.shape[1])
    mean, variance = _moments(voxels)
    gain = (variance + _EPSILON).rsqrt().to(x.dtype)
    shift = (-mean * gain).to(x.dtype)
    _for_parts(voxels, lambda part: torch.addcmul(shift, part, gain, out=part).clamp_(min=0))
    return x


def _moments(voxels: Float[Tensor, "N C"]) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"]]:
    """Mean and variance of every channel in float64, from those of parts that fit into the cache."""

    def of_part(part: Tensor) -> tuple[int, Tensor, Tensor]:
        mean = part.mean(dim=0)
        return len(part), mean.double(), (part - mean).square_().sum(dim=0).double()

    parts = _for_parts(voxels, of_part)
    mean = sum(number * own for number, own, _ in parts) / len(voxels)
    squares = sum(own_squares + number * (own - mean).square() for number, own, own_squares in parts)
    return mean, squares / len(voxels)


def _for_parts(voxels: Float[Tensor, "N C"], function: Callable) -> list:
    """Results of a function of every part, computed on all cores where there are many."""
    parts = split_evenly(len(voxels), -(-voxels.numel() // _CHUNK))
    if len(parts) <= _FEW:
        return [function(voxels[part]) for part in parts]
    return run_in_threads([lambda part=part: function(voxels[part]) for part in parts])


def _add(x: Volume, skip: Volume) -> Volume:
    return x + skip if torch.is_grad_enabled() and x.requires_grad else x.add_(skip)
