"""The public op: which back-end encodes."""

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from common.ops._backends import choose
from common.ops.hash_grid.layout import HashGridLayout
from common.ops.hash_grid.reference import hash_encode_torch

Interpolation = Literal["smoothstep", "linear"]


def hash_encode(
    x: Float[Tensor, "N D"],
    parameters: Float[Tensor, " P"],
    layout: HashGridLayout,
    interpolation: Interpolation = "smoothstep",
    backend: str = "auto",
) -> Float[Tensor, "N C"]:
    """Features of points, C = levels x features: levels ascending, the features of a level together.

    Args:
        x: Points, the unit cube being the grid; outside, coordinates wrap (see the module).
        parameters: All entries of all levels, one vector.
        layout: How `parameters` is divided.
        interpolation: Between the corners of a cell.
        backend: See `common.ops`.

    Raises:
        ValueError: Sizes or types that do not fit together.
    """
    _check(x, parameters, layout, interpolation)
    choose("hash_encode", backend, (x, parameters), ())
    return hash_encode_torch(x, parameters, layout, interpolation)


def _check(x: Tensor, parameters: Tensor, layout: HashGridLayout, interpolation: str) -> None:
    if interpolation not in get_args(Interpolation):
        raise ValueError(
            f"interpolation of a hash grid must be one of {get_args(Interpolation)}, got {interpolation!r}"
        )
    if x.ndim != 2 or x.shape[-1] != layout.n_dims:
        raise ValueError(f"this hash grid reads points of shape [N, {layout.n_dims}], got {list(x.shape)}")
    if parameters.shape != (layout.num_parameters,):
        raise ValueError(
            f"{layout} has a vector of {layout.num_parameters} parameters, got the shape {list(parameters.shape)};"
            " a checkpoint with another vector was made with other sizes"
        )
    if x.dtype != parameters.dtype or x.device != parameters.device:
        raise ValueError(
            f"points and parameters of a hash grid must agree, got {x.dtype} on {x.device}"
            f" and {parameters.dtype} on {parameters.device}"
        )
