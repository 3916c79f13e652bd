"""GeFu: a target view from a few posed source views, in one forward pass (https://arxiv.org/abs/2404.17528).

    source features -> coarse plane sweep -> coarse radiance field -> fine plane sweep -> fine radiance field -> fusion

Attributes that own parameters keep the names of the released checkpoint. Batch and result keep the paper's keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from common.cameras import camera_center, scale_intrinsics
from common.depth_hypotheses import regress
from common.feature_sampling import resize, sample_volume, target_to_source
from common.models.mlp import linear_relu
from common.ops.plane_sweep import sweep_variance, warp_features
from common.ops.view_sampling import sample_views
from common.rays import camera_rays
from gefu.networks.cost_reg_net import CoarseCostRegNet, FineCostRegNet
from gefu.networks.cost_volume import ConsistencyWeight, adaptive_cost_aggregation
from gefu.networks.depth import LevelDepth, coarse_hypotheses, fine_hypotheses
from gefu.networks.feature_net import FeatureNet, FeaturePyramid, ImageDecoder
from gefu.networks.fusion import color_head, consistency_aware_fusion, inconsistency, score_head
from gefu.networks.nerf import POINT_CHANNELS, SpatialViewAggregator
from gefu.networks.rendering import RenderedLevel, composite_samples, sample_rays
from gefu.networks.settings import LevelSettings, NetworkSettings, settings_from_config

Batch = Mapping[str, Any]
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
        pyramid = self.feature_net(src_inps.flatten(0, 1))
        colors = src_inps.flatten(0, 1) * 0.5 + 0.5
        maps = []
        for level in (self.settings.coarse, self.settings.fine):
            features = resize(pyramid[level.blend_level], level.render_scale / level.blend_scale)
            seen = torch.cat([features, resize(colors, level.render_scale)], dim=1)
            maps.append(seen.unflatten(0, (B, S)))
        return SourceFeatures(pyramid, tuple(maps), (H, W))

    def render_target(
        self, features: SourceFeatures, batch: Batch, size: tuple[int, int] | None = None
    ) -> dict[str, Tensor]:
        """The target view of `batch` (`src_exts src_ixts tar_ext tar_ixt near_far`).

        Args:
            features: Of the batch's source views.
            batch: Cameras; intrinsics at the full image size.
            size: Height and width of the target, by default those of the source images.
        """
        height, width = size or features.size
        check_size(height, width, "the target")
        coarse, fine = self.settings.coarse, self.settings.fine

        h, w = scaled(height, coarse.volume_scale), scaled(width, coarse.volume_scale)
        depth_values = coarse_hypotheses(batch["near_far"], coarse.num_planes, h, w)
        cost_volume = sweep_variance(features.level(0), self._matrix(batch, coarse), depth_values)
        volume, logits = self.cost_reg_0(cost_volume)
        disparities = 1.0 / depth_values.clamp(min=1e-6)
        coarse_depth = LevelDepth(*regress(logits, disparities), disparities[:, 0], disparities[:, -1])
        outputs = {"depth_mvs_level0": 1.0 / coarse_depth.mean, "std_level0": coarse_depth.std}
        rendered = None
        if coarse.is_rendered:
            rendered = self._render(0, features, batch, volume, coarse_depth, (height, width))
            outputs |= level_outputs(rendered, 0) | {"rgb_level0": as_rays(rendered.rgb)}

        h, w = scaled(height, fine.volume_scale), scaled(width, fine.volume_scale)
        depth_values = fine_hypotheses(coarse_depth, fine.num_planes, h, w)
        matrix = self._matrix(batch, fine)
        if rendered is None:
            cost_volume = sweep_variance(features.level(1), matrix, depth_values)
        else:
            warped = warp_features(features.level(1), matrix, depth_values)
            cost_volume = adaptive_cost_aggregation(warped, self.conv_transmit(rendered.as_image()), self.omega)
        volume, logits = self.cost_reg_1(cost_volume)
        near, far = depth_values[:, 0].detach(), depth_values[:, -1].detach()
        fine_depth = LevelDepth(*regress(logits, depth_values), near, far)
        outputs |= {"depth_mvs_level1": fine_depth.mean, "std_level1": fine_depth.std}
        if fine.is_rendered:
            rendered = self._render(1, features, batch, volume, fine_depth, (height, width))
            outputs |= level_outputs(rendered, 1) | self._fuse(features, batch, rendered)
        return outputs

    @staticmethod
    def _matrix(batch: Batch, level: LevelSettings) -> Float[Tensor, "B S 3 4"]:
        """Target to source, between the level's volume and the features that are warped into it."""
        cameras = batch["src_ixts"], batch["src_exts"], batch["tar_ixt"], batch["tar_ext"]
        return target_to_source(*cameras, level.warp_scale, level.volume_scale)

    def _render(
        self,
        index: int,
        features: SourceFeatures,
        batch: Batch,
        volume: Float[Tensor, "B 8 D h w"],
        depth: LevelDepth,
        size: tuple[int, int],
    ) -> RenderedLevel:
        """The level's radiance field on the rays of the whole picture."""
        level = (self.settings.coarse, self.settings.fine)[index]
        size = scaled(size[0], level.render_scale), scaled(size[1], level.render_scale)
        samples = sample_rays(depth, *target_rays(batch, index, level, size), level.num_samples, inverse=index == 0)
        voxel_features = sample_volume(volume, samples.coordinates)
        source_intrinsics = scale_intrinsics(batch["src_ixts"], level.render_scale)
        vectors = sample_views(
            features.blend_maps[index],
            samples.points,
            source_intrinsics,
            batch["src_exts"],
            camera_center(batch["tar_ext"]),
        )
        radiance_field = (self.nerf_0, self.nerf_1)[index]
        rgb, density, point_features = radiance_field(voxel_features, vectors)
        return composite_samples(rgb, density, point_features, samples.z_vals, self.settings.white_background)

    def _fuse(self, features: SourceFeatures, batch: Batch, rendered: RenderedLevel) -> dict[str, Tensor]:
        """The final colour from the blended one and the one regressed from decoded features."""
        image = rendered.as_image()
        decoded = self.autoencoder(image).movedim(1, -1)
        regressed = self.color_rf(decoded)
        own_regressed = self.out_rf(torch.cat([decoded, regressed], dim=-1))
        own_blended = self.out_nf(image.movedim(1, -1))

        cameras = batch["src_ixts"], batch["src_exts"], batch["tar_ixt"], batch["tar_ext"]
        seen = warp_features(features.level(2), target_to_source(*cameras), rendered.depth[:, None])[:, :, :, 0]
        blended_score = self.wgt_nf(inconsistency(own_blended, seen))
        regressed_score = self.wgt_rf(inconsistency(own_regressed, seen))
        rgb, weights = consistency_aware_fusion(rendered.rgb, regressed, blended_score, regressed_score)
        if self.settings.reweighting:
            rgb = (rgb + rendered.rgb) / 2
        return {
            "rgb_level1": as_rays(rgb),
            "rgb_b_level1": as_rays(rendered.rgb),
            "rgb_r_level1": as_rays(regressed),
            "w_nf": as_rays(weights[..., :1]),
            "w_rf": as_rays(weights[..., 1:]),
        }


def target_rays(
    batch: Batch, index: int, level: LevelSettings, size: tuple[int, int]
) -> tuple[Float[Tensor, "B 3"], Float[Tensor, "B H W 3"]]:
    """Centre and directions of the level's rays: those of the loader where the batch has them, else from the camera."""
    rays = batch.get(f"rays_{index}")
    if rays is None:
        return camera_rays(scale_intrinsics(batch["tar_ixt"], level.render_scale), batch["tar_ext"], *size)
    if rays.shape[1] != size[0] * size[1]:
        raise ValueError(
            f"rays_{index} must hold every pixel of a {size[0]} x {size[1]} picture, got {rays.shape[1]} rays"
        )
    return rays[:, 0, :3], rays[..., 3:6].unflatten(1, size)


def level_outputs(rendered: RenderedLevel, level: int) -> dict[str, Tensor]:
    """The entries that both levels share, pixels on one axis."""
    return {
        f"depth_level{level}": rendered.depth.flatten(1),
        f"weights_level{level}": rendered.weights.flatten(1, 2),
    }


def as_rays(image: Float[Tensor, "B H W C"]) -> Float[Tensor, "B R C"]:
    """Pixels on one axis, row by row."""
    return image.flatten(1, 2)


def scaled(length: int, factor: float) -> int:
    """A side of the image at a level's scale."""
    return round(length * factor)


def check_size(height: int, width: int, what: str) -> None:
    """Refuse sizes that the networks cannot halve often enough."""
    if height % 32 or width % 32 or min(height, width) < 32:
        raise ValueError(f"{what} must have a height and width that are multiples of 32, got {height} x {width}")
