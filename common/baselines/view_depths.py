"""Depth maps of photographs without learning, for methods that read depth where nobody measured it.

Planes are swept through each photograph's frustum with its nearest neighbours; a depth that no neighbour's map has too
is not believed, as in COLMAP's "geometric" maps. With three photographs that is a quarter of the pixels. They get the
depth of the nearest pixel that is believed: NeuRay, which reads such maps, takes an unknown depth for the nearest
possible one, and would see walls in front of the cameras.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from common.baselines.depth_fusion import DepthFusionSettings, DepthView, agreeing, swept_depth
from common.baselines.source_views import PosedImage, TargetView


@dataclass(frozen=True)
class ViewDepthSettings:
    """All parameters.

    Attributes:
        num_neighbors: Photographs that each one is compared with, the nearest ones.
        sweep: Of the sweep and of what counts as agreement.
    """

    num_neighbors: int = 4
    sweep: DepthFusionSettings = field(default_factory=lambda: DepthFusionSettings(planes=96, tolerance=0.02))


def view_depths(
    photographs: Sequence[PosedImage],
    near_fars: Sequence[tuple[float, float]],
    settings: ViewDepthSettings | None = None,
) -> list[Float[np.ndarray, "_ _"]]:
    """Depth of every photograph at its own size, z along its optical axis; 0 everywhere if no pixel's is known.

    Args:
        photographs: At least two of one scene.
        near_fars: Depth bounds of each.
        settings: See there.

    Raises:
        ValueError: Fewer than two photographs.
    """
    if len(photographs) < 2:
        raise ValueError(f"a plane sweep compares photographs and needs at least 2 of them, got {len(photographs)}")
    settings = settings or ViewDepthSettings()
    views = [_swept_view(*pair, settings) for pair in zip(photographs, near_fars, strict=True)]
    near = [_neighbors(photographs, index, settings.num_neighbors) for index in range(len(views))]
    numbers = tqdm(range(len(views)), desc="plane sweep", unit="view", disable=None)
    swept = []
    for index in numbers:
        compared = [photographs[index], *(photographs[other] for other in near[index])]
        swept.append(DepthView(views[index], swept_depth(views[index], compared, 0, settings.sweep)))
    return list(_confirmed(swept, near, [photograph.image.shape[:2] for photograph in photographs], settings))


def _confirmed(
    swept: Sequence[DepthView],
    near: Sequence[Sequence[int]],
    sizes: Sequence[tuple[int, int]],
    settings: ViewDepthSettings,
) -> Iterator[Float[np.ndarray, "H W"]]:
    for index, (height, width) in enumerate(sizes):
        kept = agreeing(swept[index], [swept[other] for other in near[index]], settings.sweep)
        depth = _filled(np.nan_to_num(kept.depth, nan=0.0).astype(np.float32))
        yield cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST)


def _filled(depth: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Unknown depths (0) are those of the nearest known pixel."""
    unknown = (depth == 0).astype(np.uint8)
    if unknown.all():
        return depth
    _, label = cv2.distanceTransformWithLabels(unknown, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    of_label = np.zeros(label.max() + 1, np.float32)
    of_label[label[unknown == 0]] = depth[unknown == 0]
    return of_label[label]


def _swept_view(photograph: PosedImage, near_far: tuple[float, float], settings: ViewDepthSettings) -> TargetView:
    height, width = photograph.image.shape[:2]
    view = TargetView(photograph.intrinsics, photograph.world_to_cam, height, width, near_far)
    return view.with_at_most(settings.sweep.sweep_pixels)


def _neighbors(photographs: Sequence[PosedImage], index: int, count: int) -> list[int]:
    """The nearest other photographs."""
    centers = np.stack([photograph.center for photograph in photographs])
    order = np.argsort(np.linalg.norm(centers - centers[index], axis=1), kind="stable")
    return [int(other) for other in order if other != index][:count]
