"""The colour of a point, blended from what the source views show there (spec 4.6; the network is IBRNet's).

Per source view: colour and features (`rgb_feat`), four numbers that say how differently the reference view and the
source look at the point (`ray_diff`: with unit vectors a, b from the point to their centres (a - b) / |a - b| and a.b),
and whether the point lies in its picture (`mask`).
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from gens.networks.volumes import level_intrinsics


class SourceViews(NamedTuple):
    """The views to blend from, and the reference view.

    Attributes:
        images: In [0, 1).
        features: Maps of the sources, fine to coarse.
        projections: World to homogeneous pixels of every level's maps.
        centers: Camera centres of the sources.
        reference_center: Camera centre of the reference view.
    """

    images: Float[Tensor, "S 3 H W"]
    features: Sequence[Float[Tensor, "S C _ _"]]
    projections: Sequence[Float[Tensor, "S 3 4"]]
    centers: Float[Tensor, "S 3"]
    reference_center: Float[Tensor, "3"]


class SeenColors(NamedTuple):
    """What the sources show at points."""

    rgb_feat: Float[Tensor, "P S C"]
    ray_diff: Float[Tensor, "P S 4"]
    mask: Bool[Tensor, "P S"]


def source_views(
    images: Float[Tensor, "V 3 H W"],
    features: Sequence[Float[Tensor, "V C _ _"]],
    intrinsics: Float[Tensor, "V 4 4"],
    cam_to_world: Float[Tensor, "V 4 4"],
) -> SourceViews:
    """All views but the first, which is the reference."""
    world_to_cam = torch.linalg.inv(cam_to_world[1:])[:, :3]
    projections = [level_intrinsics(intrinsics[1:], level) @ world_to_cam for level in range(len(features))]
    centers = cam_to_world[:, :3, 3]
    return SourceViews(images[1:], [maps[1:] for maps in features], projections, centers[1:], centers[0])


def look_at_sources(sources: SourceViews, points: Float[Tensor, "P 3"]) -> SeenColors:
    """What the sources show at points; differentiable in the features alone.

    Pixels are normalised as if the outermost pixels' centres were the borders and read as if their outer edges were:
    the released model was trained so.
    """
    points = points.detach()
    mask = torch.ones(len(sources.images), len(points), dtype=torch.bool, device=points.device)
    shown = []
    for level, (maps, projection) in enumerate(zip(sources.features, sources.projections, strict=True)):
        H, W = maps.shape[-2:]
        homogeneous = torch.einsum("sij,pj->spi", projection[..., :3], points) + projection[:, None, :, 3]
        pixels = homogeneous[..., :2] / homogeneous[..., 2:]
        size = pixels.new_tensor([W, H])
        mask &= (homogeneous[..., 2] > 0) & ((pixels >= 0) & (pixels < size)).all(dim=-1)
        grid = (pixels * (2 / (size - 1)) - 1)[:, None]
        if level == 0:
            shown.append(_read(sources.images, grid))
        shown.append(_read(maps, grid))
    return SeenColors(torch.cat(shown, dim=1).permute(2, 0, 1), _ray_difference(sources, points), mask.T)


def _read(maps: Float[Tensor, "S C H W"], grid: Float[Tensor, "S 1 P 2"]) -> Float[Tensor, "S C P"]:
    return functional.grid_sample(maps, grid, padding_mode="zeros", align_corners=False)[:, :, 0]


def _ray_difference(sources: SourceViews, points: Float[Tensor, "P 3"]) -> Float[Tensor, "P S 4"]:
    to_reference = (sources.reference_center - points)[:, None]
    to_source = sources.centers - points[:, None]
    a = to_reference / (to_reference.norm(dim=-1, keepdim=True) + 1e-6)
    b = to_source / (to_source.norm(dim=-1, keepdim=True) + 1e-6)
    difference = a - b
    direction = difference / difference.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    return torch.cat([direction, (a * b).sum(dim=-1, keepdim=True)], dim=-1)


class BlendingNetwork(nn.Module):
    """Attributes that own parameters have the released names.

    Args:
        feature_channels: Of the features beside the colour.
        anti_alias_pooling: Weigh views by how alike they look at the point; false weighs all that see it alike.
    """

    def __init__(self, feature_channels: int = 20, anti_alias_pooling: bool = True):
        super().__init__()
        channels = feature_channels + 3
        self.anti_alias_pooling = anti_alias_pooling
        if anti_alias_pooling:
            self.s = nn.Parameter(torch.tensor(0.2))
        self.ray_dir_fc = _layers(4, 16, channels)
        self.base_fc = _layers(3 * channels, 64, 32)
        self.vis_fc = _layers(32, 32, 33)
        self.vis_fc2 = _layers(32, 32, 1)[:-1]
        self.rgb_fc = nn.Sequential(*_layers(37, 16, 8), nn.Linear(8, 1))
        for part in (self.base_fc, self.vis_fc, self.vis_fc2, self.rgb_fc):
            for layer in part:
                if isinstance(layer, nn.Linear):
                    nn.init.kaiming_normal_(layer.weight)
                    nn.init.zeros_(layer.bias)

    def forward(
        self, rgb_feat: Float[Tensor, "P S C"], ray_diff: Float[Tensor, "P S 4"], mask: Bool[Tensor, "P S"]
    ) -> Float[Tensor, "P 3"]:
        """Colours; a point that no view sees has the mean of what is read outside the pictures."""
        seen = mask[..., None].to(rgb_feat.dtype)
        f = rgb_feat + self.ray_dir_fc(ray_diff)
        weight = self._pooling_weight(ray_diff, seen)
        mean = (weight * f).sum(dim=1, keepdim=True)
        variance = (weight * (f - mean).square()).sum(dim=1, keepdim=True)
        x = self.base_fc(torch.cat([mean.expand_as(f), variance.expand_as(f), f], dim=-1))
        residual, visibility = self.vis_fc(x * weight).split([x.shape[-1], 1], dim=-1)
        x = x + residual
        visibility = torch.sigmoid(visibility) * seen
        visibility = torch.sigmoid(self.vis_fc2(x * visibility)) * seen
        logits = self.rgb_fc(torch.cat([x, visibility, ray_diff], dim=-1)).masked_fill(seen == 0, -1e9)
        return (torch.softmax(logits, dim=1) * rgb_feat[..., :3]).sum(dim=1)

    def _pooling_weight(self, ray_diff: Tensor, seen: Tensor) -> Float[Tensor, "P S 1"]:
        weight = seen
        if self.anti_alias_pooling:
            likeness = torch.exp(self.s.abs() * (ray_diff[..., 3:] - 1))
            weight = (likeness - likeness.amin(dim=1, keepdim=True)) * seen
        return weight / (weight.sum(dim=1, keepdim=True) + 1e-8)


def _layers(*sizes: int) -> nn.Sequential:
    """Linear layers, each followed by ELU."""
    layers = []
    for entering, leaving in itertools.pairwise(sizes):
        layers += [nn.Linear(entering, leaving), nn.ELU(inplace=True)]
    return nn.Sequential(*layers)
