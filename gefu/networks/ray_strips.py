"""A radiance field on the rays of a window, a few rows at a time.

The layers on samples write some 20 times what they read; a few rows of it fit into the cache. Only the 3-D U-Net sees
neighbours: its first layer takes the strips as they come, its last one is asked for strips. On the CPU every thread
works on a band of rows.
"""

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from common.ops.view_sampling import sample_views
from common.ops.volume_sampling import sample_volume
from common.parallel import run_in_threads, split_evenly
from gefu.networks.depth import LevelDepth
from gefu.networks.nerf import POINT_CHANNELS, SpatialViewAggregator
from gefu.networks.rendering import RaySamples, RenderedLevel, composite_samples, sample_rays
from gefu.networks.windows import row_strips

# Samples whose layers run together; a GPU wants more of them.
STRIP_SAMPLES = {"cpu": 12288, "cuda": 1048576}


@dataclass(frozen=True)
class RayWindow:
    """The rays of a window, where to sample them and what the samples see.

    Attributes:
        depth: The level's maps, of the window.
        origins: Centre of the target camera.
        directions: Of unit z, through every pixel of the window.
        across: (x, y) of every pixel across `volume`, 0 to 1.
        num_samples: Per ray.
        inverse: The level works in disparity.
        volume: The level's feature volume.
        sources: Blend maps, intrinsics and poses of the source views, centre of the target: see `sample_views`.
    """

    depth: LevelDepth
    origins: Float[Tensor, "B 3"]
    directions: Float[Tensor, "B H W 3"]
    across: Float[Tensor, "H W 2"]
    num_samples: int
    inverse: bool
    volume: Float[Tensor, "B 8 D h w"]
    sources: tuple[Tensor, Tensor, Tensor, Tensor]

    def samples(self, rows: slice) -> RaySamples:
        """Samples on the rays of some rows."""
        return sample_rays(
            self.depth.rows(rows.start, rows.stop),
            self.origins,
            self.directions[:, rows],
            self.across[rows],
            self.num_samples,
            self.inverse,
        )


@dataclass(frozen=True)
class DescribedStrip:
    """What the first pass over some rows leaves for the second."""

    rows: slice
    z_vals: Float[Tensor, "B h W N"]
    view_vectors: Float[Tensor, "B S h W N C"]
    descriptor: Float[Tensor, "B h W N 24"]


def render_in_strips(
    radiance_field: SpatialViewAggregator, rays: RayWindow, crop: tuple[slice, slice], white_background: bool
) -> RenderedLevel:
    """The picture of a window, cropped.

    Args:
        radiance_field: Of the level.
        rays: Of the window.
        crop: Rows and columns of the window to return.
        white_background: See `composite_samples`.
    """
    B, height, width, _ = rays.directions.shape
    device = rays.volume.device.type
    strip_rows = max(STRIP_SAMPLES.get(device, STRIP_SAMPLES["cuda"]) // (width * rays.num_samples), 1)
    bands = split_evenly(height, torch.get_num_threads() if device == "cpu" else 1)

    described = run_in_threads([partial(_describe, radiance_field, rays, band, strip_rows) for band in bands])
    hidden = torch.cat([first_layer for _, first_layer in described], dim=1).permute(0, 4, 3, 1, 2)
    hidden = radiance_field.regnet.decode_from(hidden)
    picture = _empty_picture(rays.volume, (B, crop[0].stop - crop[0].start, crop[1].stop - crop[1].start), rays)

    def decode(strips: list[DescribedStrip]) -> None:
        while strips:
            strip = strips.pop(0)
            x = _last_layer(radiance_field, hidden, strip.rows)
            rgb, density, features = radiance_field.decode(x, strip.descriptor, strip.view_vectors)
            rendered = composite_samples(rgb, density, features, strip.z_vals, white_background)
            _paste(picture, rendered, strip.rows, crop)

    run_in_threads([partial(decode, strips) for strips, _ in described])
    return picture


def _describe(
    radiance_field: SpatialViewAggregator, rays: RayWindow, band: slice, strip_rows: int
) -> tuple[list[DescribedStrip], Float[Tensor, "B h W N 8"]]:
    """First pass over a band: the samples' descriptors, and the first layer of `regnet`."""
    height = rays.directions.shape[1]
    # The first layer of a row needs the rows next to it.
    near = slice(max(band.start - 1, 0), min(band.stop + 1, height))
    own = row_strips(band.stop - band.start, strip_rows, start=band.start)
    above, below = row_strips(band.start - near.start, 1, near.start), row_strips(near.stop - band.stop, 1, band.stop)
    first, strips = _FirstLayer(radiance_field, near.stop - near.start), []
    for rows in [*above, *own, *below]:
        samples = rays.samples(rows)
        vectors = sample_views(rays.sources[0], samples.points, *rays.sources[1:])
        descriptor = radiance_field.describe(sample_volume(rays.volume, samples.coordinates), vectors)
        first.append(radiance_field.lr0(descriptor))
        if rows in own:
            strips.append(DescribedStrip(rows, samples.z_vals, vectors, descriptor))
    return strips, first.result()[:, band.start - near.start : band.stop - near.start]


class _FirstLayer:
    """`regnet.conv0` of rows that come strip by strip; a row's result waits for the row after it."""

    def __init__(self, radiance_field: SpatialViewAggregator, height: int):
        self.convolution, self.height = radiance_field.regnet.conv0, height
        self.waiting: Tensor | None = None
        self.seen = 0
        self.finished = 0
        self.results: list[Tensor] = []

    def append(self, x: Float[Tensor, "B h W N 64"]) -> None:
        """Take the next rows."""
        self.seen += x.shape[1]
        x = x if self.waiting is None else torch.cat([self.waiting, x], dim=1)
        top = self.seen - x.shape[1]
        stop = self.height if self.seen == self.height else self.seen - 1
        y = self.convolution(x.permute(0, 4, 3, 1, 2)).permute(0, 3, 4, 2, 1)
        self.results.append(y[:, self.finished - top : stop - top])
        self.finished = stop
        self.waiting = x[:, max(stop - 1, 0) - top :]

    def result(self) -> Float[Tensor, "B H W N 8"]:
        """The convolution of all rows."""
        return torch.cat(self.results, dim=1)


def _last_layer(
    radiance_field: SpatialViewAggregator, hidden: Float[Tensor, "B 8 N H W"], rows: slice
) -> Float[Tensor, "B h W N 64"]:
    """`regnet.head` of some rows."""
    top, bottom = max(rows.start - 1, 0), min(rows.stop + 1, hidden.shape[3])
    y = radiance_field.regnet.head(hidden[:, :, :, top:bottom])
    return y.permute(0, 3, 4, 2, 1)[:, rows.start - top : rows.stop - top]


def _empty_picture(like: Tensor, size: tuple[int, int, int], rays: RayWindow) -> RenderedLevel:
    return RenderedLevel(
        image=like.new_empty(*size, POINT_CHANNELS + 3),
        depth=like.new_empty(size),
        weights=like.new_empty(*size, rays.num_samples),
    )


def _paste(picture: RenderedLevel, strip: RenderedLevel, rows: slice, crop: tuple[slice, slice]) -> None:
    """Write rows of the window into the picture that is cropped from it."""
    start, stop = max(rows.start, crop[0].start), min(rows.stop, crop[0].stop)
    if start >= stop:
        return
    wanted = strip.cropped(slice(start - rows.start, stop - rows.start), crop[1])
    place = slice(start - crop[0].start, stop - crop[0].start)
    picture.image[:, place] = wanted.image
    picture.depth[:, place] = wanted.depth
    picture.weights[:, place] = wanted.weights
