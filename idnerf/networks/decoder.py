"""The conditional radiance field: what the views show modulates a NeRF, and samples of a ray attend to each other."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from common.models.mlp import linear
from idnerf.conditioning import Conditioning
from idnerf.encodings import encode_points, ray_position_table
from idnerf.networks.attention import ThreePassAttention

TOKEN_CHANNELS = 8
DENSITY_CHANNELS = 16
COLOR_CHANNELS = 64
LATENT_CODE_INPUTS = 256


class ConditionalNerf(nn.Module):
    """Colour and density of samples (spec 4.6).

    Args:
        opt: The options; `decoder`, `nerf.legacy_coord`, `encoder.cos_n_group` and `n_src_views` are read.
        map_channels: Channels of a view's low and high map together.
        released_tokens: Interleave the channels of all tokens instead of one token per view and one for the latent.
    """

    def __init__(self, opt: Any, map_channels: int, released_tokens: bool = False):
        super().__init__()
        settings, views = opt.decoder, opt.n_src_views
        width = settings.net_width
        self.released_tokens = released_tokens
        self.legacy = opt.nerf.legacy_coord
        self.skip = tuple(settings.skip)
        self.ray_positions, self.fill_masked = settings.raytrans_posenc, settings.density_maskfill
        self.point_octaves = settings.posenc.L_3D if settings.posenc else 0
        self.view_octaves = settings.posenc.L_view if settings.posenc else 0
        self.map_channels = map_channels
        tokens = TOKEN_CHANNELS * (views + 1)
        self.guidance_module = ThreePassAttention(TOKEN_CHANNELS)
        self.cond_fc = nn.Linear(tokens + sum(opt.encoder.cos_n_group) + 4 * views, width)
        self.cond_feat_fc = nn.Sequential(nn.Linear(map_channels + 4, TOKEN_CHANNELS), nn.ReLU())
        self.latent_layer1 = nn.Sequential(
            nn.Conv2d(4, 4, 3, stride=2, padding=1),
            nn.BatchNorm2d(4),
            nn.LeakyReLU(),
            nn.Conv2d(4, 1, 3, stride=2, padding=1),
            nn.BatchNorm2d(1),
            nn.LeakyReLU(),
        )
        self.latent_layer2 = nn.Linear(LATENT_CODE_INPUTS, TOKEN_CHANNELS)
        encoded = 3 + 6 * self.point_octaves
        inputs = [encoded] + [
            width + encoded if number in self.skip else width for number in range(settings.net_depth - 1)
        ]
        self.pts_linears = nn.ModuleList(nn.Linear(channels, width) for channels in inputs)
        view_inputs = width + 3 + 6 * self.view_octaves
        self.views_linears = nn.ModuleList([nn.Linear(view_inputs, COLOR_CHANNELS)])
        activation = getattr(nn, settings.raytrans_act)
        self.alpha_linear = nn.Sequential(nn.Linear(width, DENSITY_CHANNELS), activation(inplace=True))
        self.ray_attention = ThreePassAttention(DENSITY_CHANNELS)
        self.out_alpha_linear = nn.Sequential(
            nn.Linear(DENSITY_CHANNELS, DENSITY_CHANNELS),
            activation(inplace=True),
            nn.Linear(DENSITY_CHANNELS, 1),
            nn.ReLU(),
        )
        self.feature_linear = nn.Linear(width, width)
        self.rgb_linear = nn.Linear(COLOR_CHANNELS, 3)
        self._initialise()

    def _initialise(self) -> None:
        drawn = [*self.pts_linears, *self.views_linears, self.feature_linear, self.alpha_linear[0], self.rgb_linear]
        for layer in [*drawn, self.cond_feat_fc[0], self.latent_layer2]:
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def map_tokens(self, low: Float[Tensor, "V Cl h w"], high: Float[Tensor, "V Ch H W"]) -> tuple[Tensor, Tensor]:
        """The maps after the part of `cond_feat_fc` that belongs to them; the bias goes with the low one."""
        layer = self.cond_feat_fc[0]
        of_low, of_high, _ = layer.weight.split([low.shape[1], high.shape[1], 4], dim=1)
        return (
            nn.functional.conv2d(low, of_low[:, :, None, None], layer.bias),
            nn.functional.conv2d(high, of_high[:, :, None, None]),
        )

    def latent_code(self, latent: Float[Tensor, "1 4 64 64"]) -> Float[Tensor, " T"]:
        """The latent as one token."""
        return self.latent_layer2(self.latent_layer1(latent).flatten())

    def view_tokens(self, seen: Conditioning) -> Float[Tensor, "R S V T"]:
        """`cond_feat_fc` of each view's vector."""
        rest = self.cond_feat_fc[0].weight[:, self.map_channels :]
        own = linear(torch.cat([seen.colors, seen.masks[..., None]], dim=-1), rest)
        return self.cond_feat_fc[1](seen.features + own)

    def forward(
        self, seen: Conditioning, direction: Float[Tensor, "#R #S 3"], code: Float[Tensor, " T"]
    ) -> tuple[Float[Tensor, "R S 3"], Float[Tensor, "R S"]]:
        """Colour in [0, 1] and density of every sample.

        Args:
            seen: What the views show there.
            direction: Unit viewing direction in the first source's camera frame.
            code: See `latent_code`.
        """
        fused = self.refine(self.view_tokens(seen), code)
        scale = linear(torch.cat([fused, seen.matching()], dim=-1), self.cond_fc.weight, self.cond_fc.bias)
        hidden = self.point_features(seen.coordinates, scale)
        views = seen.masks.sum(dim=-1)
        density = self.density(hidden, views > 1)
        if self.fill_masked:
            density = density * (views > 0)
        return self.color(hidden, direction), density

    def refine(self, tokens: Float[Tensor, "R S V T"], code: Float[Tensor, " T"]) -> Float[Tensor, "R S VT"]:
        """The views' tokens and the latent's after their attention, one after the other."""
        tokens = torch.cat([tokens, code.expand(*tokens.shape[:2], 1, -1)], dim=2)
        if self.released_tokens:
            count = tokens.shape[2]
            tokens = tokens.flatten(2).unflatten(2, (TOKEN_CHANNELS, count)).transpose(2, 3)
        return self.guidance_module(tokens).flatten(2)

    def point_features(self, points: Float[Tensor, "R S 3"], scale: Float[Tensor, "R S W"]) -> Float[Tensor, "R S W"]:
        """The modulated layers on the encoded points."""
        encoded = hidden = encode_points(points, self.point_octaves, self.legacy)
        in_place = not torch.is_grad_enabled()
        for number, layer in enumerate(self.pts_linears):
            hidden = linear(hidden, layer.weight, layer.bias)
            hidden = hidden.mul_(scale).relu_() if in_place else (hidden * scale).relu()
            if number in self.skip and number + 1 < len(self.pts_linears):
                hidden = torch.cat([encoded, hidden], dim=-1)
        return hidden

    def density(self, hidden: Float[Tensor, "R S W"], is_asking: Bool[Tensor, "R S"]) -> Float[Tensor, "R S"]:
        """Density after the samples of a ray attended to each other."""
        samples = self.alpha_linear(hidden)
        if self.ray_positions:
            samples = samples + ray_position_table(samples.shape[1], DENSITY_CHANNELS, samples)
        return self.out_alpha_linear(self.ray_attention(samples, is_asking))[..., 0]

    def color(self, hidden: Float[Tensor, "R S W"], direction: Float[Tensor, "#R #S 3"]) -> Float[Tensor, "R S 3"]:
        """Colour seen from this direction; the two linear layers without anything in between are one."""
        first, second = self.feature_linear, self.views_linears[0]
        width = first.out_features
        of_features, of_direction = second.weight.split([width, second.in_features - width], dim=1)
        seen_from = linear(encode_points(direction, self.view_octaves, self.legacy), of_direction, second.bias)
        from_features = linear(hidden, of_features @ first.weight, of_features @ first.bias)
        return self.rgb_linear((from_features + seen_from).relu()).sigmoid()
