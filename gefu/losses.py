"""The training objective: per level a squared error, a perceptual and a structural term, no mask.

L = sum_i w_i (MSE_i + 0.1 Perceptual_i + 0.1 (1 - SSIM_i))        w = (0.5, 1); i = 0 coarse, 1 fused colour

The paper has no depth term. Where exact depth is known, as in generated scenes, `depth_weight` adds the mean absolute
disparity error of each level's plane sweep, as a fraction of the disparity range; it shortens training many times.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from common.models.vgg16 import Vgg16, load_vgg16, normalize

SSIM_WINDOW, SSIM_SIGMA = 7, 1.5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2
_LOGGER = logging.getLogger(__name__)

Images = Float[Tensor, "B 3 H W"]


class GefuLoss(nn.Module):
    """The objective of a batch and the scalars that are logged.

    Args:
        level_weights: Weight of each level, coarse first.
        perceptual: Difference of two image batches, or None to leave the term out.
        perceptual_weight, ssim_weight, depth_weight: Of the terms.
    """

    def __init__(
        self,
        level_weights: Sequence[float] = (0.5, 1.0),
        perceptual: Callable[[Images, Images], Tensor] | None = None,
        perceptual_weight: float = 0.1,
        ssim_weight: float = 0.1,
        depth_weight: float = 0.0,
    ):
        super().__init__()
        self.level_weights = level_weights
        self.perceptual = perceptual
        self.perceptual_weight = perceptual_weight
        self.ssim_weight = ssim_weight
        self.depth_weight = depth_weight

    def forward(
        self, outputs: Mapping[str, Tensor], batch: Mapping[str, Any]
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """The loss, and the detached `color_mse_i psnr_i perceptual_loss_i ssim_loss_i depth_loss_i loss`."""
        total = outputs["rgb_level0"].new_zeros(())
        scalars: dict[str, Tensor] = {}
        for level, weight in enumerate(self.level_weights):
            size = int(batch["meta"][f"h_{level}"][0]), int(batch["meta"][f"w_{level}"][0])
            prediction = as_images(outputs[f"rgb_level{level}"], *size)
            truth = as_images(batch[f"rgb_{level}"], *size)
            mse = F.mse_loss(prediction, truth)
            loss = mse
            scalars |= {f"color_mse_{level}": mse, f"psnr_{level}": -10.0 * torch.log10(mse.detach())}
            if self.perceptual is not None:
                term = self.perceptual(prediction, truth)
                loss = loss + self.perceptual_weight * term
                scalars[f"perceptual_loss_{level}"] = term
            term = 1.0 - ssim(prediction, truth)
            loss = loss + self.ssim_weight * term
            scalars[f"ssim_loss_{level}"] = term
            if self.depth_weight > 0 and f"tar_dpt_{level}" in batch:
                term = disparity_error(outputs[f"depth_mvs_level{level}"], batch[f"tar_dpt_{level}"], batch["near_far"])
                loss = loss + self.depth_weight * term
                scalars[f"depth_loss_{level}"] = term
            total = total + weight * loss
        scalars["loss"] = total
        return total, {name: value.detach() for name, value in scalars.items()}


class PerceptualLoss(nn.Module):
    """Sum of mean absolute differences of VGG16 features after relu1_2, relu2_2, relu3_3 and relu4_3."""

    def __init__(self, vgg: Vgg16):
        super().__init__()
        self.vgg = vgg

    def forward(self, prediction: Images, truth: Images) -> Float[Tensor, ""]:
        """Images in [0, 1]; no gradient flows into `truth`."""
        return torch.stack(self.terms(prediction, truth)).sum()

    def terms(self, prediction: Images, truth: Images) -> list[Float[Tensor, ""]]:
        """The difference of each of the four feature maps."""
        with torch.no_grad():
            wanted = self.vgg(normalize(truth))
        return [F.l1_loss(own, other) for own, other in zip(self.vgg(normalize(prediction)), wanted, strict=True)]


def ssim(first: Images, second: Images) -> Float[Tensor, ""]:
    """Mean structural similarity with a Gaussian window of 7 pixels and deviation 1.5, zeros beyond the border.

    Variances are the windowed E[x^2] - E[x]^2, not corrected for the number of pixels.
    """
    channels = first.shape[1]
    offset = torch.arange(SSIM_WINDOW, device=first.device, dtype=first.dtype) - SSIM_WINDOW // 2
    gauss = torch.exp(-offset.square() / (2 * SSIM_SIGMA**2))
    gauss = gauss / gauss.sum()
    window = torch.outer(gauss, gauss).expand(channels, 1, -1, -1)

    moments = torch.cat([first, second, first * first, second * second, first * second])
    moments = F.conv2d(moments, window, padding=SSIM_WINDOW // 2, groups=channels)
    mean1, mean2, square1, square2, product = moments.chunk(5)
    variance1, variance2 = square1 - mean1.square(), square2 - mean2.square()
    covariance = product - mean1 * mean2
    luminance = (2 * mean1 * mean2 + SSIM_C1) / (mean1.square() + mean2.square() + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (variance1 + variance2 + SSIM_C2)
    return (luminance * structure).mean()


def disparity_error(
    depth: Float[Tensor, "B h w"], truth: Float[Tensor, "B h w"], near_far: Float[Tensor, "B 2"]
) -> Float[Tensor, ""]:
    """Mean absolute error of 1 / depth where the truth is known (above 0), in units of the disparity range."""
    span = (1.0 / near_far[:, 0] - 1.0 / near_far[:, 1])[:, None, None]
    error = (1.0 / depth - 1.0 / truth.clamp(min=1e-6)).abs() / span
    known = truth > 0
    return torch.where(known, error, 0.0).sum() / known.sum().clamp(min=1)


def as_images(pixels: Float[Tensor, "B R 3"], height: int, width: int) -> Float[Tensor, "B 3 H W"]:
    """Pixels in row-major order as images."""
    return pixels.unflatten(1, (height, width)).movedim(-1, 1)


def build_loss(cfg: Any) -> GefuLoss:
    """The objective of a resolved config; without VGG16 it has no perceptual term, which one warning says."""
    perceptual = None
    if cfg.gefu.perceptual_weight > 0:
        try:
            perceptual = PerceptualLoss(load_vgg16())
        except FileNotFoundError as error:
            _LOGGER.warning("training goes on WITHOUT the perceptual loss of the paper: %s", error)
    weights = cfg.gefu.perceptual_weight, cfg.gefu.ssim_weight, cfg.gefu.depth_weight
    return GefuLoss(cfg.gefu.cas_config.loss_weight, perceptual, *weights)
