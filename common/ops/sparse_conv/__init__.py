"""3-D convolutions on the occupied voxels of a grid, with the weights of the dense ones.

Kernels are 3 x 3 x 3 with padding 1. Voxels that are not occupied count as 0 and get no result; where all are occupied,
results are those of PyTorch's `conv3d`, `conv_transpose3d` and `instance_norm`. The caller says which voxels get one.

    convolution    out[c] = b + sum_k W_k in[s c + k]       stride s 1 or 2, offsets k from -1 to 1
    transposed     out[2 c + k] += W_k in[c]

The reference goes through the 27 offsets: it finds pairs of neighbours by bisection in the sorted voxels, gathers their
values, multiplies, and adds to the results. Pairs are found again for gradients, not kept: beside arguments and results
there are only the indices and values of one offset's pairs at a time.
"""

import importlib

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from common.ops._backends import Backend, choose
from common.ops.sparse_conv.voxels import Voxels, neighbours

__all__ = ["Voxels", "sparse_conv3d", "sparse_conv_transpose3d", "sparse_instance_norm"]


def sparse_conv3d(
    values: Float[Tensor, "N C"],
    voxels: Voxels,
    weight: Float[Tensor, "O C 3 3 3"],
    bias: Float[Tensor, " O"] | None = None,
    halved: Voxels | None = None,
    backend: Backend = "auto",
) -> Float[Tensor, "M O"]:
    """Convolution with stride 1 on the same voxels, or with stride 2 to those of a grid of half the size.

    Differentiable once.

    Args:
        values: Of `voxels`.
        voxels: Of the grid that is read.
        weight: As in `torch.nn.Conv3d`.
        bias: As in `torch.nn.Conv3d`.
        halved: With stride 2, where results are wanted.
        backend: See `common.ops`; `torchsparse` is for stride 1, other strides always run the reference.
    """
    _check(values, voxels)
    kernel = weight.permute(2, 3, 4, 1, 0).flatten(0, 2)
    if halved is not None:
        _check_halved(voxels, halved)
        result = _SparseConv.apply(values, kernel, voxels, halved, 2)
    elif choose("sparse_conv3d", backend, (values, weight), ("torchsparse",)) == "torchsparse":
        result = importlib.import_module("common.ops.sparse_conv.torchsparse_kernels").convolve(values, voxels, kernel)
    else:
        result = _SparseConv.apply(values, kernel, voxels, voxels, 1)
    return result if bias is None else result + bias


def sparse_conv_transpose3d(
    values: Float[Tensor, "N C"], voxels: Voxels, weight: Float[Tensor, "C O 3 3 3"], doubled: Voxels
) -> Float[Tensor, "M O"]:
    """Transposed convolution with stride 2 and output padding 1, to voxels of a grid of twice the size.

    Differentiable once. Always the reference.

    Args:
        values: Of `voxels`.
        voxels: Of the grid that is read.
        weight: As in `torch.nn.ConvTranspose3d`.
        doubled: Where results are wanted.
    """
    _check(values, voxels)
    _check_halved(doubled, voxels)
    return _SparseConvTransposed.apply(values, weight.permute(2, 3, 4, 0, 1).flatten(0, 2), doubled, voxels)


def sparse_instance_norm(values: Float[Tensor, "N C"], eps: float = 1e-5) -> Float[Tensor, "N C"]:
    """Every channel with mean 0 and variance 1 over the occupied voxels.

    Raises:
        ValueError: There are fewer than two voxels.
    """
    if len(values) < 2:
        raise ValueError(
            f"instance normalisation needs two occupied voxels or more at every level, got {len(values)}; "
            "do the views overlap inside the box?"
        )
    # With a row for every voxel this is what normalises a batch.
    return functional.batch_norm(values, None, None, training=True, eps=eps)


class _SparseConv(torch.autograd.Function):
    """Values `N C` of fine voxels and kernel `27 C O` to values of coarse voxels."""

    @staticmethod
    def forward(ctx, values: Tensor, kernel: Tensor, fine: Voxels, coarse: Voxels, stride: int) -> Tensor:
        ctx.save_for_backward(values, kernel)
        ctx.voxels = fine, coarse, stride
        result = values.new_zeros(len(coarse), kernel.shape[-1])
        for tap, fine_rows, coarse_rows in neighbours(fine, coarse, stride):
            _add_rows(result, coarse_rows, values[fine_rows], kernel[tap])
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        values, kernel = ctx.saved_tensors
        grad_values, grad_kernel = torch.zeros_like(values), torch.zeros_like(kernel)
        for tap, fine_rows, coarse_rows in neighbours(*ctx.voxels):
            incoming = grad[coarse_rows]
            if ctx.needs_input_grad[0]:
                _add_rows(grad_values, fine_rows, incoming, kernel[tap].T)
            grad_kernel[tap] = values[fine_rows].T @ incoming
        return grad_values, grad_kernel, None, None, None


class _SparseConvTransposed(torch.autograd.Function):
    """Values `N C` of coarse voxels and kernel `27 C O` to values of fine voxels."""

    @staticmethod
    def forward(ctx, values: Tensor, kernel: Tensor, fine: Voxels, coarse: Voxels) -> Tensor:
        ctx.save_for_backward(values, kernel)
        ctx.voxels = fine, coarse, 2
        result = values.new_zeros(len(fine), kernel.shape[-1])
        for tap, fine_rows, coarse_rows in neighbours(fine, coarse, 2):
            _add_rows(result, fine_rows, values[coarse_rows], kernel[tap])
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        values, kernel = ctx.saved_tensors
        grad_values, grad_kernel = torch.zeros_like(values), torch.zeros_like(kernel)
        for tap, fine_rows, coarse_rows in neighbours(*ctx.voxels):
            incoming = grad[fine_rows]
            _add_rows(grad_values, coarse_rows, incoming, kernel[tap].T)
            grad_kernel[tap] = values[coarse_rows].T @ incoming
        return grad_values, grad_kernel, None, None


def _add_rows(total: Tensor, rows: Tensor, values: Tensor, matrix: Tensor) -> None:
    """Add `values @ matrix` to some rows, each of which occurs once."""
    if len(rows) == len(total):
        total.addmm_(values, matrix)  # all rows, in order
    else:
        total[rows] = torch.addmm(total[rows], values, matrix)


def _check(values: Tensor, voxels: Voxels) -> None:
    if len(values) != len(voxels):
        raise ValueError(f"there are {len(voxels)} occupied voxels but values of {len(values)}")


def _check_halved(fine: Voxels, coarse: Voxels) -> None:
    if tuple(-(-side // 2) for side in fine.size) != coarse.size:
        raise ValueError(f"a grid of {coarse.size} voxels is not half of one of {fine.size}")
