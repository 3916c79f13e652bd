"""The forward pass of `network.py` without gradients: tile by tile, in memory that does not grow with the picture.

The same modules in the same order. What a tile needs around it is computed with it (see `windows.py`); what needs the
whole picture is kept small: the coarse rendering and the target feature decoded from it (7 numbers per pixel), the
coarse depth, and the statistics of the group normalisations in `omega`, which take passes of their own when there is
more than one tile.
"""

from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from common.depth_hypotheses import regress
from common.feature_sampling import resize_window
from common.ops.plane_sweep import sweep_adaptive, sweep_variance, warp_features
from common.parallel import run_in_threads
from gefu.networks.batch_cameras import Batch, blend_cameras, sweep_matrix, target_rays
from gefu.networks.cost_volume import Statistics, enlarge, moments
from gefu.networks.depth import LevelDepth, coarse_hypotheses, fine_hypotheses
from gefu.networks.ray_strips import RayWindow, render_in_strips
from gefu.networks.rendering import RenderedLevel
from gefu.networks.settings import LevelSettings
from gefu.networks.windows import Window, row_strips, tiles, whole

if TYPE_CHECKING:
    from gefu.networks.network import Network, SourceFeatures

MAX_TILE_SIDE = 704
# Pixels of the full picture that a stage needs around its result, rounded up to what its networks can halve.
COARSE_RAYS_HALO = 160  # 37 pixels of `nerf_0.regnet` at 1/4
COARSE_VOLUME_HALO = 160  # 17 voxels of `cost_reg_0` and one of the resize at 1/8
DECODER_HALO = 32  # 21 pixels of `autoencoder`
FINE_RAYS_HALO = 48  # 37 pixels of `nerf_1.regnet`
FINE_VOLUME_HALO = 80  # 37 voxels of `cost_reg_1`, one of `omega` and one of the resize at 1/2
OMEGA_HALO = 16  # one voxel at 1/2
# Rows that are decoded together, and fused by one thread.
ROWS = 64
FUSION_ROWS = 16


class TiledRendering:
    """One target view.

    Args:
        network: In eval mode.
        features: Of the source views.
        batch: Cameras, see `Network.render_target`.
        size: Height and width of the target.
        max_side: Largest side of a tile in pixels; what is kept around tiles comes on top.
    """

    def __init__(
        self, network: "Network", features: "SourceFeatures", batch: Batch, size: tuple[int, int], max_side: int
    ):
        self.network, self.features, self.batch = network, features, batch
        self.picture = whole(*size)
        self.tiles = tiles(*size, max_side)
        self.outputs: dict[str, Tensor] = {}

    def run(self) -> dict[str, Tensor]:
        """The entries of `Network.render_target`."""
        for tile in self.tiles:
            self._coarse_tile(tile)
        near, far = (1.0 / self.batch["near_far"])[:, :, None, None].unbind(dim=1)
        mean = self.outputs.pop("disparity")
        self.outputs["depth_mvs_level0"] = 1.0 / mean
        coarse = LevelDepth(mean, self.outputs["std_level0"], near.expand_as(mean), far.expand_as(mean))
        target = statistics = None
        if self.network.settings.coarse.is_rendered:
            target = self.network.conv_transmit(self.outputs.pop("image").movedim(-1, 1))
            if len(self.tiles) > 1:
                statistics = self._omega_statistics(coarse, target)
        for tile in self.tiles:
            self._fine_tile(tile, coarse, target, statistics)
        maps = ("depth_mvs", "std")
        return {name: value if name.startswith(maps) else value.flatten(1, 2) for name, value in self.outputs.items()}

    def _coarse_tile(self, tile: Window) -> None:
        level = self.network.settings.coarse
        rays_window = tile.expanded(COARSE_RAYS_HALO, self.picture)
        window = rays_window.expanded(COARSE_VOLUME_HALO, self.picture)
        depth_values = coarse_hypotheses(self.batch["near_far"], level.num_planes, *window.size(level.volume_scale))
        matrix = sweep_matrix(self.batch, level, window.start(level.volume_scale))
        volume, logits = self.network.cost_reg_0(sweep_variance(self.features.level(0), matrix, depth_values))
        disparities = 1.0 / depth_values.clamp(min=1e-6)
        depth = LevelDepth(*regress(logits, disparities), disparities[:, 0], disparities[:, -1])
        self._place(tile, level.volume_scale, window, disparity=depth.mean, std_level0=depth.std)
        if level.is_rendered:
            rendered = self._render(0, volume, depth, window, rays_window, tile)
            self._place(tile, level.render_scale, tile, image=rendered.image, rgb_level0=rendered.rgb)
            self._place(tile, level.render_scale, tile, depth_level0=rendered.depth, weights_level0=rendered.weights)

    def _fine_tile(
        self, tile: Window, coarse: LevelDepth, target: Tensor | None, statistics: list[Statistics] | None
    ) -> None:
        level = self.network.settings.fine
        decoder_window = tile.expanded(DECODER_HALO, self.picture)
        rays_window = decoder_window.expanded(FINE_RAYS_HALO, self.picture)
        window = rays_window.expanded(FINE_VOLUME_HALO, self.picture)
        depth_values = self._fine_hypotheses(coarse, window)
        volume, logits = self.network.cost_reg_1(self._fine_cost_volume(depth_values, window, target, statistics))
        depth = LevelDepth(*regress(logits, depth_values), depth_values[:, 0], depth_values[:, -1])
        self._place(tile, level.volume_scale, window, depth_mvs_level1=depth.mean, std_level1=depth.std)
        if not level.is_rendered:
            return
        rendered = self._render(1, volume, depth, window, rays_window, decoder_window)
        del volume, logits
        self._fuse(rendered, decoder_window, tile)

    def _fuse(self, rendered: RenderedLevel, window: Window, tile: Window) -> None:
        """Decode the picture of a window and fuse the colours of the tile inside it."""
        rows, columns = tile.slices(inside=window)
        part = rendered.cropped(rows, columns)
        self._place(tile, 1.0, tile, depth_level1=part.depth, weights_level1=part.weights)
        strips = [
            slice(rows.start + strip.start, rows.start + strip.stop) for strip in row_strips(tile.size()[0], ROWS)
        ]
        image = rendered.image.movedim(-1, 1)
        decoded = self.network.autoencoder.decode_in_strips(image, window, self.picture, strips)
        for strip, features in zip(strips, decoded, strict=True):
            parts = row_strips(strip.stop - strip.start, FUSION_ROWS)
            tasks = [partial(self._fuse_rows, rendered, features, window, tile, strip, rows) for rows in parts]
            for place, fused in run_in_threads(tasks):
                self._place(place, 1.0, place, **fused)

    def _fuse_rows(
        self,
        rendered: RenderedLevel,
        decoded: Float[Tensor, "B 64 h w"],
        window: Window,
        tile: Window,
        strip: slice,
        rows: slice,
    ) -> tuple[Window, dict[str, Tensor]]:
        """Fuse some rows of a strip of a window, which is decoded; returns them with their place."""
        columns = tile.slices(inside=window)[1]
        place = slice(strip.start + rows.start, strip.start + rows.stop)
        part = rendered.cropped(place, columns)
        features = decoded[:, :, rows, columns].movedim(1, -1)
        target = Window(window.top + place.start, window.top + place.stop, tile.left, tile.right)
        return target, self.network.fuse(part, features, self.features, self.batch, target.start())

    def _render(
        self,
        index: int,
        volume: Float[Tensor, "B 8 D h w"],
        depth: LevelDepth,
        volume_window: Window,
        window: Window,
        wanted: Window,
    ) -> RenderedLevel:
        """The level's radiance field on the rays of `window`; the picture of `wanted` inside it."""
        level, radiance_field = self.network.level(index)
        size = self.picture.size(level.render_scale)
        depth = self._resized(depth, volume_window, level.volume_scale, window, level.render_scale)
        origins, directions = target_rays(self.batch, index, level, size, window.slices(level.render_scale))
        across = self._across(level, volume_window, window).to(volume)
        sources = self.features.blend_maps[index], *blend_cameras(self.batch, level)
        # Laid out as the sampling reads it, once and not for every strip.
        volume = volume.permute(0, 2, 3, 4, 1).contiguous().permute(0, 4, 1, 2, 3)
        rays = RayWindow(depth, origins, directions, across, level.num_samples, index == 0, volume, sources)
        crop = wanted.slices(level.render_scale, inside=window)
        return render_in_strips(radiance_field, rays, crop, self.network.settings.white_background)

    def _across(self, level: LevelSettings, volume_window: Window, window: Window) -> Float[Tensor, "H W 2"]:
        """Where the pixels of a window lie across the volume of another, 0 to 1, in x and y."""
        axes = []
        for axis, part in enumerate(window.slices(level.render_scale)):
            side, voxels = self.picture.size(level.render_scale)[axis], self.picture.size(level.volume_scale)[axis]
            position = torch.arange(part.start, part.stop, dtype=torch.float64) / (side - 1) * (voxels - 1)
            start, length = volume_window.start(level.volume_scale)[axis], volume_window.size(level.volume_scale)[axis]
            axes.append((position - start) / (length - 1))
        y, x = torch.meshgrid(*axes, indexing="ij")
        return torch.stack([x, y], dim=-1)

    def _fine_hypotheses(self, coarse: LevelDepth, window: Window) -> Float[Tensor, "B D H W"]:
        scales = self.network.settings.coarse.volume_scale, self.network.settings.fine.volume_scale
        coarse = self._resized(coarse, self.picture, scales[0], window, scales[1])
        return fine_hypotheses(coarse, self.network.settings.fine.num_planes)

    def _fine_cost_volume(
        self,
        depth_values: Float[Tensor, "B D H W"],
        window: Window,
        target: Float[Tensor, "B 16 h w"] | None,
        statistics: list[Statistics] | None,
    ) -> Float[Tensor, "B 32 D H W"]:
        level, omega = self.network.settings.fine, self.network.omega
        features, matrix = self.features.level(1), sweep_matrix(self.batch, level, window.start(level.volume_scale))
        if target is None:
            return sweep_variance(features, matrix, depth_values)
        target = enlarge(window.crop(target, level.volume_scale / 2), window.size(level.volume_scale))

        def weigh(squared_difference: Tensor, plane: int) -> Tensor:
            if statistics is None:
                return 1.0 + omega(squared_difference)
            return 1.0 + omega.with_statistics(squared_difference, [entry.of_plane(plane) for entry in statistics])

        return sweep_adaptive(features, matrix, depth_values, target, weigh)

    def _omega_statistics(self, coarse: LevelDepth, target: Float[Tensor, "B 16 h w"]) -> list[Statistics]:
        """Mean and deviation in front of each group normalisation over whole planes, one pass over the tiles each."""
        level, omega, statistics = self.network.settings.fine, self.network.omega, []
        for _ in range(omega.num_norms):
            sums = []
            for tile in self.tiles:
                window = tile.expanded(OMEGA_HALO, self.picture)
                matrix = sweep_matrix(self.batch, level, window.start(level.volume_scale))
                warped = warp_features(self.features.level(1), matrix, self._fine_hypotheses(coarse, window))
                part = window.crop(target, level.volume_scale / 2)
                sums.append(moments(warped, part, omega, statistics, tile.slices(level.volume_scale, window)))
            statistics.append(Statistics.from_moments(sums))
        return statistics

    def _resized(
        self, depth: LevelDepth, window: Window, scale: float, new_window: Window, new_scale: float
    ) -> LevelDepth:
        """Maps known in a window, resized and cut to another window inside it."""
        old_size, new_size = self.picture.size(scale), self.picture.size(new_scale)
        slices = new_window.slices(new_scale)
        return LevelDepth(
            *resize_window(depth.stacked(), window.start(scale), old_size, slices, new_size).unbind(dim=1)
        )

    def _place(self, tile: Window, scale: float, inside: Window, **values: Tensor) -> None:
        """Keep the tile's part of results (`B H W ...`) that were computed in the window `inside`."""
        rows, columns = tile.slices(scale, inside)
        for name, value in values.items():
            part = value[:, rows, columns]
            if tile == self.picture:
                self.outputs[name] = part
                continue
            if name not in self.outputs:
                shape = (len(part), *self.picture.size(scale), *part.shape[3:])
                self.outputs[name] = part.new_empty(shape)
            self.outputs[name][(slice(None), *tile.slices(scale))] = part
