"""Convolution, normalisation and activation in one block, 2-D and 3-D.

The children are called `conv` and `bn`, as in the released checkpoints of the cascade methods (GeFu among them).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from common.models.conv3d import conv3d, conv_transpose3d


class ConvBnRelu2d(nn.Module):
    """Convolution without bias, batch normalisation, ReLU; the size is kept at stride 1.

    `negative_slope` is what the ReLU leaves of negative numbers.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, negative_slope: float = 0.0
    ):
        super().__init__()
        self.negative_slope = negative_slope
        padding = kernel_size // 2
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Float[Tensor, "B Cin H W"]) -> Float[Tensor, "B Cout h w"]:
        if _is_frozen(self.bn):
            weight, bias = _fold(self.conv.weight, self.bn)
            return _relu_(functional.conv2d(x, weight, bias, self.conv.stride, self.conv.padding), self.negative_slope)
        return _relu_(self.bn(self.conv(x)), self.negative_slope)


class ConvBnRelu3d(nn.Module):
    """The 3-D block: kernel 3, padding 1; `stride` is one number or one per axis (depth, rows, columns)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int | tuple[int, int, int] = 1,
        negative_slope: float = 0.0,
    ):
        super().__init__()
        self.negative_slope = negative_slope
        self.conv = nn.Conv3d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn = nn.BatchNorm3d(out_channels)

    def forward(self, x: Float[Tensor, "B Cin D H W"]) -> Float[Tensor, "B Cout d h w"]:
        if _is_frozen(self.bn):
            return _relu_(conv3d(x, *_fold(self.conv.weight, self.bn), stride=self.conv.stride), self.negative_slope)
        x = conv3d(x, self.conv.weight, stride=self.conv.stride)
        return _relu_(_normalise_3d(x, self.bn), self.negative_slope)


class DeconvBn3d(nn.Sequential):
    """Transposed 3-D convolution that undoes `stride`, then batch normalisation; no activation."""

    def __init__(self, in_channels: int, out_channels: int, stride: tuple[int, int, int] = (2, 2, 2)):
        deconv = nn.ConvTranspose3d(
            in_channels,
            out_channels,
            3,
            stride=stride,
            padding=1,
            output_padding=tuple(step - 1 for step in stride),
            bias=False,
        )
        super().__init__(deconv, nn.BatchNorm3d(out_channels))

    def forward(self, x: Float[Tensor, "B Cin d h w"]) -> Float[Tensor, "B Cout D H W"]:
        if _is_frozen(self[1]):
            weight, bias = _fold(self[0].weight, self[1], channel_axis=1)
            return conv_transpose3d(x, weight, bias, stride=self[0].stride)
        return _normalise_3d(conv_transpose3d(x, self[0].weight, stride=self[0].stride), self[1])


def _relu_(x: Tensor, negative_slope: float) -> Tensor:
    """In place; plain ReLU is the faster of the two."""
    return functional.leaky_relu_(x, negative_slope) if negative_slope else x.relu_()


def _is_frozen(norm: nn.Module) -> bool:
    """The normalisation is a constant scale and offset, and nobody asks for gradients."""
    return not norm.training and not torch.is_grad_enabled()


def _fold(weight: Tensor, norm: nn.Module, channel_axis: int = 0) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution that includes the normalisation of its result."""
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    shape = [-1 if axis == channel_axis else 1 for axis in range(weight.dim())]
    return weight * scale.reshape(shape), norm.bias - norm.running_mean * scale


def _normalise_3d(x: Float[Tensor, "B C D H W"], norm: nn.Module) -> Float[Tensor, "B C D H W"]:
    """Batch normalisation in the layout that the convolutions return; statistics do not depend on the order of axes."""
    if x.permute(0, 3, 4, 2, 1).is_contiguous():
        return norm(x.permute(0, 1, 3, 4, 2)).permute(0, 1, 4, 2, 3)
    return norm(x)
