"""ID-NeRF, from pictures to rays.

The sources are encoded once, the latent of a target is imagined once, its rays are rendered in pieces:

encoded = network.encode(sources)
latent, source_rays = network.infer_latent(encoded, camera)
rendered = network.render(encoded, latent, camera)
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from common.cameras import Camera
from common.compositing import alpha_from_density, composite, weights_from_alpha
from common.memory import keep_freed_memory
from common.ops.window_sampling import Window
from common.parallel import run_in_threads, split_evenly
from idnerf.conditioning import look_up
from idnerf.networks.decoder import ConditionalNerf
from idnerf.networks.encoder import FeatureEncoder, normalise
from idnerf.networks.latent_inference import LatentInference
from idnerf.networks.requirements import check_options
from idnerf.parity import is_released
from idnerf.ray_pictures import ray_pictures, released_ray_pictures, seen_from_first
from idnerf.rays import rays_of, sample_depths
from idnerf.views import EncodedViews, SourceViews, split_batch

PAIR_CHANNELS = 128
FAR_AWAY = 1e10


class IdNerf(nn.Module):
    """The whole model; its children have the released names."""

    def __init__(self, opt: Any):
        super().__init__()
        check_options(opt)
        self.opt = opt
        encoder, views = opt.encoder, opt.n_src_views
        self.window = read_window(opt)
        self.groups = (encoder.cos_n_group[0], encoder.cos_n_group[1])
        self.feat_enc = FeatureEncoder(
            encoder.num_transformer_layers,
            encoder.attn_splits_list[0],
            not encoder.wo_self_attn,
            encoder.upsample_factor,
        )
        self.latent_inference = LatentInference(views, opt.latent_inference.input_channel)
        map_channels = 2 * PAIR_CHANNELS * (views - 1)
        self.nerf_dec = ConditionalNerf(opt, map_channels, is_released(opt, "released_tokens"))

    def encode(self, sources: SourceViews) -> EncodedViews:
        """All work that does not depend on the target.

        Raises:
            ValueError: Another number of views than the weights are for, or pictures of a size that cannot be used.
        """
        if len(sources) != self.opt.n_src_views:
            raise ValueError(
                f"this network takes {self.opt.n_src_views} source views (n_src_views), got {len(sources)}; choose as "
                f"many sources, or weights trained for {len(sources)}"
            )
        maps = self.feat_enc(sources.images)
        tokens = self.nerf_dec.map_tokens(*maps)
        low, high = (_channels_last(torch.cat(pair, dim=1)) for pair in zip(maps, tokens, strict=True))
        views = replace(sources, images=_channels_last(sources.images))
        return EncodedViews(views, low, high, num_tokens=tokens[0].shape[1])

    def infer_latent(
        self, encoded: EncodedViews, target: Camera
    ) -> tuple[Float[Tensor, "1 4 64 64"], Float[Tensor, "V 6 H W"]]:
        """The imagined latent of a camera's picture, and the ray pictures of the sources.

        Those are in the frame and the units of the first source, so that the latent does not depend on the world's;
        the released ones are in the world's.
        """
        views = encoded.views
        # At the sources' size, whatever is rendered: the stages are concatenated pixel by pixel.
        camera = target.resized(*views.size)
        poses = torch.cat([views.extrinsics, camera.world_to_cam[None]])
        intrinsics = torch.cat([views.intrinsics, camera.intrinsics[None]])
        if is_released(self.opt, "released_ray_pictures"):
            rays = released_ray_pictures(intrinsics, poses, *views.size)
        else:
            rays = ray_pictures(intrinsics, seen_from_first(poses, poses[0], views.near_fars[0, 0]), *views.size)
        return self.latent_inference(normalise(views.images), rays[:-1], rays[-1]), rays[:-1]

    def render(
        self,
        encoded: EncodedViews,
        latent: Float[Tensor, "1 4 64 64"],
        target: Camera,
        ray_index: Int[Tensor, " R"] | None = None,
        depth_u: Float[Tensor, "R S"] | None = None,
        chunk: int | None = None,
    ) -> dict[str, Tensor]:
        """Colour, depth and opacity of rays, in memory that does not grow with their number (without gradients).

        Args:
            encoded: The sources.
            latent: Of this target.
            target: The camera.
            ray_index: Pixels to render, counted row by row; None: all.
            depth_u: Place of every sample in its interval, [0, 1); None: the evaluation's.
            chunk: At most so many rays at a time; None: all of them while gradients are recorded, else what is fast.

        Returns:
            `rgb` (R 3), `depth` along the optical axis (R 1; not divided by opacity), `opacity` (R 1).
        """
        code = self.nerf_dec.latent_code(latent)
        center, directions = rays_of(target, self.opt.nerf.legacy_coord)
        if ray_index is not None:
            directions = directions[ray_index]
        whole = slice(0, len(directions))
        at_once = None if torch.is_grad_enabled() else samples_at_once(directions.device.type)
        if at_once is None:
            bands, size = [whole], chunk or len(directions)
        else:
            keep_freed_memory()
            bands = split_evenly(len(directions), torch.get_num_threads() if directions.device.type == "cpu" else 1)
            size = max(1, min(chunk or len(directions), at_once // self.opt.nerf.sample_intvs))

        def render_band(band: slice) -> list[dict[str, Tensor]]:
            parts = []
            for rays in _slices(band, size):
                depths = self._depths(target, directions[rays], None if depth_u is None else depth_u[rays])
                parts.append(self._render_rays(encoded, code, center, directions[rays], depths))
            return parts

        parts = list(chain(*run_in_threads([partial(render_band, band) for band in bands])))
        return {name: torch.cat([part[name] for part in parts]) for name in ("rgb", "depth", "opacity")}

    def _depths(
        self, target: Camera, directions: Float[Tensor, "R 3"], u: Float[Tensor, "R S"] | None
    ) -> Float[Tensor, "R S"]:
        nerf = self.opt.nerf
        depths = sample_depths(target.near_far, nerf.sample_intvs, nerf.legacy_coord, nerf.depth.param == "inverse", u)
        return depths.to(directions).expand(len(directions), -1)

    def _render_rays(
        self,
        encoded: EncodedViews,
        code: Float[Tensor, " T"],
        center: Float[Tensor, "3"],
        directions: Float[Tensor, "R 3"],
        depths: Float[Tensor, "R S"],
    ) -> dict[str, Tensor]:
        points = center + depths[..., None] * directions[:, None]
        seen = look_up(encoded, points, self.groups, self.window)
        in_first_view = nn.functional.normalize(directions, dim=-1) @ encoded.views.extrinsics[0, :3, :3].T
        rgb, density = self.nerf_dec(seen, in_first_view[:, None], code)
        return composite_rays(rgb, density, depths, None if self.opt.nerf.wo_render_interval else directions)

    def forward(self, batch: dict[str, Any], mode: str) -> dict[str, Tensor]:
        """Render a loader's item: random rays with jitter ("train"), or the whole picture ("val", "test").

        Training with a prior calls `encode`, `infer_latent` and `render` one by one, with the prior in between.

        Returns:
            `rgb` (1 R 3), `depth` and `opacity` (1 R 1), in training also `ray_idx` (R).
        """
        sources, target, _ = split_batch(batch)
        encoded = self.encode(sources)
        latent, _ = self.infer_latent(encoded, target)
        if mode == "train":
            index, u = self.draw_rays(target, latent.device)
            rendered = self.render(encoded, latent, target, index, u, chunk=None)
            return {name: value[None] for name, value in rendered.items()} | {"ray_idx": index}
        chunk = getattr(self.opt.nerf, f"rand_rays_{mode}")
        return {name: value[None] for name, value in self.render(encoded, latent, target, chunk=chunk).items()}

    def draw_rays(self, target: Camera, device: torch.device) -> tuple[Int[Tensor, " R"], Float[Tensor, "R S"] | None]:
        """Random pixels of the target, and random places of the samples in their intervals (None: not stratified)."""
        nerf = self.opt.nerf
        index = torch.randperm(target.height * target.width, device=device)[: nerf.rand_rays_train]
        u = torch.rand(len(index), nerf.sample_intvs, device=device) if nerf.sample_stratified else None
        return index, u


def build_network(opt: Any) -> IdNerf:
    """The network that the options describe, freshly initialised.

    Raises:
        ValueError: A setting that the model cannot have; the sentence names it.
    """
    return IdNerf(opt)


def read_window(opt: Any) -> Window:
    """Where features are read: the released 3 x 3 window, or what the options say."""
    dilation = opt.encoder.feature_sample_local_dilation
    if is_released(opt, "released_window"):
        return Window(1, dilation, shrink=True)
    return Window(opt.encoder.feature_sample_local_radius, dilation)


def composite_rays(
    rgb: Float[Tensor, "R S 3"],
    density: Float[Tensor, "R S"],
    depths: Float[Tensor, "R S"],
    directions: Float[Tensor, "R 3"] | None = None,
) -> dict[str, Tensor]:
    """Volume rendering (spec 4.8), with intervals of length 1 or, given directions, of their true length."""
    length: Tensor | float = 1.0
    if directions is not None:
        gaps = torch.cat([depths.diff(dim=-1), torch.full_like(depths[:, :1], FAR_AWAY)], dim=-1)
        length = gaps * directions.norm(dim=-1, keepdim=True)
    weights = weights_from_alpha(alpha_from_density(density, length))
    return {
        "rgb": composite(weights, rgb),
        "depth": composite(weights, depths[..., None]),
        "opacity": weights.sum(dim=-1, keepdim=True),
    }


def _channels_last(maps: Float[Tensor, "V C h w"]) -> Float[Tensor, "V C h w"]:
    """The same maps in the layout in which they are looked up, so that no look-up has to copy them."""
    return maps.contiguous(memory_format=torch.channels_last)


def samples_at_once(device: str) -> int | None:
    """Samples whose layers run together without gradients: per thread on the CPU, what costs a GPU some 2 GB."""
    return {"cpu": 8192, "cuda": 262144}.get(device)


def _slices(whole: slice, size: int) -> Iterator[slice]:
    for start in range(whole.start, whole.stop, size):
        yield slice(start, min(start + size, whole.stop))
