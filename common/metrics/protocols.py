"""Image metrics as the papers define them, by name.

PSNR, SSIM and LPIPS of the same two pictures differ between papers by up to a whole dB or several hundredths, because
crop, mask, clipping, SSIM's window and data range and LPIPS' backbone differ. A `Protocol` states all of it, and every
`ImageScores` carries the protocol it was computed with; numbers of different protocols must not be compared.

    scores = score_image(prediction, truth, PROTOCOLS["gefu"], mask=mask, lpips=lpips)
    print(scores.psnr, scores.protocol.describe())
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from common.metrics.images import psnr, ssim
from common.metrics.lpips import Lpips


@dataclass(frozen=True)
class Protocol:
    """Everything that decides the value of an image metric.

    Attributes:
        name: As in `PROTOCOLS`.
        origin: Where the definition comes from.
        border: Fraction of height and width cut off on each side, before anything else; whole pixels, rounded down.
        clip: Whether the prediction is limited to [0, 1].
        quantize: Rounding to 8 bits before comparing: none; "truncate" floor(255 v) of both pictures; "scale256"
            floor(256 v), at most 255, of the prediction, the photograph being 8-bit already.
        truth_divisor: What an 8-bit value of the photograph is divided by; 255 except where a paper divides by 256.
        mask_fill: Value given to both pictures outside the mask for every metric; None where the protocol takes no
            mask.
        psnr_inside_mask: Whether PSNR averages over the pixels inside the mask only.
        ssim_range, ssim_window, ssim_sigma: See `common.metrics.images.ssim`; range None where the paper has no SSIM.
        lpips: Backbone, both with the linear weights of version 0.1; None where the paper has no LPIPS.
    """

    name: str
    origin: str
    border: float = 0.0
    clip: bool = False
    quantize: Literal["none", "truncate", "scale256"] = "none"
    truth_divisor: float = 255.0
    mask_fill: float | None = None
    psnr_inside_mask: bool = False
    ssim_range: float | None = 1.0
    ssim_window: int = 7
    ssim_sigma: float | None = None
    lpips: Literal["vgg", "alex"] | None = "vgg"

    def describe(self) -> str:
        """One line that states the definition, for the foot of every table."""
        parts = [f"protocol {self.name}"]
        parts.append(f"{self.border:.0%} of each side cut" if self.border else "no crop")
        if self.mask_fill is None:
            parts.append("no mask")
        else:
            parts.append(f"outside the mask set to {self.mask_fill:g}")
            parts.append(f"PSNR over {'masked' if self.psnr_inside_mask else 'all'} pixels")
        parts += ["clipped to [0, 1]"] if self.clip else []
        parts += {"none": [], "truncate": ["8-bit by truncation"], "scale256": ["8-bit as floor(256 v)"]}[self.quantize]
        parts += [f"truth / {self.truth_divisor:g}"] if self.truth_divisor != 255 else []
        if self.ssim_range is not None:
            shape = "uniform" if self.ssim_sigma is None else f"Gaussian ({self.ssim_sigma:g})"
            parts.append(f"SSIM {shape} window {self.ssim_window}, data range {self.ssim_range:g}")
        parts += [f"LPIPS {self.lpips} v0.1"] if self.lpips else []
        return ", ".join(parts)


@dataclass(frozen=True)
class ImageScores:
    """Metrics of one picture; a metric is None where the protocol has none, or LPIPS could not be computed."""

    psnr: float
    ssim: float | None
    lpips: float | None
    protocol: Protocol


_ALL = (
    Protocol(
        "standard",
        "customary since 3D Gaussian Splatting; SSIM of Wang et al. 2004",
        clip=True,
        ssim_window=11,
        ssim_sigma=1.5,
    ),
    # scikit-image 0.19 took data range 2 for float pictures when none was given, and GeFu gave none.
    Protocol("gefu", "GeFu evaluation on DTU", mask_fill=0.0, psnr_inside_mask=True, ssim_range=2.0),
    Protocol(
        "gefu_center",
        "GeFu evaluation on LLFF (eval_center)",
        0.1,
        mask_fill=0.0,
        psnr_inside_mask=True,
        ssim_range=2.0,
    ),
    Protocol("gens", "GenS validation, PSNR only", truth_divisor=256.0, ssim_range=None, lpips=None),
    Protocol("neuray_mrvm", "NeuRay and MRVM rendering", clip=True),
    Protocol(
        "neuray_mrvm_validation", "NeuRay and MRVM training", clip=True, quantize="truncate", ssim_window=11, lpips=None
    ),
    Protocol("idnerf", "ID-NeRF on DTU: mask where raw depth is 0", mask_fill=0.0, psnr_inside_mask=True),
    Protocol("idnerf_center", "ID-NeRF on LLFF and COLMAP scenes", 0.1),
    Protocol("idnerf_full", "ID-NeRF report_full_scores"),
    # The release computes no metric; this is the comparison that its pictures suggest: uncovered pixels white in both.
    Protocol("xscale_nvs", "XScale-NVS pictures as written", clip=True, quantize="scale256", mask_fill=1.0),
)

PROTOCOLS: dict[str, Protocol] = {entry.name: entry for entry in _ALL}


def find_protocol(name: str, border: float | None = None) -> Protocol:
    """The protocol of that name, with another border where one is given.

    Raises:
        ValueError: There is none; the sentence lists the names.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"no metric protocol {name!r}; choose one of {', '.join(PROTOCOLS)}")
    found = PROTOCOLS[name]
    return found if border is None else replace(found, border=border)


def score_image(
    prediction: Float[np.ndarray, "_ _ 3"],
    truth: Float[np.ndarray, "H W 3"],
    protocol: Protocol,
    mask: Bool[np.ndarray, "H W"] | None = None,
    lpips: Lpips | None = None,
) -> ImageScores:
    """Metrics of one rendered picture. The arguments are not changed.

    Args:
        prediction: In [0, 1].
        truth: The 8-bit photograph divided by 255, whatever the protocol divides by.
        protocol: The definition.
        mask: Pixels that count. None, or a protocol without mask, counts all.
        lpips: The network with the protocol's backbone; None leaves LPIPS out, as do pictures too small for it
            (`Lpips.smallest_side`).

    Raises:
        ValueError: Sizes differ, or `lpips` has another backbone than the protocol.
    """
    if lpips is not None and protocol.lpips is not None and lpips.backbone != protocol.lpips:
        raise ValueError(f"protocol {protocol.name} needs LPIPS with {protocol.lpips}, got {lpips.backbone}")
    if prediction.shape != truth.shape:
        raise ValueError(f"the prediction is {prediction.shape} but the truth is {truth.shape}")
    prediction, truth, mask = prepare_pair(prediction, truth, protocol, mask)
    similarity = distance = None
    if protocol.ssim_range is not None:
        similarity = ssim(prediction, truth, protocol.ssim_range, protocol.ssim_window, protocol.ssim_sigma)
    if protocol.lpips and lpips is not None and min(truth.shape[:2]) >= lpips.smallest_side:
        distance = lpips.distance(prediction, truth)
    return ImageScores(
        psnr(prediction, truth, mask if protocol.psnr_inside_mask else None), similarity, distance, protocol
    )


def prepare_pair(
    prediction: Float[np.ndarray, "H W 3"],
    truth: Float[np.ndarray, "H W 3"],
    protocol: Protocol,
    mask: Bool[np.ndarray, "H W"] | None,
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"] | None]:
    """Copies of both pictures as the protocol compares them, and the mask that goes with them."""
    prediction, truth = crop_border(prediction, protocol.border), crop_border(truth, protocol.border)
    if protocol.truth_divisor != 255:
        truth = truth * (255 / protocol.truth_divisor)
    if protocol.clip:
        prediction, truth = prediction.clip(0, 1), truth.clip(0, 1)
    if protocol.quantize == "truncate":
        prediction, truth = np.floor(255 * prediction) / 255, np.floor(255 * truth) / 255
    elif protocol.quantize == "scale256":
        prediction = np.floor(256 * prediction).clip(max=255) / 255
    if mask is None or protocol.mask_fill is None:
        return prediction, truth, None
    mask = crop_border(mask, protocol.border)
    outside = ~mask[..., None]
    return np.where(outside, protocol.mask_fill, prediction), np.where(outside, protocol.mask_fill, truth), mask


def crop_border(picture: np.ndarray, fraction: float) -> np.ndarray:
    """The picture without int(fraction * side) rows and columns at each of its four sides."""
    rows, columns = int(fraction * picture.shape[0]), int(fraction * picture.shape[1])
    return picture[rows : picture.shape[0] - rows, columns : picture.shape[1] - columns]
