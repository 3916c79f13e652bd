"""Validation during training (spec 9.2): pictures of whole views, their scores, and the losses on them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm

from common.io.images import write_image
from common.metrics.protocols import find_protocol, score_image
from common.visualization import side_by_side, to_uint8
from neuray_mrvm.losses import compute_losses
from neuray_mrvm.view_batch import TrainingItem

PASSES = ("nr", "dr", "nr_fine", "dr_fine")
PROTOCOL = "neuray_mrvm_validation"
_LARGEST_PNG = 64  # pixels a side: larger strips become JPEG files


def validate(
    network: nn.Module,
    items: Iterable[TrainingItem],
    cfg: Mapping[str, Any],
    folder: Path,
    device: torch.device,
) -> dict[str, float]:
    """Render every item and score it by the metrics and losses of the config.

    Args:
        network: On `device`; left in eval mode.
        items: With full pictures as queries.
        cfg: Settings.
        folder: Where pictures go, as `step-<step>-index-<number>.jpg`.
        device: Of the network.

    Returns:
        Mean of every metric over the items.
    """
    network.eval()
    values: dict[str, list[float]] = defaultdict(list)
    for number, item in enumerate(
        tqdm(items, desc=f"validation {folder.name}", unit="view", leave=False, disable=None)
    ):
        item = item.to(device)
        with torch.no_grad():
            outputs = network(item)
            terms = compute_losses([*cfg["loss"]], outputs, item, cfg)
        for name, value in terms.items():
            values[name].append(value.mean().item())
        shown = pictures(outputs, item.query.size)
        if "psnr_ssim" in cfg["val_metric"]:
            for name, value in scores(shown, cfg["eval_margin_ratio"]).items():
                values[name].append(value)
        if "vis_img" in cfg["val_metric"]:
            height, width = item.query.size
            suffix = "png" if max(height, width) <= _LARGEST_PNG else "jpg"
            strip = side_by_side([to_uint8(picture) for picture in shown.values()])
            write_image(folder / f"step-{item.step}-index-{number}.{suffix}", strip)
    return {name: float(np.mean(numbers)) for name, numbers in values.items()}


def pictures(outputs: Mapping[str, Tensor], size: tuple[int, int]) -> dict[str, Float[np.ndarray, "h w 3"]]:
    """The photograph under `gt`, then every pass's picture."""
    names = ["gt", *(name for name in PASSES if f"pixel_colors_{name}" in outputs)]
    return {name: outputs[f"pixel_colors_{name}"].reshape(*size, 3).cpu().numpy() for name in names}


def scores(shown: Mapping[str, Float[np.ndarray, "h w 3"]], margin_ratio: float = 1.0) -> dict[str, float]:
    """`psnr_<pass>` and `ssim_<pass>` of 8-bit pictures.

    Args:
        shown: See `pictures`.
        margin_ratio: Only the middle of the picture counts, so much of its height and width.
    """
    protocol = find_protocol(PROTOCOL, round((1 - margin_ratio) / 2, 6))  # 0.1, not 0.0999...
    found = {}
    for name, picture in shown.items():
        if name != "gt":
            score = score_image(picture, shown["gt"], protocol)
            found |= {f"psnr_{name}": score.psnr, f"ssim_{name}": score.ssim}
    return found
