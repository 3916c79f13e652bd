"""Sparse convolution of stride 1 by torchsparse (https://github.com/mit-han-lab/torchsparse), from version 2.0.

Its kernels are `27 C O`. Which of the 27 is which neighbour, and whether the batch index is the first or the last
coordinate, differs between versions; both are found out once, by a convolution whose result is known. Precision is that
of torchsparse's own settings (TF32 where they allow it).
"""

import functools

import torch
from jaxtyping import Float
from torch import Tensor, nn

from common.ops.sparse_conv.voxels import Voxels

_PROBE_CHANNELS = 8


def convolve(values: Float[Tensor, "N C"], voxels: Voxels, kernel: Float[Tensor, "27 C O"]) -> Float[Tensor, "N O"]:
    """Results at the same voxels; the kernel's offsets have the last axis fastest."""
    is_batch_first, places = _layout(values.device)
    coordinates = torch.stack(voxels.coordinates(), dim=1)
    return _run(values, _with_batch(coordinates, is_batch_first), kernel[torch.tensor(places).argsort()])


def _run(values: Tensor, coordinates: Tensor, kernel: Tensor) -> Tensor:
    from torchsparse import SparseTensor

    layer = _layer(kernel.shape[1], kernel.shape[2]).train(torch.is_grad_enabled())
    tensor = SparseTensor(feats=values.contiguous(), coords=coordinates.int().contiguous())
    return torch.func.functional_call(layer, {"kernel": kernel.contiguous()}, (tensor,)).feats


@functools.cache
def _layer(in_channels: int, out_channels: int) -> nn.Module:
    from torchsparse.nn import Conv3d

    with torch.device("meta"):  # its own kernel is never used: no memory, no random numbers
        return Conv3d(in_channels, out_channels, kernel_size=3, bias=False)


def _with_batch(coordinates: Tensor, is_first: bool) -> Tensor:
    batch = coordinates.new_zeros(len(coordinates), 1)
    return torch.cat([batch, coordinates] if is_first else [coordinates, batch], dim=1)


@functools.cache
def _layout(device: torch.device) -> tuple[bool, tuple[int, ...]]:
    """Whether the batch index comes first, and for every offset its place among torchsparse's 27.

    One voxel in the middle of 3 x 3 x 3 is 1, and the weight in place i is i + 1: the voxel before the middle by an
    offset then shows that offset's place.
    """
    coordinates = torch.cartesian_prod(*[torch.arange(1, 4, device=device)] * 3)
    values = torch.zeros(27, _PROBE_CHANNELS, device=device)
    values[13, 0] = 1
    kernel = torch.zeros(27, _PROBE_CHANNELS, _PROBE_CHANNELS, device=device)
    kernel[:, 0, 0] = torch.arange(1, 28, device=device)
    for is_batch_first in (True, False):
        with torch.no_grad():
            shown = _run(values, _with_batch(coordinates, is_batch_first), kernel)[:, 0]
        places = tuple(int(place) for place in shown.flip(0).round().long() - 1)
        if sorted(places) == list(range(27)):
            return is_batch_first, places
    raise RuntimeError(
        "this version of torchsparse does not compute a 3 x 3 x 3 convolution as expected; install version 2.1, or set "
        "the environment variable POLYVIEW_BACKEND=torch to do without"
    )
