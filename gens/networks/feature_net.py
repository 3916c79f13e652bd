"""Feature maps of the images at five sizes: an MNASNet encoder and an additive decoder (spec 4.1).

    e1 ... e5   encoder, 1/2 ... 1/32 of the image            MNASNet 1.0 (https://arxiv.org/abs/1807.11626)
    d5 = D5(e5) + e4 ... d2 = D2(d3) + e1    d1 = D1(d2)      transposed convolutions, 1/16 ... 1/1
    out_i = 3 x 3 convolution of d_i

The encoder's parameters are torchvision's, cut into five pieces; `load_imagenet_trunk` reads its file.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from common.checkpoints import load_checkpoint, load_state

TRUNK_FILE = "mnasnet1.0_top1_73.512-f206786ef8.pth"
TRUNK_URL = f"https://download.pytorch.org/models/{TRUNK_FILE}"
_MOMENTUM = 1 - 0.9997
# Of e1 ... e5, and of the decoder's d5 ... d1.
_ENCODER_CHANNELS = (16, 24, 40, 96, 320)
_DECODER_CHANNELS = (96, 40, 24, 16, 8)
# Of every stack of inverted residuals: input and output channels, kernel, stride, expansion, blocks; by attribute.
_STACKS = (
    ((16, 24, 3, 2, 3, 3),),
    ((24, 40, 5, 2, 3, 3),),
    ((40, 80, 5, 2, 6, 3), (80, 96, 3, 1, 6, 2)),
    ((96, 192, 5, 2, 6, 4), (192, 320, 3, 1, 6, 1)),
)


class FeatureNetwork(nn.Module):
    """Five maps of every image, fine to coarse; height and width are multiples of 32.

    In train mode batch normalisation takes the statistics of the images at hand.

    Args:
        out_channels: Of the five maps, fine to coarse.
    """

    def __init__(self, out_channels: Sequence[int] = (4, 4, 4, 4, 4)):
        super().__init__()
        self.layer1 = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False),
            _norm(32),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False),
            _norm(32),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 16, 1, bias=False),
            _norm(16),
        )
        for number, stacks in enumerate(_STACKS, 2):
            setattr(self, f"layer{number}", nn.Sequential(*[_stack(*sizes) for sizes in stacks]))
        channels = _ENCODER_CHANNELS[-1]
        for level, width in zip(range(5, 0, -1), _DECODER_CHANNELS, strict=True):
            setattr(self, f"decod_layer{level}", UpConvolution(channels, width))
            out = out_channels[level - 1]
            setattr(self, f"out_layer{level}", nn.Conv2d(width, out, 3, padding=1, bias=False))
            channels = width
        self._initialise_trunk()

    def forward(self, images: Float[Tensor, "V 3 H W"]) -> list[Float[Tensor, "V _ _ _"]]:
        H, W = images.shape[-2:]
        if H % 32 or W % 32 or min(H, W) < 32:
            raise ValueError(f"images must have a height and width that are multiples of 32, got {H} x {W}")
        skips = []
        x = images
        for number in range(1, 6):
            x = getattr(self, f"layer{number}")(x)
            skips.append(x)
        maps = []
        for level in range(5, 0, -1):
            x = getattr(self, f"decod_layer{level}")(x)
            if level > 1:
                x = x + skips[level - 2]
            maps.append(getattr(self, f"out_layer{level}")(x))
        return maps[::-1]

    def _initialise_trunk(self) -> None:
        for name, module in self.named_modules():
            if name.startswith("layer") and isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class UpConvolution(nn.Module):
    """Transposed convolution to twice the size, instance normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1, bias=False)

    def forward(self, x: Float[Tensor, "V Cin H W"]) -> Float[Tensor, "V Cout 2*H 2*W"]:
        return torch.relu_(nn.functional.instance_norm(self.conv(x)))


class InvertedResidual(nn.Module):
    """Widen, filter every channel by itself, narrow; added to the input where sizes allow."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, expansion: int):
        super().__init__()
        width = in_channels * expansion
        self.is_residual = stride == 1 and in_channels == out_channels
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, width, 1, bias=False),
            _norm(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, kernel_size, stride, kernel_size // 2, groups=width, bias=False),
            _norm(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, out_channels, 1, bias=False),
            _norm(out_channels),
        )

    def forward(self, x: Float[Tensor, "V Cin H W"]) -> Float[Tensor, "V Cout h w"]:
        return self.layers(x) + x if self.is_residual else self.layers(x)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, momentum=_MOMENTUM)


def _stack(
    in_channels: int, out_channels: int, kernel_size: int, stride: int, expansion: int, blocks: int
) -> nn.Sequential:
    first = InvertedResidual(in_channels, out_channels, kernel_size, stride, expansion)
    rest = [InvertedResidual(out_channels, out_channels, kernel_size, 1, expansion) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


def load_imagenet_trunk(network: FeatureNetwork, path: str | Path) -> None:
    """Put the ImageNet weights of torchvision's MNASNet 1.0 (`TRUNK_FILE`, from `TRUNK_URL`) into the encoder.

    Raises:
        FileNotFoundError: There is no such file.
        RuntimeError: It is not that network's.
    """
    own = network.state_dict()
    state = {}
    for name, value in load_checkpoint(path).items():
        renamed = _trunk_name(name)
        if renamed in own:
            state[renamed] = value
    decoder = {name: value for name, value in own.items() if not name.startswith("layer")}
    load_state(network, state | decoder, path)


def _trunk_name(name: str) -> str | None:
    """Our name of an entry of torchvision's: `layers.0-7` lie in layer1, then one or two stacks per attribute."""
    parts = name.split(".")
    if parts[0] != "layers" or not parts[1].isdigit():
        return None
    index = int(parts[1])
    if index < 8:
        return ".".join(["layer1", *parts[1:]])
    place = 8
    for number, stacks in enumerate(_STACKS, 2):
        if index < place + len(stacks):
            return ".".join([f"layer{number}", str(index - place), *parts[2:]])
        place += len(stacks)
    return None
