"""GeFu: a target view from a few posed source views, in one forward pass (https://arxiv.org/abs/2404.17528).

    source features -> coarse plane sweep -> coarse radiance field -> fine plane sweep -> fine radiance field -> fusion

Attributes that own parameters keep the names of the released checkpoint. Batch and result keep the paper's keys.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from common.depth_hypotheses import regress
from common.feature_sampling import resize
from common.memory import keep_freed_memory
from common.models.mlp import linear_relu
from common.ops.plane_sweep import sweep_variance, warp_features
from common.ops.view_sampling import sample_views
from common.ops.volume_sampling import sample_volume
from common.rays import pixel_grid
from gefu.networks.batch_cameras import Batch, blend_cameras, scaled, sweep_matrix, target_matrix, target_rays
from gefu.networks.cost_reg_net import CoarseCostRegNet, FineCostRegNet
from gefu.networks.cost_volume import ConsistencyWeight, adaptive_cost_aggregation
from gefu.networks.depth import LevelDepth, coarse_hypotheses, fine_hypotheses
from gefu.networks.feature_net import FeatureNet, FeaturePyramid, ImageDecoder
from gefu.networks.fusion import color_head, consistency_aware_fusion, inconsistency, score_head
from gefu.networks.nerf import POINT_CHANNELS, SpatialViewAggregator
from gefu.networks.rendering import RenderedLevel, composite_samples, sample_rays
from gefu.networks.settings import LevelSettings, NetworkSettings, settings_from_config
from gefu.networks.tiled import MAX_TILE_SIDE, TiledRendering

IMAGE_CHANNELS = POINT_CHANNELS + 3


def build_network(cfg: Any) -> "Network":
    """The network of a resolved config."""
    return Network(settings_from_config(cfg))


@dataclass(frozen=True)
class SourceFeatures:
    """All that the network knows about a set of source views before a target is chosen.

    Attributes:
        pyramid: Features at 1/4, 1/2 and full size, views and batch on one axis.
        blend_maps: Per level, the features and colours that are read along the rays.
        size: Height and width of the source images.
    """

    pyramid: FeaturePyramid
    blend_maps: tuple[Float[Tensor, "B S C0 h0 w0"], Float[Tensor, "B S C1 h1 w1"]]
    size: tuple[int, int]

    def level(self, index: int) -> Float[Tensor, "B S C h w"]:
        """A level of the pyramid, views on their own axis."""
        return self.pyramid[index].unflatten(0, self.blend_maps[0].shape[:2])


class Network(nn.Module):
    """The whole of GeFu; `forward` takes the batch of the loaders and returns the entries listed in the README.

    Height and width are multiples of 32, at least two source views. Batches larger than 1 are joint batches. Train and
    eval mode differ in batch normalisation only.
    """

    def __init__(self, settings: NetworkSettings | None = None):
        super().__init__()
        self.settings = settings or NetworkSettings()
        self.feature_net = FeatureNet()
        self.cost_reg_0 = CoarseCostRegNet(2 * 32)
        self.nerf_0 = SpatialViewAggregator(self.settings.coarse.blend_channels)
        self.cost_reg_1 = FineCostRegNet(2 * 16)
        self.nerf_1 = SpatialViewAggregator(self.settings.fine.blend_channels)
        self.autoencoder = ImageDecoder(IMAGE_CHANNELS, 64, 64)
        self.conv_transmit = ImageDecoder(IMAGE_CHANNELS, 16, 16)
        self.color_rf = color_head()
        self.omega = ConsistencyWeight(16)
        self.out_rf = linear_relu(64 + 3, 8)
        self.out_nf = linear_relu(IMAGE_CHANNELS, 8)
        self.wgt_rf = score_head()
        self.wgt_nf = score_head()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.render_target(self.encode(batch["src_inps"]), batch)

    def encode(self, src_inps: Float[Tensor, "B S 3 H W"]) -> SourceFeatures:
        """Features of the source views (values -1 to 1); needed once per set of sources."""
        B, S, _, H, W = src_inps.shape
        check_size(H, W, "source images")
        if S < 2:
            raise ValueError(f"expected at least 2 source views (the variance over one view is undefined), got {S}")
        if src_inps.device.type == "cpu":
            keep_freed_memory()
        pyramid = self.feature_net(src_inps.flatten(0, 1))
        colors = src_inps.flatten(0, 1) * 0.5 + 0.5
        maps = []
        for level in (self.settings.coarse, self.settings.fine):
            features = resize(pyramid[level.blend_level], level.render_scale / level.blend_scale)
            seen = torch.cat([features, resize(colors, level.render_scale)], dim=1)
            # Channels innermost: sampling reads all channels of a pixel at once.
            maps.append(seen.contiguous(memory_format=torch.channels_last).unflatten(0, (B, S)))
        return SourceFeatures(pyramid, tuple(maps), (H, W))

    def render_target(
        self, features: SourceFeatures, batch: Batch, size: tuple[int, int] | None = None, max_side: int = MAX_TILE_SIDE
    ) -> dict[str, Tensor]:
        """The target view of `batch` (`src_exts src_ixts tar_ext tar_ixt near_far`).

        In eval mode without gradients the same is computed tile by tile, faster and in bounded memory.

        Args:
            features: Of the batch's source views.
            batch: Cameras; intrinsics at the full image size.
            size: Height and width of the target, by default those of the source images.
            max_side: Largest side of such a tile in pixels.
        """
        height, width = size or features.size
        check_size(height, width, "the target")
        if not self.training and not torch.is_grad_enabled():
            return TiledRendering(self, features, batch, (height, width), max_side).run()
        return self.render_whole(features, batch, (height, width))

    def render_whole(self, features: SourceFeatures, batch: Batch, size: tuple[int, int]) -> dict[str, Tensor]:
        """The forward pass as the paper draws it."""
        coarse, fine = self.settings.coarse, self.settings.fine

        depth_values = coarse_hypotheses(batch["near_far"], coarse.num_planes, *scaled(size, coarse.volume_scale))
        cost_volume = sweep_variance(features.level(0), sweep_matrix(batch, coarse), depth_values)
        volume, logits = self.cost_reg_0(cost_volume)
        disparities = 1.0 / depth_values.clamp(min=1e-6)
        depth = LevelDepth(*regress(logits, disparities), disparities[:, 0], disparities[:, -1])
        outputs = {"depth_mvs_level0": 1.0 / depth.mean, "std_level0": depth.std}
        rendered = None
        if coarse.is_rendered:
            rendered = self._render(0, features, batch, volume, depth, scaled(size, coarse.render_scale))
            outputs |= level_outputs(rendered, 0) | {"rgb_level0": rendered.rgb}

        depth_values = fine_hypotheses(depth.resized(*scaled(size, fine.volume_scale)), fine.num_planes)
        matrix = sweep_matrix(batch, fine)
        if rendered is None:
            cost_volume = sweep_variance(features.level(1), matrix, depth_values)
        else:
            target = self.conv_transmit(rendered.image.movedim(-1, 1))
            warped = warp_features(features.level(1), matrix, depth_values)
            cost_volume = adaptive_cost_aggregation(warped, target, self.omega)
        volume, logits = self.cost_reg_1(cost_volume)
        near, far = depth_values[:, 0].detach(), depth_values[:, -1].detach()
        depth = LevelDepth(*regress(logits, depth_values), near, far)
        outputs |= {"depth_mvs_level1": depth.mean, "std_level1": depth.std}
        if fine.is_rendered:
            rendered = self._render(1, features, batch, volume, depth, scaled(size, fine.render_scale))
            decoded = self.autoencoder(rendered.image.movedim(-1, 1)).movedim(1, -1)
            outputs |= level_outputs(rendered, 1) | self.fuse(rendered, decoded, features, batch)
        return {name: as_rays(name, value) for name, value in outputs.items()}

    def _render(
        self,
        index: int,
        features: SourceFeatures,
        batch: Batch,
        volume: Float[Tensor, "B 8 D h w"],
        depth: LevelDepth,
        size: tuple[int, int],
    ) -> RenderedLevel:
        """The level's radiance field on the rays of the whole picture of the given size."""
        level, radiance_field = self.level(index)
        across = pixel_grid(*size, like=volume) / volume.new_tensor([size[1] - 1, size[0] - 1])
        rays = target_rays(batch, index, level, size)
        samples = sample_rays(depth.resized(*size), *rays, across, level.num_samples, inverse=index == 0)
        voxel_features = sample_volume(volume, samples.coordinates)
        vectors = sample_views(features.blend_maps[index], samples.points, *blend_cameras(batch, level))
        rgb, density, point_features = radiance_field(voxel_features, vectors)
        return composite_samples(rgb, density, point_features, samples.z_vals, self.settings.white_background)

    def level(self, index: int) -> tuple[LevelSettings, SpatialViewAggregator]:
        """Settings and radiance field of the coarse (0) or the fine (1) level."""
        return ((self.settings.coarse, self.nerf_0), (self.settings.fine, self.nerf_1))[index]

    def fuse(
        self,
        rendered: RenderedLevel,
        decoded: Float[Tensor, "B H W 64"],
        features: SourceFeatures,
        batch: Batch,
        start: tuple[int, int] = (0, 0),
    ) -> dict[str, Tensor]:
        """The final colour from the blended one and the one regressed from decoded features.

        `start` is the row and column of the picture where `rendered` and `decoded` begin.
        """
        regressed = self.color_rf(decoded)
        own_regressed = self.out_rf(torch.cat([decoded, regressed], dim=-1))
        own_blended = self.out_nf(rendered.image)
        matrix = target_matrix(batch, 1.0, 1.0, start)
        seen = warp_features(features.level(2), matrix, rendered.depth[:, None])[:, :, :, 0]
        blended_score = self.wgt_nf(inconsistency(own_blended, seen))
        regressed_score = self.wgt_rf(inconsistency(own_regressed, seen))
        rgb, weights = consistency_aware_fusion(rendered.rgb, regressed, blended_score, regressed_score)
        if self.settings.reweighting:
            rgb = (rgb + rendered.rgb) / 2
        return {
            "rgb_level1": rgb,
            "rgb_b_level1": rendered.rgb,
            "rgb_r_level1": regressed,
            "w_nf": weights[..., :1],
            "w_rf": weights[..., 1:],
        }


def level_outputs(rendered: RenderedLevel, level: int) -> dict[str, Tensor]:
    """The entries that both levels share."""
    return {f"depth_level{level}": rendered.depth, f"weights_level{level}": rendered.weights}


def as_rays(name: str, value: Tensor) -> Tensor:
    """An entry as the paper returns it: pixels on one axis, but for the maps of the cost volumes."""
    return value if name.startswith(("depth_mvs", "std")) else value.flatten(1, 2)


def check_size(height: int, width: int, what: str) -> None:
    """Refuse sizes that the networks cannot halve often enough."""
    if height % 32 or width % 32 or min(height, width) < 32:
        raise ValueError(f"{what} must have a height and width that are multiples of 32, got {height} x {width}")
