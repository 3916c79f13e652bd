"""The network that imagines a latent of the target view, as a diffusion model would store its picture."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

RAY_CHANNELS = 6
LATENT_SIZE = 64
VIEW_CHANNELS = 32
JOINT_CHANNELS = 32


class LatentInference(nn.Module):
    """Pictures and ray pictures of the sources, and the target's ray picture, to a 4 x 64 x 64 latent.

    Args:
        views: Number of source views; the second stage's width depends on it.
        input_channels: Of a source: 3 of the picture and 6 of its rays.
        latent_channels: Of the result.
    """

    def __init__(self, views: int = 3, input_channels: int = 9, latent_channels: int = 4):
        super().__init__()
        self.mix_1 = _convolutions(input_channels, (16, 2), (32, 1), (VIEW_CHANNELS, 1))
        self.mix_2 = _convolutions(views * VIEW_CHANNELS, (64, 2), (64, 2), (JOINT_CHANNELS, 1))
        self.mix_3 = _convolutions(JOINT_CHANNELS + RAY_CHANNELS, (32, 2), (32, 2), (16, 2), (16, 1))
        self.final_layer = nn.Linear(16, latent_channels)

    def forward(
        self,
        pictures: Float[Tensor, "V 3 H W"],
        source_rays: Float[Tensor, "V 6 H W"],
        target_rays: Float[Tensor, "6 H W"],
    ) -> Float[Tensor, "1 4 64 64"]:
        """The latent.

        Args:
            pictures: Of the sources, normalised as for the encoder.
            source_rays: Their ray pictures.
            target_rays: The ray picture of the target.
        """
        inputs = torch.cat([pictures, source_rays], dim=1)
        # In training each view is normalised by its own statistics, and moves the running ones.
        views = torch.cat([self.mix_1(view) for view in inputs.split(1)], dim=1)
        joint = functional.interpolate(self.mix_2(views), pictures.shape[-2:], mode="bilinear", align_corners=False)
        mixed = self.mix_3(torch.cat([joint, target_rays[None]], dim=1))
        latent = self.final_layer(mixed.movedim(1, -1)).movedim(-1, 1)
        return functional.interpolate(latent, (LATENT_SIZE, LATENT_SIZE), mode="bilinear", align_corners=False)


def _convolutions(in_channels: int, *layers: tuple[int, int]) -> nn.Sequential:
    """3 x 3 convolutions, given as (channels, stride), each with batch normalisation and leaky ReLU."""
    modules: list[nn.Module] = []
    for channels, stride in layers:
        modules += [nn.Conv2d(in_channels, channels, 3, stride, padding=1), nn.BatchNorm2d(channels), nn.LeakyReLU()]
        in_channels = channels
    return nn.Sequential(*modules)
