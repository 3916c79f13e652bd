"""What NeuRay's image networks are made of (spec 5.1, 5.3).

Convolutions repeat the picture mirrored at its border; instance normalisation has weights but no running statistics, so
it behaves the same in training and evaluation.
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from common.parallel import run_in_threads


def mirrored_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 3,
    stride: int = 1,
    padding: int | None = None,
    bias: bool = False,
) -> nn.Conv2d:
    """A convolution that sees the picture mirrored at its border, by default so far that stride 1 keeps the size."""
    padding = kernel_size // 2 if padding is None else padding
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=bias, padding_mode="reflect")


def instance_norm(channels: int) -> nn.InstanceNorm2d:
    """Every channel of every picture with mean 0 and deviation 1, then scaled and shifted."""
    return nn.InstanceNorm2d(channels, eps=1e-5, affine=True)


def view_by_view(network: Callable[..., Tensor], *maps: Float[Tensor, "V ..."]) -> Float[Tensor, "V ..."]:
    """What the network makes of the views' maps: no view influences another.

    On the CPU and without gradients every view is a task for one thread, which is faster than sharing each operation
    among threads, and the memory is that of a few views.
    """
    if torch.is_grad_enabled() or maps[0].device.type != "cpu":
        return network(*maps)
    tasks = [partial(network, *(each[view : view + 1] for each in maps)) for view in range(len(maps[0]))]
    return torch.cat(run_in_threads(tasks))


class BasicBlock(nn.Module):
    """Two convolutions around a shortcut, which is itself convolved where the size or the channels change."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.conv1 = mirrored_conv(in_channels, out_channels, stride=stride)
        self.bn1 = instance_norm(out_channels)
        self.conv2 = mirrored_conv(out_channels, out_channels)
        self.bn2 = instance_norm(out_channels)
        self.downsample = None
        if stride > 1 or in_channels != out_channels:
            shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, instance_norm(out_channels))

    def forward(self, x: Float[Tensor, "V Cin H W"]) -> Float[Tensor, "V Cout h w"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn1(self.conv1(x)).relu_()
        return self.bn2(self.conv2(y)).add_(shortcut).relu_()


class PreActivationBlock(nn.Module):
    """Normalise, ReLU, convolve, twice, and add what came in."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Sequential(
            instance_norm(channels),
            nn.ReLU(),
            mirrored_conv(channels, channels),
            instance_norm(channels),
            nn.ReLU(),
            mirrored_conv(channels, channels),
        )

    def forward(self, x: Float[Tensor, "V C H W"]) -> Float[Tensor, "V C H W"]:
        return x + self.conv(x)


def residual_head(in_channels: int, channels: int = 32, blocks: int = 1) -> nn.Sequential:
    """A convolution, pre-activation blocks, and a mixing of the channels, all of one size."""
    return nn.Sequential(
        mirrored_conv(in_channels, channels),
        *[PreActivationBlock(channels) for _ in range(blocks)],
        nn.Conv2d(channels, channels, 1, bias=False),
    )


class DecoderUnit(nn.Module):
    """Convolution, normalisation, ELU."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = mirrored_conv(in_channels, out_channels, bias=True)
        self.bn = instance_norm(out_channels)

    def forward(self, x: Float[Tensor, "V Cin H W"]) -> Float[Tensor, "V Cout H W"]:
        return functional.elu(self.bn(self.conv(x)), inplace=True)


class Enlargement(nn.Module):
    """Twice the size, corner-aligned, then a decoder unit."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = DecoderUnit(in_channels, out_channels)

    def forward(self, x: Float[Tensor, "V Cin H W"]) -> Float[Tensor, "V Cout 2*H 2*W"]:
        return self.conv(functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True))


class ResUNet(nn.Module):
    """From pictures to maps of a quarter of their size: three halvings and a half more, then two enlargements.

    A picture whose sides are no multiples of 16 gives a map a little larger than a quarter.

    Args:
        blocks: Residual blocks at 1/4, 1/8 and 1/16 of the size.
        in_channels: Of the pictures.
        stem: Channels after the first convolution.
        stem_kernel, stem_padding: Of the first convolution, whose stride is 2.
    """

    def __init__(
        self,
        blocks: tuple[int, int, int],
        in_channels: int = 3,
        stem: int = 16,
        stem_kernel: int = 7,
        stem_padding: int = 3,
    ):
        super().__init__()
        self.conv1 = mirrored_conv(in_channels, stem, stem_kernel, stride=2, padding=stem_padding)
        self.bn1 = instance_norm(stem)
        self.layer1 = _stack(stem, 32, blocks[0])
        self.layer2 = _stack(32, 64, blocks[1])
        self.layer3 = _stack(64, 128, blocks[2])
        self.upconv3 = Enlargement(128, 64)
        self.iconv3 = DecoderUnit(128, 64)
        self.upconv2 = Enlargement(64, 32)
        self.iconv2 = DecoderUnit(64, 32)
        self.out_conv = nn.Conv2d(32, 32, 1)

    def forward(self, pictures: Float[Tensor, "V C H W"]) -> Float[Tensor, "V 32 h w"]:
        return view_by_view(self._encode, pictures)

    def _encode(self, pictures: Float[Tensor, "V C H W"]) -> Float[Tensor, "V 32 h w"]:
        quarter = self.layer1(self.bn1(self.conv1(pictures)).relu_())
        eighth = self.layer2(quarter)
        x = self.upconv3(self.layer3(eighth))
        x = self.upconv2(self.iconv3(_beside(x, eighth)))
        return self.out_conv(self.iconv2(_beside(x, quarter)))


def _stack(in_channels: int, out_channels: int, count: int) -> nn.Sequential:
    """Residual blocks, the first of which halves the size."""
    first = BasicBlock(in_channels, out_channels, stride=2)
    return nn.Sequential(first, *[BasicBlock(out_channels, out_channels, stride=1) for _ in range(count - 1)])


def _beside(x: Float[Tensor, "V C1 H W"], skip: Float[Tensor, "V C2 h w"]) -> Float[Tensor, "V C1+C2 H W"]:
    """Both maps' channels; the skipped one gets a frame of zeros where it is smaller."""
    rows, columns = x.shape[-2] - skip.shape[-2], x.shape[-1] - skip.shape[-1]
    frame = columns // 2, columns - columns // 2, rows // 2, rows - rows // 2
    return torch.cat([x, functional.pad(skip, frame)], dim=1)
