"""Rendering query rays from prepared views: coarse, then fine (spec 4, 5.8 to 5.12).

Both released models, the one for any scene and the one fine-tuned per scene, are this network; they differ in where
the views' raw ray features come from. Attributes that own parameters have the released names.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from tqdm import tqdm

from common.compositing import alpha_from_density, composite, weights_from_alpha
from neuray_mrvm import geometry, sampling
from neuray_mrvm.networks.aggregation import Aggregation, SeenSamples
from neuray_mrvm.networks.direct_rendering import SphericalFitter, direct_rendering
from neuray_mrvm.networks.distribution_decoder import DistributionDecoder, HitProbability
from neuray_mrvm.networks.folded_pass import FoldedPass, can_fold
from neuray_mrvm.networks.image_encoder import ImageEncoder
from neuray_mrvm.networks.masked_modeling import draw_token_mask
from neuray_mrvm.networks.mrvm_heads import RAY_FEATURES, follow, projection_head, target_of
from neuray_mrvm.networks.settings import RenderingSettings
from neuray_mrvm.networks.visibility_encoder import VisibilityEncoder
from neuray_mrvm.view_batch import ViewBatch


class PreparedViews(NamedTuple):
    """Views and their maps: computed once, read by every ray.

    Attributes:
        views: With pictures.
        image_feats: Of the image encoder.
        ray_feats: Of the visibility encoder (the paper's G).
    """

    views: ViewBatch
    image_feats: Float[Tensor, "V 32 _ _"]
    ray_feats: Float[Tensor, "V C _ _"]


class RandomDraws(NamedTuple):
    """Numbers that a training step otherwise draws from PyTorch's generator.

    Attributes:
        fine_u: In [0, 1), where the fine samples lie in the coarse distribution.
        mask: 1 where a token of the fine pass is masked.
        depth_positions: (x, y) in the references, for the depth loss.
    """

    fine_u: Float[Tensor, "1 R F"] | None = None
    mask: Float[Tensor, "1 V R N 1"] | None = None
    depth_positions: Float[Tensor, "P 2"] | None = None


class RenderedPass(NamedTuple):
    """One pass over a chunk of rays.

    Attributes:
        depth: Of the samples, ascending.
        hit: Weights of the samples.
        colors: Of the rays.
        ray_mask: Whether enough views see enough samples of the ray.
        feature: Of the samples.
        direct_colors: Of direct rendering, where it is asked for.
    """

    depth: Float[Tensor, "R N"]
    hit: Float[Tensor, "R N"]
    colors: Float[Tensor, "R 3"]
    ray_mask: Bool[Tensor, " R"]
    feature: Float[Tensor, "R N 16"]
    direct_colors: Float[Tensor, "R 3"] | None = None


def observe(
    prepared: PreparedViews,
    decoder: DistributionDecoder,
    points: Float[Tensor, "R N 3"],
    query_directions: Float[Tensor, "R 3"],
    spacing: Float[Tensor, "R N"],
) -> tuple[geometry.Projection, SeenSamples]:
    """Samples as the views see them.

    Args:
        prepared: The views.
        decoder: Of ray features to distributions.
        points: World positions of the samples.
        query_directions: From the points to the query camera.
        spacing: Of the samples along the query ray, in its normalised inverse depth.
    """
    views = prepared.views
    seen = geometry.project_points(views, points)
    valid = seen.valid[..., None]
    rgb, image_feats, ray_feats = (
        geometry.look_up(maps, seen.pixels, views.size) * valid
        for maps in (views.imgs, prepared.image_feats, prepared.ray_feats)
    )
    x = sampling.inverse_depth(seen.depth, views.depth_range[:, None, None])
    probability = decoder(ray_feats).within(*sampling.view_intervals(x, spacing))
    direction = geometry.direction_differences(seen.directions, query_directions[:, None])
    hit, visibility = probability.hit * seen.valid, probability.visibility * seen.valid
    return seen, SeenSamples(rgb, image_feats, ray_feats, direction, hit, visibility, seen.valid)


class RayNetwork(nn.Module):
    """Everything but the source of raw ray features.

    Args:
        cfg: Settings of a configuration file; those that are absent have the paper's values.
    """

    def __init__(self, cfg: Mapping[str, Any]):
        super().__init__()
        self.settings = settings = RenderingSettings.from_config(cfg)
        self.image_encoder = ImageEncoder()
        self.vis_encoder = VisibilityEncoder()
        self.dist_decoder = DistributionDecoder(**settings.dist_decoder_cfg)
        self.agg_net = Aggregation(settings.neuray_dim)
        if settings.use_hierarchical_sampling:
            self.fine_dist_decoder = DistributionDecoder(**settings.fine_dist_decoder_cfg)
            self.fine_agg_net = Aggregation(settings.fine_neuray_dim)
        self.sph_fitter = SphericalFitter()

    def add_heads(self) -> None:
        """The heads of mask-based modelling; the target starts as a copy of the projector and follows it."""
        size = self.settings.projection_size
        self.projector = projection_head(RAY_FEATURES, size, size)
        self.target_projector = target_of(self.projector)
        self.predictor = projection_head(size, self.settings.predictor_hidden_size, size)

    def update_target(self) -> None:
        """Move the target projector towards the projector (to be called after an optimiser's step)."""
        follow(self.target_projector, self.projector, self.settings.gamma)

    @property
    def is_pretraining(self) -> bool:
        """Whether tokens are masked and features predicted."""
        return self.training and self.settings.stage == "pretrain" and self.settings.mask_ratio > 0

    def encode_views(self, views: ViewBatch, raw_ray_feats: Float[Tensor, "V C _ _"]) -> PreparedViews:
        """Views with their maps, from raw ray features."""
        image_feats = self.image_encoder(views.imgs)
        ray_feats = self.vis_encoder(raw_ray_feats, image_feats)
        if torch.is_grad_enabled():
            return PreparedViews(views, image_feats, ray_feats)
        # Laid out as the rays read them, once and not for every chunk.
        maps = [each.contiguous(memory_format=torch.channels_last) for each in (views.imgs, image_feats, ray_feats)]
        return PreparedViews(replace(views, imgs=maps[0]), *maps[1:])

    def render(
        self,
        prepared: PreparedViews,
        query: ViewBatch,
        draws: RandomDraws | None = None,
        own: PreparedViews | None = None,
    ) -> dict[str, Tensor]:
        """`render_rays` of all rays of a query: its `coords`, or its whole picture row by row.

        In evaluation chunk by chunk and without gradients; results do not depend on the size of chunks.
        """
        coords = geometry.picture_coords(query) if query.coords is None else query.coords
        if self.training:
            return self.render_rays(prepared, query, coords, draws, own)
        with torch.no_grad():
            chunks = coords.split(self.settings.ray_batch_num, dim=1)
            bar = tqdm(chunks, desc="rays", unit="chunk", leave=False, disable=None if len(chunks) > 1 else True)
            parts = [self.render_rays(prepared, query, chunk, draws, own) for chunk in bar]
        return {name: torch.cat([part[name] for part in parts], dim=1) for name in parts[0]}

    def render_rays(
        self,
        prepared: PreparedViews,
        query: ViewBatch,
        coords: Float[Tensor, "1 R 2"],
        draws: RandomDraws | None = None,
        own: PreparedViews | None = None,
    ) -> dict[str, Tensor]:
        """Rays of one chunk.

        Args:
            prepared: The views to render from.
            query: One camera.
            coords: (x, y) of the rays in the query.
            draws: Random numbers to use; those that are None are drawn.
            own: The query's own maps, for the self hit probability of per-scene training.

        Returns:
            `pixel_colors_nr` (1, R, 3), `pixel_colors_gt` where the query has a picture, `ray_mask` (1, R), and
            `render_depth` (1, R) where it is asked for; in training also `hit_prob_nr` (1, R, N) and `hit_prob_self`;
            all of them again for the fine pass, with the suffix `_fine`. In pre-training `out_feat`, `out_feat_fine`
            (1, R, N, 16) and `argsort`, the indices that sorted [coarse, fine] samples.
        """
        draws = draws or RandomDraws()
        coarse, fine, argsort = self.render_passes(prepared, query, coords[0], draws)
        own_feats = None if own is None else geometry.look_up(own.ray_feats, coords, own.views.size)[0]
        outputs = self._outputs(coarse, self.dist_decoder, query, own_feats)
        if fine is not None:
            values = self._outputs(fine, self.fine_dist_decoder, query, own_feats)
            outputs |= {f"{name}_fine": value for name, value in values.items()}
        if query.imgs is not None:
            truth = geometry.look_up(query.imgs, coords, query.size, "zeros")
            outputs |= {name.replace("nr", "gt"): truth for name in outputs if name.startswith("pixel_colors_nr")}
        if self.is_pretraining:
            outputs |= {"argsort": argsort[None], **self._features(coarse, fine)}
        return outputs

    def render_passes(
        self, prepared: PreparedViews, query: ViewBatch, coords: Float[Tensor, "R 2"], draws: RandomDraws
    ) -> tuple[RenderedPass, RenderedPass | None, Int[Tensor, "R N"] | None]:
        """The coarse pass, the fine pass where there is one, and what sorted its samples."""
        settings = self.settings
        rays = geometry.query_rays(query, coords)
        depth_range = query.depth_range[0]
        depth = sampling.coarse_depths(depth_range, settings.depth_sample_num).expand(len(coords), -1)
        coarse = self.render_samples(prepared, rays, depth, depth_range, self.dist_decoder, self.agg_net)
        if not settings.use_hierarchical_sampling:
            return coarse, None, None
        u = self._fine_positions(depth, draws)
        new_depth = sampling.importance_depths(depth, coarse.hit, depth_range, u)
        candidates = torch.cat([depth, new_depth], dim=-1) if settings.fine_depth_use_all else new_depth
        fine_depth, argsort = candidates.sort(dim=-1)
        mask = self._token_mask(prepared, fine_depth, draws)
        decoder, aggregation = self.fine_dist_decoder, self.fine_agg_net
        return coarse, self.render_samples(prepared, rays, fine_depth, depth_range, decoder, aggregation, mask), argsort

    def render_samples(
        self,
        prepared: PreparedViews,
        rays: geometry.QueryRays,
        depth: Float[Tensor, "R N"],
        depth_range: Float[Tensor, "2"],
        decoder: DistributionDecoder,
        aggregation: Aggregation,
        mask: Float[Tensor, "V R N 1"] | None = None,
    ) -> RenderedPass:
        """One pass over given samples.

        Args:
            prepared: The views to render from.
            rays: Of the query.
            depth: Of the samples, ascending.
            depth_range: Of the query.
            decoder: Of this pass.
            aggregation: Of this pass.
            mask: 1 where a token is masked.
        """
        spacing, direct = sampling.spacings(sampling.inverse_depth(depth, depth_range)), None
        is_plain = mask is not None or self.settings.use_dr_prediction
        if not is_plain and can_fold(decoder, aggregation, depth, *prepared[1:]):
            samples, num_views = FoldedPass(*prepared, decoder, aggregation)(rays, depth, spacing)
        else:
            projection, seen = observe(prepared, decoder, rays.points(depth), rays.to_camera(), spacing)
            samples, num_views = aggregation(seen, mask), seen.valid.sum(dim=0)
            if self.settings.use_dr_prediction:
                direct = self._direct_colors(projection, seen, rays, samples.colors)
        hit = weights_from_alpha(alpha_from_density(samples.density), floor=1e-10)
        enough_views = num_views > self.settings.ray_mask_view_num
        ray_mask = enough_views.sum(dim=-1) > self.settings.ray_mask_point_num
        return RenderedPass(depth, hit, composite(hit, samples.colors), ray_mask, samples.feature, direct)

    def _direct_colors(
        self,
        projection: geometry.Projection,
        seen: SeenSamples,
        rays: geometry.QueryRays,
        network_colors: Float[Tensor, "R N 3"],
    ) -> Float[Tensor, "R 3"]:
        ground = self.settings.alpha_value_ground_state
        logit = HitProbability(seen.visibility, seen.hit).alpha_logit().masked_fill(~seen.valid, ground)
        to_camera = rays.to_camera()[:, None].expand_as(network_colors)
        directions = projection.directions, to_camera
        views = logit, seen.hit, seen.visibility, seen.rgb, seen.valid
        alpha, colors = direct_rendering(self.sph_fitter, *views, *directions, ground)
        colors = network_colors if self.settings.use_nr_color_for_dr else colors
        return composite(weights_from_alpha(alpha, floor=1e-10), colors)

    def _fine_positions(self, depth: Float[Tensor, "R N"], draws: RandomDraws) -> Float[Tensor, "_ F"]:
        if draws.fine_u is not None:
            return draws.fine_u[0]
        count = self.settings.fine_depth_sample_num
        if self.training:
            return torch.rand(len(depth), count, device=depth.device, dtype=depth.dtype)
        return sampling.even_positions(count, depth)[None]

    def _token_mask(
        self, prepared: PreparedViews, depth: Float[Tensor, "R N"], draws: RandomDraws
    ) -> Float[Tensor, "V R N 1"] | None:
        if not self.is_pretraining:
            return None
        if draws.mask is not None:
            return draws.mask[0]
        return draw_token_mask(self.settings.mask_ratio, len(prepared.views), *depth.shape, like=depth)

    def _outputs(
        self,
        rendered: RenderedPass,
        decoder: DistributionDecoder,
        query: ViewBatch,
        own_feats: Float[Tensor, "R C"] | None,
    ) -> dict[str, Tensor]:
        outputs = {"pixel_colors_nr": rendered.colors}
        if rendered.direct_colors is not None:
            outputs["pixel_colors_dr"] = rendered.direct_colors
        if self.settings.use_ray_mask:
            outputs["ray_mask"] = rendered.ray_mask
        if self.settings.render_depth:
            outputs["render_depth"] = composite(rendered.hit, rendered.depth[..., None])[..., 0]
        if self.training:
            outputs["hit_prob_nr"] = rendered.hit
            if self.settings.use_self_hit_prob and own_feats is not None:
                x = sampling.inverse_depth(rendered.depth, query.depth_range[0])
                borders = sampling.own_intervals(x, sampling.spacings(x))
                outputs["hit_prob_self"] = decoder(own_feats[:, None]).within(*borders).hit
        return {name: value[None] for name, value in outputs.items()}

    def _features(self, coarse: RenderedPass, fine: RenderedPass) -> dict[str, Tensor]:
        """Targets and predictions of mask-based modelling."""
        with torch.no_grad():
            target = self.target_projector(coarse.feature.flatten(0, 1))
        predicted = self.predictor(self.projector(fine.feature.flatten(0, 1)))
        return {
            "out_feat": target.unflatten(0, coarse.feature.shape[:2])[None],
            "out_feat_fine": predicted.unflatten(0, fine.feature.shape[:2])[None],
        }
