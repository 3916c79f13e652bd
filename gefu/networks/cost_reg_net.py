"""3-D U-Nets: regularisation of the cost volumes, and of the samples along the rays of an image.

All three share the names of the released checkpoint: `conv0..conv6` downwards, `conv7, conv9, conv11` upwards with
additive skips, `feat_conv` and `depth_conv` as heads. `conv5..conv7` are a third scale below the input; one network has
only two.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from common.models.conv import ConvBnRelu3d, DeconvBn3d
from common.models.conv3d import conv3d


class CoarseUNet(nn.Module):
    """Two halvings; sizes divisible by 4 along every halved axis."""

    def __init__(self, in_channels: int, stride: tuple[int, int, int] = (2, 2, 2)):
        super().__init__()
        self.conv0 = ConvBnRelu3d(in_channels, 8)
        self.conv1 = ConvBnRelu3d(8, 16, stride)
        self.conv2 = ConvBnRelu3d(16, 16)
        self.conv3 = ConvBnRelu3d(16, 32, stride)
        self.conv4 = ConvBnRelu3d(32, 32)
        self._register_third_scale(stride)
        self.conv9 = DeconvBn3d(32, 16, stride)
        self.conv11 = DeconvBn3d(16, 8, stride)

    def _register_third_scale(self, stride: tuple[int, int, int]) -> None:
        """Where the deeper network has its extra layers in the order of parameters."""

    def _third_scale(self, x: Float[Tensor, "B 32 D H W"]) -> Float[Tensor, "B 32 D H W"]:
        return x

    def decode(self, x: Float[Tensor, "B C D H W"]) -> Float[Tensor, "B 8 D H W"]:
        """Everything but the heads."""
        return self.decode_from(self.conv0(x))

    def decode_from(self, full: Float[Tensor, "B 8 D H W"]) -> Float[Tensor, "B 8 D H W"]:
        """What follows the first convolution."""
        half = self.conv2(self.conv1(full))
        quarter = self._third_scale(self.conv4(self.conv3(half)))
        half = half + self.conv9(quarter)
        return full + self.conv11(half)


class FineUNet(CoarseUNet):
    """Three halvings; sizes divisible by 8 along every halved axis."""

    def _register_third_scale(self, stride: tuple[int, int, int]) -> None:
        self.conv5 = ConvBnRelu3d(32, 64, stride)
        self.conv6 = ConvBnRelu3d(64, 64)
        self.conv7 = DeconvBn3d(64, 32, stride)

    def _third_scale(self, x: Float[Tensor, "B 32 D H W"]) -> Float[Tensor, "B 32 D H W"]:
        return x + self.conv7(self.conv6(self.conv5(x)))


class CoarseCostRegNet(CoarseUNet):
    """`cost_reg_0`: from a cost volume to an 8-channel feature volume and the logits of the hypotheses."""

    def __init__(self, in_channels: int):
        super().__init__(in_channels)
        _register_cost_heads(self)

    def forward(
        self, cost_volume: Float[Tensor, "B C D H W"]
    ) -> tuple[Float[Tensor, "B 8 D H W"], Float[Tensor, "B D H W"]]:
        return _apply_cost_heads(self, self.decode(cost_volume))


class FineCostRegNet(FineUNet):
    """`cost_reg_1`: the same with the deeper network."""

    def __init__(self, in_channels: int):
        super().__init__(in_channels)
        _register_cost_heads(self)

    def forward(
        self, cost_volume: Float[Tensor, "B C D H W"]
    ) -> tuple[Float[Tensor, "B 8 D H W"], Float[Tensor, "B D H W"]]:
        return _apply_cost_heads(self, self.decode(cost_volume))


class RayRegNet(FineUNet):
    """`nerf_i.regnet`: samples on the rays of an image see their neighbours; those of one ray are never halved."""

    def __init__(self, channels: int):
        super().__init__(channels, stride=(1, 2, 2))
        self.feat_conv = nn.Sequential(nn.Conv3d(8, channels, 3, padding=1, bias=False))

    def forward(self, x: Float[Tensor, "B C N H W"]) -> Float[Tensor, "B C N H W"]:
        return self.head(self.decode(x))

    def head(self, x: Float[Tensor, "B 8 N H W"]) -> Float[Tensor, "B C N H W"]:
        """The last convolution."""
        return conv3d(x, self.feat_conv[0].weight)


def _register_cost_heads(network: CoarseUNet) -> None:
    network.depth_conv = nn.Sequential(nn.Conv3d(8, 1, 3, padding=1, bias=False))
    network.feat_conv = nn.Sequential(nn.Conv3d(8, 8, 3, padding=1, bias=False))


def _apply_cost_heads(
    network: CoarseUNet, x: Float[Tensor, "B 8 D H W"]
) -> tuple[Float[Tensor, "B 8 D H W"], Float[Tensor, "B D H W"]]:
    """Both heads in one convolution of 9 channels."""
    both = conv3d(x, torch.cat([network.feat_conv[0].weight, network.depth_conv[0].weight]))
    return both[:, :-1], both[:, -1]
