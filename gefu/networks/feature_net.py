"""Feature pyramid of an image (`feature_net`), and the same shape of network as an image-space decoder.

The decoder appears twice: `autoencoder` turns the composited features into those that colours are regressed from,
`conv_transmit` turns the coarse rendering into the target feature of the adaptive cost aggregation.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from common.feature_sampling import resize_window
from common.models.conv import ConvBnRelu2d
from gefu.networks.windows import Window, row_strips


class FeaturePyramid(NamedTuple):
    """Features of an image, coarse to fine; the position is the paper's feature level."""

    quarter: Float[Tensor, "B 32 h1 w1"]
    half: Float[Tensor, "B 16 h2 w2"]
    full: Float[Tensor, "B 8 h3 w3"]


def double(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C 2*H 2*W"]:
    """Corner-aligned bilinear enlargement by two."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def two_convolutions(in_channels: int, out_channels: int, kernel_size: int, stride: int) -> nn.Sequential:
    """A convolution that changes the size, and one that does not."""
    return nn.Sequential(
        ConvBnRelu2d(in_channels, out_channels, kernel_size, stride), ConvBnRelu2d(out_channels, out_channels)
    )


class FeatureNet(nn.Module):
    """Features of images at 1/4, 1/2 and full size, with top-down additions (height and width divisible by 4)."""

    def __init__(self):
        super().__init__()
        self.conv0 = two_convolutions(3, 8, kernel_size=3, stride=1)
        self.conv1 = two_convolutions(8, 16, kernel_size=5, stride=2)
        self.conv2 = two_convolutions(16, 32, kernel_size=5, stride=2)
        self.toplayer = nn.Conv2d(32, 32, 1)
        self.lat1 = nn.Conv2d(16, 32, 1)
        self.lat0 = nn.Conv2d(8, 32, 1)
        self.smooth1 = nn.Conv2d(32, 16, 3, padding=1)
        self.smooth0 = nn.Conv2d(32, 8, 3, padding=1)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> FeaturePyramid:
        full = self.conv0(images.contiguous(memory_format=torch.channels_last))
        half = self.conv1(full)
        quarter = self.toplayer(self.conv2(half))
        half = double(quarter).add_(self.lat1(half))
        full = double(half).add_(self.lat0(full))
        return FeaturePyramid(quarter, self.smooth1(half), self.smooth0(full))


class ImageDecoder(nn.Module):
    """From an image of features to an image of features, through 1/4 of its size and back."""

    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int):
        super().__init__()
        self.conv0 = two_convolutions(in_channels, hidden_channels, kernel_size=3, stride=1)
        self.conv1 = two_convolutions(hidden_channels, 2 * hidden_channels, kernel_size=5, stride=2)
        self.conv2 = two_convolutions(2 * hidden_channels, 4 * hidden_channels, kernel_size=5, stride=2)
        self.toplayer = nn.Conv2d(4 * hidden_channels, out_channels, 1)
        self.lat1 = nn.Conv2d(2 * hidden_channels, out_channels, 1)
        self.lat0 = nn.Conv2d(hidden_channels, out_channels, 1)
        self.out = nn.Conv2d(out_channels, out_channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "B Cin H W"]) -> Float[Tensor, "B Cout H W"]:
        full = self.conv0(x)
        half = self.conv1(full)
        quarter = self.toplayer(self.conv2(half))
        half = double(quarter).add_(self.lat1(half))
        return self.out(double(half).add_(self.lat0(full)))

    def decode_in_strips(
        self, x: Float[Tensor, "B Cin H W"], window: Window, picture: Window, strips: Sequence[slice]
    ) -> Iterator[Float[Tensor, "B Cout h W"]]:
        """The decoded rows of a window, strip by strip, so that nothing at the full size but one layer is stored.

        Args:
            x: The window of the picture's features.
            window: Where it lies.
            picture: The whole, which decides what an enlarged pixel is.
            strips: Rows of the window.
        """
        full = self._first_layers(x, strips)
        half = self.conv1(full)
        quarter = self.toplayer(self.conv2(half))
        sizes = [picture.size(scale) for scale in (0.25, 0.5, 1.0)]
        half = resize_window(quarter, window.start(0.25), sizes[0], window.slices(0.5), sizes[1]).add_(self.lat1(half))
        for rows in strips:
            near = _with_neighbours(rows, 1, x.shape[2])
            place = slice(window.top + near.start, window.top + near.stop), window.slices()[1]
            y = resize_window(half, window.start(0.5), sizes[1], place, sizes[2]).add_(self.lat0(full[:, :, near]))
            yield self.out(y)[:, :, rows.start - near.start : rows.stop - near.start]

    def _first_layers(self, x: Float[Tensor, "B Cin H W"], strips: Sequence[slice]) -> Float[Tensor, "B C H W"]:
        """`conv0`; every strip needs two rows of its neighbours."""
        parts = []
        for rows in row_strips(x.shape[2], strips[0].stop - strips[0].start):
            near = _with_neighbours(rows, 2, x.shape[2])
            part = self.conv0(x[:, :, near])[:, :, rows.start - near.start : rows.stop - near.start]
            parts.append(part.permute(0, 2, 3, 1))
        return torch.cat(parts, dim=1).permute(0, 3, 1, 2)


def _with_neighbours(rows: slice, count: int, height: int) -> slice:
    return slice(max(rows.start - count, 0), min(rows.stop + count, height))
