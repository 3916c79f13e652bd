"""The hash encoding by tiny-cuda-nn's PyTorch extension, on a GPU.

Written against its documented interface, `tcnn.Encoding(n_input_dims, encoding_config, dtype)` with the parameter
`params`; never run with the real library, because no machine of this project's tests has it.

The library keeps an encoding's parameters in the encoding. Here they belong to the caller, so that the same vector can
be trained, saved and read by any back-end: an encoding is made once per layout and device, and called with the
caller's vector in place of its own.
"""

import functools
import importlib

import torch
from torch import Tensor, nn

from common.ops.hash_grid.layout import HashGridLayout


def encode(x: Tensor, parameters: Tensor, layout: HashGridLayout, interpolation: str) -> Tensor:
    """Features `N L*F`; differentiable in the parameters, by the library."""
    encoding = _encoding(layout, interpolation, x.device)
    return torch.func.functional_call(encoding, {"params": parameters}, (x,))


def encoding_config(layout: HashGridLayout, interpolation: str) -> dict[str, str | int | float]:
    """The library's name for everything in the layout."""
    return {
        "otype": "HashGrid",
        "n_levels": layout.n_levels,
        "n_features_per_level": layout.features_per_level,
        "log2_hashmap_size": layout.log2_hashmap_size,
        "base_resolution": layout.base_resolution,
        "per_level_scale": layout.per_level_scale,
        "interpolation": interpolation.capitalize(),
    }


@functools.cache
def _encoding(layout: HashGridLayout, interpolation: str, device: torch.device) -> nn.Module:
    library = importlib.import_module("tinycudann")
    with torch.cuda.device(device):
        encoding = library.Encoding(layout.n_dims, encoding_config(layout, interpolation), dtype=torch.float32)
    if encoding.params.numel() != layout.num_parameters:
        raise RuntimeError(
            f"tinycudann counts {encoding.params.numel()} parameters in {layout}, expected {layout.num_parameters};"
            " this version divides its levels differently, use backend='torch'"
        )
    encoding.params = nn.Parameter(torch.empty(0, device=device), requires_grad=False)  # its memory: the table's again
    return encoding
