"""The public op: which back-end encodes, and how gradients travel."""

import importlib
from types import ModuleType
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from common.block_gradient import BlockGradient
from common.ops._backends import Backend, choose
from common.ops.hash_grid.layout import HashGridLayout
from common.ops.hash_grid.reference import hash_encode_torch

Interpolation = Literal["smoothstep", "linear"]


def hash_encode(
    x: Float[Tensor, "N D"],
    parameters: Float[Tensor, " P"],
    layout: HashGridLayout,
    interpolation: Interpolation = "smoothstep",
    backend: Backend = "auto",
) -> Float[Tensor, "N C"]:
    """Features of points, C = levels x features: levels ascending, the features of a level together.

    Differentiable in `x` and `parameters`, any number of times: the kernels have first derivatives, and a derivative
    that is to be differentiated again (`create_graph`) comes from the reference. tinycudann runs where `x` needs no
    gradient, numba and Triton on points with three coordinates.

    Where an optimiser attached a `common.block_gradient.BlockGradient` to `parameters`, numba adds the gradient there.

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
    chosen = choose("hash_encode", backend, (x, parameters), _available(x, layout))
    gradient = BlockGradient.of(parameters)
    if chosen == "numba":
        kernels = importlib.import_module("common.ops.hash_grid.numba_kernels")
        x = x.contiguous()
        if gradient is not None and not gradient.is_current:
            with gradient.lock:
                kernels.mark(x.detach(), layout, gradient.is_read)
                gradient.before_reading()
        return _Encode.apply(x, parameters, layout, interpolation, kernels, gradient)
    if gradient is not None:
        gradient.before_reading(everything=True)
    if chosen == "tinycudann":
        library = importlib.import_module("common.ops.hash_grid.tinycudann_kernels")
        return library.encode(x, parameters, layout, interpolation)
    if chosen == "triton":
        kernels = importlib.import_module("common.ops.hash_grid.triton_kernels")
        return _Encode.apply(x.contiguous(), parameters, layout, interpolation, kernels, None)
    return hash_encode_torch(x, parameters, layout, interpolation)


def _available(x: Tensor, layout: HashGridLayout) -> tuple[str, ...]:
    compiled = ("numba", "triton") if layout.n_dims == 3 and x.dtype == torch.float32 else ()
    tinycudann = () if x.requires_grad and torch.is_grad_enabled() else ("tinycudann",)
    return compiled + tinycudann


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx,
        x: Tensor,
        parameters: Tensor,
        layout: HashGridLayout,
        interpolation: str,
        kernels: ModuleType,
        gradient: BlockGradient | None,
    ) -> Tensor:
        parameters = parameters.contiguous()
        ctx.save_for_backward(x, parameters)
        ctx.layout, ctx.interpolation, ctx.kernels, ctx.gradient = layout, interpolation, kernels, gradient
        return kernels.forward(x, parameters, layout, interpolation == "smoothstep")

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, parameters = ctx.saved_tensors
        needs_x, needs_parameters = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled():  # to be differentiated again
            return *_gradients_torch(x, parameters, grad, ctx), None, None, None, None
        smooth, grad = ctx.interpolation == "smoothstep", grad.contiguous()
        grad_x = ctx.kernels.backward_points(x, grad, parameters, ctx.layout, smooth) if needs_x else None
        gradient, grad_parameters = ctx.gradient, None
        if needs_parameters:
            if gradient is None:
                grad_parameters = torch.zeros_like(parameters)
                ctx.kernels.backward_table(x, grad, ctx.layout, smooth, grad_parameters)
            else:
                with gradient.lock:
                    ctx.kernels.backward_table(x, grad, ctx.layout, smooth, gradient.values, gradient.is_touched)
                    gradient.is_empty = False
        return grad_x, grad_parameters, None, None, None, None


def _gradients_torch(x: Tensor, parameters: Tensor, grad: Tensor, ctx) -> list[Tensor | None]:
    """Gradients that are functions of everything, for further derivatives."""
    needed = [tensor for tensor, needs in zip((x, parameters), ctx.needs_input_grad, strict=False) if needs]
    features = hash_encode_torch(x, parameters, ctx.layout, ctx.interpolation)
    gradients = iter(torch.autograd.grad(features, needed, grad, create_graph=True))
    return [next(gradients) if needs else None for needs in ctx.needs_input_grad[:2]]


def _check(x: Tensor, parameters: Tensor, layout: HashGridLayout, interpolation: str) -> None:
    if interpolation not in get_args(Interpolation):
        names = get_args(Interpolation)
        raise ValueError(f"interpolation of a hash grid must be one of {names}, got {interpolation!r}")
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
