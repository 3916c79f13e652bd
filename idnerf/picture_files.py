"""Pictures that tests and validation leave (spec 8).

test/{dataset}/[ep{epoch}_it{iteration}_]{item}.jpg     depth colours, prediction and photograph side by side
test/{dataset}/[ep{epoch}_it{iteration}_]{item}.png     the prediction alone, every 8-bit value as it was rendered
validation/{scene}_view{view}_it{iteration}.jpg         as the first
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.io.images import write_image
from common.visualization import side_by_side, to_uint8
from idnerf.depth_colors import depth_colors


def write_strip(
    path: Path,
    prediction: Float[np.ndarray, "H W 3"],
    truth: Float[np.ndarray, "H W 3"],
    depth: Float[np.ndarray, "H W"] | None,
    near_far: tuple[float, float],
) -> None:
    """Prediction and photograph side by side, after the colours of the depth where it is given."""
    pictures = [to_uint8(prediction), to_uint8(truth)]
    if depth is not None:
        pictures.insert(0, depth_colors(depth, near_far))
    write_image(path, side_by_side(pictures))


def write_prediction(path: Path, prediction: Float[np.ndarray, "H W 3"]) -> None:
    """The prediction as a PNG, which keeps what was rendered."""
    write_image(path, to_uint8(prediction))


def stage_prefix(epoch: int | None, iteration: int | None) -> str:
    """`ep{epoch}_it{iteration}_` of pictures made while a run trains; empty outside of training."""
    return "" if epoch is None else f"ep{epoch}_it{iteration}_"
