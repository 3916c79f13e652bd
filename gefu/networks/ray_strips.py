"""A radiance field on the rays of a window, a few rows at a time.

The layers on samples write some 20 times what they read; a few rows of it fit into the cache. Only the 3-D U-Net sees
neighbours: its first layer takes the strips as they come, its last one is asked for strips.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from common.ops.view_sampling import sample_views
from common.ops.volume_sampling import sample_volume
from gefu.networks.depth import LevelDepth
from gefu.networks.nerf import SpatialViewAggregator
from gefu.networks.rendering import RaySamples, RenderedLevel, composite_samples, sample_rays
from gefu.networks.windows import row_strips

# Samples whose layers run together.
STRIP_SAMPLES = 16384


@dataclass(frozen=True)
class RayWindow:
    """The rays of a window and where to sample them; see `sample_rays`."""

    depth: LevelDepth
    origins: Float[Tensor, "B 3"]
    directions: Float[Tensor, "B H W 3"]
    across: Float[Tensor, "H W 2"]
    num_samples: int
    inverse: bool

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


def render_in_strips(
    radiance_field: SpatialViewAggregator,
    volume: Float[Tensor, "B 8 D h w"],
    rays: RayWindow,
    sources: tuple[Tensor, Tensor, Tensor, Tensor],
    crop: tuple[slice, slice],
    white_background: bool,
) -> RenderedLevel:
    """The picture of a window, cropped.

    Args:
        radiance_field: Of the level.
        volume: The level's feature volume.
        rays: Of the window.
        sources: Blend maps, intrinsics and poses of the source views, centre of the target: see `sample_views`.
        crop: Rows and columns of the window to return.
        white_background: See `composite_samples`.
    """
    _, height, width, _ = rays.directions.shape
    strips = row_strips(height, max(STRIP_SAMPLES // (width * rays.num_samples), 1))
    # Laid out as the sampling reads it, once and not for every strip.
    volume = volume.permute(0, 2, 3, 4, 1).contiguous().permute(0, 4, 1, 2, 3)
    known, first = [], _FirstLayer(radiance_field, height)
    for rows in strips:
        samples = rays.samples(rows)
        vectors = sample_views(sources[0], samples.points, *sources[1:])
        descriptor = radiance_field.describe(sample_volume(volume, samples.coordinates), vectors)
        first.append(radiance_field.lr0(descriptor))
        known.append((samples.z_vals, vectors, descriptor))

    hidden = radiance_field.regnet.decode_from(first.result())
    picture = _Picture(crop)
    for rows in strips:
        z_vals, vectors, descriptor = known.pop(0)
        x = _last_layer(radiance_field, hidden, rows)
        rgb, density, features = radiance_field.decode(x, descriptor, vectors)
        picture.write(composite_samples(rgb, density, features, z_vals, white_background), rows)
    return picture.result()


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

    def result(self) -> Float[Tensor, "B 8 N H W"]:
        """The convolution of all rows."""
        return torch.cat(self.results, dim=1).permute(0, 4, 3, 1, 2)


def _last_layer(
    radiance_field: SpatialViewAggregator, hidden: Float[Tensor, "B 8 N H W"], rows: slice
) -> Float[Tensor, "B h W N 64"]:
    """`regnet.head` of some rows."""
    top, bottom = max(rows.start - 1, 0), min(rows.stop + 1, hidden.shape[3])
    y = radiance_field.regnet.head(hidden[:, :, :, top:bottom])
    return y.permute(0, 3, 4, 2, 1)[:, rows.start - top : rows.stop - top]


class _Picture:
    """A cropped picture that strips are written into."""

    def __init__(self, crop: tuple[slice, slice]):
        self.rows, self.columns = crop
        self.maps: list[Tensor] = []

    def write(self, strip: RenderedLevel, rows: slice) -> None:
        """Keep what lies inside the crop."""
        start, stop = max(rows.start, self.rows.start), min(rows.stop, self.rows.stop)
        if start >= stop:
            return
        wanted = strip.cropped(slice(start - rows.start, stop - rows.start), self.columns)
        parts = wanted.image, wanted.depth, wanted.weights
        if not self.maps:
            height = self.rows.stop - self.rows.start
            self.maps = [part.new_empty(len(part), height, *part.shape[2:]) for part in parts]
        for whole, part in zip(self.maps, parts, strict=True):
            whole[:, start - self.rows.start : stop - self.rows.start] = part

    def result(self) -> RenderedLevel:
        """The whole of it."""
        return RenderedLevel(*self.maps)
