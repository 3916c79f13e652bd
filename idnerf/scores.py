"""How good rendered pictures are, by the paper's measures, and the file that says so (spec 8).

    DTU             pixels without raw depth are black in both pictures; PSNR is over the others
    LLFF, COLMAP    a tenth is cut off at each side
    *_Full          whole pictures, with `report_full_scores`

A results file, `test/0results_{dataset}.txt`, grows with every test: a line for each view, for each scene its mean, and
the mean over all views.
"""

import functools
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float

from common.io.atomic import atomic_path
from common.metrics.lpips import Lpips, load_lpips
from common.metrics.protocols import Protocol, find_protocol, score_image

MASKED, CENTER, FULL = "idnerf", "idnerf_center", "idnerf_full"
MEASURES = ("PSNR", "SSIM", "LPIPS")
_LOGGER = logging.getLogger(__name__)


class ViewScores(NamedTuple):
    """What was measured of a view: `PSNR`, `SSIM`, `LPIPS`, and perhaps each `_Full`; NaN where it could not be."""

    scene: str
    view: int
    values: dict[str, float]


@functools.cache
def published_lpips(device: torch.device) -> Lpips | None:
    """LPIPS with the paper's backbone; None, and a line in the log, where its weights are not on this machine."""
    try:
        return load_lpips("vgg", device)
    except FileNotFoundError as error:
        _LOGGER.warning("LPIPS is nan: %s", error)
        return None


def protocols_of(has_depth: bool, full: bool) -> dict[str, Protocol]:
    """The definitions to score by, by what is added to the names of the measures."""
    main = find_protocol(MASKED if has_depth else CENTER)
    return {"": main, "_Full": find_protocol(FULL)} if full else {"": main}


def score_view(
    prediction: Float[np.ndarray, "H W 3"],
    truth: Float[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"] | None = None,
    full: bool = False,
    lpips: Lpips | None = None,
) -> dict[str, float]:
    """The measures of one picture.

    Args:
        prediction: As rendered, not clipped.
        truth: The photograph.
        mask: Pixels whose true depth is known (DTU); None for data without depth.
        full: Also the measures of the whole, unmasked pictures.
        lpips: With VGG; None leaves NaN.

    Raises:
        ValueError: No pixel counts, or the pictures are too small for SSIM.
    """
    values = {}
    for ending, protocol in protocols_of(mask is not None, full).items():
        found = score_image(prediction, truth, protocol, mask, lpips)
        for name, value in zip(MEASURES, (found.psnr, found.ssim, found.lpips), strict=True):
            values[name + ending] = math.nan if value is None else value
    return values


def mean_scores(views: Sequence[ViewScores]) -> dict[str, float]:
    """Means over views, without the measures that a view lacks."""
    means = {name: float(np.mean([view.values[name] for view in views])) for name in (views[0].values if views else ())}
    return {name: value for name, value in means.items() if not math.isnan(value)}


def results_lines(dataset: str, views: Sequence[ViewScores], setting: str = "Nearest 3") -> Iterator[str]:
    """The lines that a test adds to a results file.

    Args:
        dataset: "dtu", "llff" or "colmap".
        views: In order, all of a scene together.
        setting: How sources were chosen and how many.
    """
    title = dataset.upper()
    yield f"------------ {title} {setting} ------------"
    for scene, members in groupby(views, key=lambda view: view.scene):
        members = list(members)
        for view in members:
            yield f"==> view: {scene}_{view.view:03d}, {_spelt(view.values)}"
        yield f"====> scene: {scene}, {_spelt(_means(members))}"
    yield f"======> {title}, {_spelt(_means(views))}"


def add_results(path: Path, lines: Iterator[str]) -> None:
    """Put lines at the end of a results file."""
    before = path.read_text(encoding="utf8") if path.is_file() else ""
    with atomic_path(path) as temporary:
        temporary.write_text(before + "".join(f"{line}\n" for line in lines), encoding="utf8")


def _means(views: Sequence[ViewScores]) -> dict[str, float]:
    return {name: math.nan for name in views[0].values} | mean_scores(views)


def _spelt(values: Mapping[str, float]) -> str:
    return "".join(f"{name}: {value}, " for name, value in values.items()).rstrip()
