"""Convolution, normalisation and activation in one block, 2-D and 3-D.

The children are called `conv` and `bn`, as in the released checkpoints of the cascade methods (GeFu among them).
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class ConvBnRelu2d(nn.Module):
    """Convolution without bias, batch normalisation, ReLU; `padding` keeps the size at stride 1."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1):
        super().__init__()
        padding = kernel_size // 2
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Float[Tensor, "B Cin H W"]) -> Float[Tensor, "B Cout h w"]:
        return functional.relu(self.bn(self.conv(x)), inplace=True)


class ConvBnRelu3d(nn.Module):
    """The 3-D block: kernel 3, padding 1; `stride` is one number or one per axis (depth, rows, columns)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int | tuple[int, int, int] = 1):
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn = nn.BatchNorm3d(out_channels)

    def forward(self, x: Float[Tensor, "B Cin D H W"]) -> Float[Tensor, "B Cout d h w"]:
        return functional.relu(self.bn(self.conv(x)), inplace=True)


def deconv_bn_3d(in_channels: int, out_channels: int, stride: tuple[int, int, int] = (2, 2, 2)) -> nn.Sequential:
    """Transposed 3-D convolution that undoes `stride`, then batch normalisation; no activation."""
    output_padding = tuple(step - 1 for step in stride)
    deconv = nn.ConvTranspose3d(
        in_channels, out_channels, 3, stride=stride, padding=1, output_padding=output_padding, bias=False
    )
    return nn.Sequential(deconv, nn.BatchNorm3d(out_channels))
