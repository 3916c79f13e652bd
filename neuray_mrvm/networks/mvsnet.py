"""MVSNet, frozen: how likely each depth is at every pixel of a reference view (spec 5.6).

    variance[c, d] = 1/S sum_s f_sc^2 - (1/S sum_s f_sc)^2      over the reference's own feature and the warped sources'
    logits[d] = U-Net of the variance                           softmax over d gives the distribution

MVSNet: Yao et al., ECCV 2018, https://arxiv.org/abs/1804.02505. Names are those of the released `mvsnet_pl.ckpt`.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from common.checkpoints import load_checkpoint, load_state
from common.models.conv import ConvBnRelu2d, ConvBnRelu3d, DeconvBn3d
from common.models.conv3d import conv3d
from common.ops.plane_sweep import sweep_variance
from common.paths import resolve_input
from neuray_mrvm.networks.blocks import view_by_view

METHOD_FOLDER = Path(__file__).parents[1]
WEIGHTS_FILE = Path("network/mvsnet/mvsnet_pl.ckpt")
# What batch normalisation leaves of negative numbers.
_SLOPE = 0.01
# Depths whose variance is held at a time; the full volume of a large picture takes a gigabyte.
_SLAB = 16


class MvsNet(nn.Module):
    """Logits of depths; always in evaluation mode, without gradient.

    Attributes:
        is_trained: Weights were loaded, from the released file or with a checkpoint.
    """

    def __init__(self):
        super().__init__()
        self.feature = FeatureNet()
        self.cost_regularization = CostRegNet()
        self.is_trained = False
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "MvsNet":
        """Stay in evaluation mode, whatever the rest of the network does."""
        return super().train(False)

    @torch.no_grad()
    def features(self, pictures: Float[Tensor, "V 3 H W"]) -> Float[Tensor, "V 32 h w"]:
        """Features of a quarter of the size, of pictures normalised by ImageNet's statistics."""
        return view_by_view(self.feature, pictures)

    @torch.no_grad()
    def logits(
        self,
        own: Float[Tensor, "32 H W"],
        others: Float[Tensor, "S 32 h w"],
        matrix: Float[Tensor, "T 3 4"],
        depth: Float[Tensor, " D"],
    ) -> Float[Tensor, "D H W"]:
        """Logits of the depths at every pixel of a reference's feature map.

        Args:
            own: Features of the reference.
            others: Features of its sources, which may have another size.
            matrix: From the reference to itself and to the sources, see `common.ops.plane_sweep`.
            depth: Hypotheses, the same for all pixels.
        """
        features = _stacked(own, others)[None]
        planes = depth[None, :, None, None].expand(1, -1, *own.shape[-2:])
        count = len(depth)
        parts = []
        for start in range(0, count, _SLAB):
            stop = min(start + _SLAB, count)
            # The convolution sees one plane more on either side.
            first, last = max(start - 1, 0), min(stop + 1, count)
            statistics = sweep_variance(features, matrix[None], planes[:, first:last])
            part = self.cost_regularization.conv0(statistics[:, : len(own)])
            parts.append(part[:, :, start - first : stop - first])
        return self.cost_regularization.decode(torch.cat(parts, dim=2))[0, 0]

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *args) -> None:
        self.is_trained = self.is_trained or any(name.startswith(f"{prefix}feature.") for name in state_dict)
        super()._load_from_state_dict(state_dict, prefix, *args)


class FeatureNet(nn.Module):
    """Eight convolutions, two of which halve the size."""

    def __init__(self):
        super().__init__()
        self.conv0 = ConvBnRelu2d(3, 8, negative_slope=_SLOPE)
        self.conv1 = ConvBnRelu2d(8, 8, negative_slope=_SLOPE)
        self.conv2 = ConvBnRelu2d(8, 16, 5, 2, _SLOPE)
        self.conv3 = ConvBnRelu2d(16, 16, negative_slope=_SLOPE)
        self.conv4 = ConvBnRelu2d(16, 16, negative_slope=_SLOPE)
        self.conv5 = ConvBnRelu2d(16, 32, 5, 2, _SLOPE)
        self.conv6 = ConvBnRelu2d(32, 32, negative_slope=_SLOPE)
        self.feature = nn.Conv2d(32, 32, 3, padding=1)

    def forward(self, pictures: Float[Tensor, "V 3 H W"]) -> Float[Tensor, "V 32 h w"]:
        x = self.conv2(self.conv1(self.conv0(pictures)))
        x = self.conv5(self.conv4(self.conv3(x)))
        return self.feature(self.conv6(x))


class CostRegNet(nn.Module):
    """3-D U-Net with three halvings and additive skips."""

    def __init__(self):
        super().__init__()
        self.conv0 = ConvBnRelu3d(32, 8, negative_slope=_SLOPE)
        self.conv1 = ConvBnRelu3d(8, 16, 2, _SLOPE)
        self.conv2 = ConvBnRelu3d(16, 16, negative_slope=_SLOPE)
        self.conv3 = ConvBnRelu3d(16, 32, 2, _SLOPE)
        self.conv4 = ConvBnRelu3d(32, 32, negative_slope=_SLOPE)
        self.conv5 = ConvBnRelu3d(32, 64, 2, _SLOPE)
        self.conv6 = ConvBnRelu3d(64, 64, negative_slope=_SLOPE)
        self.conv7 = DeconvBn3d(64, 32)
        self.conv9 = DeconvBn3d(32, 16)
        self.conv11 = DeconvBn3d(16, 8)
        self.prob = nn.Conv3d(8, 1, 3, padding=1)

    def forward(self, variance: Float[Tensor, "B 32 D h w"]) -> Float[Tensor, "B 1 D h w"]:
        return self.decode(self.conv0(variance))

    def decode(self, full: Float[Tensor, "B 8 D h w"]) -> Float[Tensor, "B 1 D h w"]:
        """What follows the first convolution."""
        half = self.conv2(self.conv1(full))
        quarter = self.conv4(self.conv3(half))
        quarter = _raised(self.conv7, self.conv6(self.conv5(quarter)), quarter)
        half = _raised(self.conv9, quarter, half)
        full = _raised(self.conv11, half, full)
        return conv3d(full, self.prob.weight, self.prob.bias)


def _stacked(own: Float[Tensor, "C H1 W1"], others: Float[Tensor, "S C H2 W2"]) -> Float[Tensor, "S+1 C H W"]:
    """Maps of one size: zeros are what lies outside a map anyway."""
    height, width = (max(sizes) for sizes in zip(own.shape[-2:], others.shape[-2:], strict=True))
    frames = [(0, width - each.shape[-1], 0, height - each.shape[-2]) for each in (own, others)]
    return torch.cat([functional.pad(own, frames[0])[None], functional.pad(others, frames[1])])


def _raised(
    deconvolution: DeconvBn3d, x: Float[Tensor, "B C1 d h w"], skip: Float[Tensor, "B C2 D H W"]
) -> Float[Tensor, "B C2 D H W"]:
    """The skip plus `x` at its size: a size that was odd comes back one too large."""
    x = functional.leaky_relu_(deconvolution(x), _SLOPE)
    if x.shape != skip.shape:
        x = functional.interpolate(x, skip.shape[2:], mode="trilinear", align_corners=False)
    return skip + x


def find_weights() -> Path | None:
    """The released file, below the working directory or the method's folder, if it is there."""
    try:
        return resolve_input(WEIGHTS_FILE, METHOD_FOLDER)
    except FileNotFoundError:
        return None


def load_weights(network: MvsNet, path: str | Path) -> None:
    """Load MVSNet's weights from its training checkpoint (`state_dict`, names below `model.`) or from a plain file.

    Raises:
        FileNotFoundError: There is no such file.
        RuntimeError: It is damaged, or not MVSNet's.
    """
    content = load_checkpoint(path)
    state = content.get("state_dict", content)
    if state is not content:
        state = {name.removeprefix("model."): each for name, each in state.items() if name.startswith("model.")}
    # The released file does not count the batches its statistics were taken from; nothing here reads the number.
    counters = {name: each for name, each in network.state_dict().items() if name.endswith("num_batches_tracked")}
    load_state(network, counters | state, path)
