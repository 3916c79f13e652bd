"""Details of a view, enlarged: what full pictures on a page are too small to show."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from common.demo.blocks import Picture
from common.demo.compare import Outcome
from common.metrics.images import psnr
from common.visualization import to_uint8

SHARE = 0.2  # of the picture's width that a detail shows
ENLARGED = 3


def closeup_rows(
    outcomes: Sequence[Outcome], scene: int, view: int, truth: Float[np.ndarray, "H W 3"], name: str, count: int
) -> list[tuple[str, list[Picture]]]:
    """One row per detail: the photograph and every contestant, with the PSNR of the detail alone.

    The details are those parts of the photograph that vary most from pixel to pixel; no rendering has a say in it.
    """
    rows = []
    for number, window in enumerate(busiest_windows(truth, count), 1):
        pictures = [Picture(_enlarged(truth[window]), f"Detail {number} of the photograph of {name}", "Photograph")]
        for outcome in outcomes:
            part, title = outcome.targets[scene][view].rgb[window], outcome.contestant.title
            quality = f"{psnr(part.clip(0, 1), truth[window]):.2f} dB"
            pictures.append(Picture(_enlarged(part), f"Detail {number} of {name} rendered by {title}", title, quality))
        rows.append((f"Detail {number}", pictures))
    return rows


def busiest_windows(picture: Float[np.ndarray, "H W 3"], count: int) -> list[tuple[slice, slice]]:
    """Windows of 3 : 2 with the strongest differences between neighbouring pixels, apart from each other."""
    height, width = picture.shape[:2]
    w = max(8, min(width, round(SHARE * width)))
    h = max(8, min(height, round(w * 2 / 3)))
    grey = picture.mean(axis=-1).astype(np.float32)
    # Differences of neighbours, limited so that fine detail counts and not a single outline.
    steps = np.zeros_like(grey)
    steps[:, 1:] += np.minimum(np.abs(np.diff(grey, axis=1)), 0.2)
    steps[1:] += np.minimum(np.abs(np.diff(grey, axis=0)), 0.2)
    score = cv2.boxFilter(steps, -1, (w, h), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)[
        : height - h + 1, : width - w + 1
    ]
    score, found = score.copy(), []
    for _ in range(count):
        y, x = np.unravel_index(score.argmax(), score.shape)
        found.append((slice(int(y), int(y) + h), slice(int(x), int(x) + w)))
        score[max(y - h, 0) : y + h, max(x - w, 0) : x + w] = -1
    return found


def _enlarged(part: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "H W 3"]:
    return np.repeat(np.repeat(to_uint8(part), ENLARGED, axis=0), ENLARGED, axis=1)
