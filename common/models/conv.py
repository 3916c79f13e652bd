"""Convolution, normalisation and activation in one block, 2-D and 3-D.

The children are called `conv` and `bn`, as in the released checkpoints of the cascade methods (GeFu among them).
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from common.models.conv3d import conv3d, conv_transpose3d


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
        x = conv3d(x, self.conv.weight, stride=self.conv.stride)
        return functional.relu(_normalise_3d(x, self.bn), inplace=True)


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
        return _normalise_3d(conv_transpose3d(x, self[0].weight, stride=self[0].stride), self[1])


def _normalise_3d(x: Float[Tensor, "B C D H W"], norm: nn.Module) -> Float[Tensor, "B C D H W"]:
    """Batch normalisation in the layout that the convolutions return; statistics do not depend on the order of axes."""
    if x.permute(0, 3, 4, 2, 1).is_contiguous():
        return norm(x.permute(0, 1, 3, 4, 2)).permute(0, 1, 4, 2, 3)
    return norm(x)
