"""Crops and flips of forward-facing training scenes (spec 3.6 step 7)."""

from dataclasses import replace

import numpy as np
import torch

from neuray_mrvm.view_batch import ViewBatch


def random_crop(batches: list[ViewBatch], size: tuple[int, int], generator: np.random.Generator) -> list[ViewBatch]:
    """The same random part of (height, width) of all views; unchanged where a picture is not larger than that."""
    (height, width), smallest = size, [min(sides) for sides in zip(*(batch.size for batch in batches), strict=True)]
    rows = (height // 2 + 1, smallest[0] - height // 2 - 1)
    columns = (width // 2 + 1, smallest[1] - width // 2 - 1)
    if rows[0] >= rows[1] or columns[0] >= columns[1]:
        return batches
    center = int(generator.integers(*rows)), int(generator.integers(*columns))
    return [cropped(batch, size, center) for batch in batches]


def cropped(views: ViewBatch, size: tuple[int, int], center: tuple[int, int]) -> ViewBatch:
    """A part of the pictures.

    Args:
        views: The views.
        size: (height, width) of the part.
        center: Its row and column; the pixel below and to the right of the middle where the size is even.
    """
    top, left = center[0] - size[0] // 2, center[1] - size[1] // 2
    part = (..., slice(top, top + size[0]), slice(left, left + size[1]))
    shift = torch.tensor([[0.0, 0.0, left], [0.0, 0.0, top], [0.0, 0.0, 0.0]])
    return replace(views, **_maps(views, lambda pixels: pixels[part]), Ks=views.Ks - shift, size=size)


def flipped(views: ViewBatch) -> ViewBatch:
    """The pictures mirrored; fx becomes negative, which mirrors the rays."""
    mirror = torch.tensor([[-1.0, 0.0, views.size[1] - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    return replace(views, **_maps(views, lambda pixels: pixels.flip(-1)), Ks=mirror @ views.Ks)


def _maps(views: ViewBatch, change) -> dict[str, torch.Tensor]:
    names = ("imgs", "masks", "depth", "true_depth")
    return {name: change(value).contiguous() for name in names if (value := getattr(views, name)) is not None}
