"""Scores of rendered views as the paper reports them (spec 9.2)."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from common.io.atomic import atomic_path
from common.metrics.lpips import Lpips, load_lpips
from common.metrics.protocols import ImageScores, Protocol, find_protocol, score_image

PROTOCOL = "neuray_mrvm"
_LOGGER = logging.getLogger(__name__)


class Scorer:
    """Scores pictures by one protocol and keeps what it found.

    Args:
        protocol: A name in `common/metrics/protocols.py`.
        device: Where LPIPS is computed. Where its weights are not on this machine, one line says so and LPIPS is nan.
    """

    def __init__(self, protocol: str = PROTOCOL, device: str | torch.device = "cpu"):
        self.protocol: Protocol = find_protocol(protocol)
        self._lpips: Lpips | None = None
        if self.protocol.lpips is not None:
            try:
                self._lpips = load_lpips(self.protocol.lpips, device)
            except FileNotFoundError as error:
                _LOGGER.warning("lpips is nan: %s", error)

    def score(
        self, prediction: Float[np.ndarray, "_ _ 3"], truth: Float[np.ndarray, "h w 3"], place: str
    ) -> ImageScores:
        """Scores of a view; `place` is named in errors.

        Raises:
            ValueError: Sizes differ.
        """
        try:
            return score_image(prediction, truth, self.protocol, lpips=self._lpips)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None


def score_lines(scores: dict[int, ImageScores]) -> Iterator[str]:
    """A line for every view, by its index, and one with the means."""
    values = {index: [_number(value) for value in (s.psnr, s.ssim, s.lpips)] for index, s in scores.items()}
    for index, (psnr, ssim, lpips) in values.items():
        yield f"psnr {psnr:.6f} ssim {ssim:.6f} lpips {lpips:.6f} view_idx {index}"
    psnr, ssim, lpips = np.mean(list(values.values()), axis=0)
    yield f"mpsnr {psnr:.6f} mssim {ssim:.6f} mlpips {lpips:.6f}"


def write_scores(path: Path, scores: dict[int, ImageScores]) -> None:
    """The lines as a file, in place of an earlier one."""
    with atomic_path(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in score_lines(scores)), encoding="utf8")


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
