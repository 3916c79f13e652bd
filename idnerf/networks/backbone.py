"""The convolutional part of GMFlow's encoder (https://arxiv.org/abs/2111.13680): a small residual network.

Its instance normalisations have neither weights nor running statistics.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut; ReLU after each normalisation and after the sum."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.downsample = nn.Sequential()
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride), nn.InstanceNorm2d(channels, eps=1e-5)
            )

    def forward(self, x: Float[Tensor, "N Cin H W"]) -> Float[Tensor, "N C h w"]:
        y = functional.instance_norm(self.conv1(x)).relu()
        y = functional.instance_norm(self.conv2(y)).relu()
        return (self.downsample(x) + y).relu()


class Backbone(nn.Module):
    """Normalised pictures to 128 channels at 1/8 of their size."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.layer1 = nn.Sequential(ResidualBlock(64, 64), ResidualBlock(64, 64))
        self.layer2 = nn.Sequential(ResidualBlock(64, 96, stride=2), ResidualBlock(96, 96))
        self.layer3 = nn.Sequential(ResidualBlock(96, 128, stride=2), ResidualBlock(128, 128))
        self.conv2 = nn.Conv2d(128, 128, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, pictures: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N 128 h w"]:
        x = functional.instance_norm(self.conv1(pictures)).relu()
        return self.conv2(self.layer3(self.layer2(self.layer1(x))))
