"""`init_net`, depth variant: raw ray features from depth maps of the reference views (spec 5.2)."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from common.ops.view_differences import view_differences
from neuray_mrvm.networks.blocks import ResUNet, view_by_view
from neuray_mrvm.sampling import depth_of, inverse_depth
from neuray_mrvm.view_batch import ViewBatch


class DepthInit(nn.Module):
    """Pictures, normalised inverse depth, and how well the views agree, to 32 channels of a quarter of the size.

    Unknown depth (0) counts as near: the released models were trained so. `sources` and `training` are what the other
    variant needs.

    Args:
        cfg: `init_net_cfg`; this variant has no settings.
    """

    def __init__(self, cfg: Mapping[str, Any]):
        super().__init__()
        self.res_net = ResUNet(blocks=(2, 2, 2), in_channels=12, stem=32, stem_kernel=8, stem_padding=2)
        self.depth_skip = nn.Sequential(nn.Conv2d(1, 8, 2, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 2, stride=2))
        self.conv_out = nn.Conv2d(16 + 32, 32, 1)

    def forward(
        self, references: ViewBatch, sources: ViewBatch | None = None, training: bool = False
    ) -> Float[Tensor, "V 32 h w"]:
        depth = normalised_depth(references)
        return view_by_view(self._describe, references.imgs, depth, depth_differences(references, depth))

    def first(self, references: ViewBatch) -> Float[Tensor, "1 32 h w"]:
        """What `forward` gives for the first view alone: the others are only compared with it, not described."""
        depth = normalised_depth(references)
        differences = depth_differences(references, depth)
        return self._describe(references.imgs[:1], depth[:1], differences[:1])

    def _describe(
        self,
        pictures: Float[Tensor, "V 3 H W"],
        depth: Float[Tensor, "V 1 H W"],
        differences: Float[Tensor, "V 8 H W"],
    ) -> Float[Tensor, "V 32 h w"]:
        encoded = self.res_net(torch.cat([pictures, depth, differences], dim=1))
        return self.conv_out(torch.cat([self.depth_skip(depth), encoded], dim=1))


def normalised_depth(views: ViewBatch) -> Float[Tensor, "V 1 H W"]:
    """The views' depth maps, 0 at near and where unknown, 1 at far and beyond.

    Raises:
        ValueError: The views have no depth maps.
    """
    if views.depth is None:
        raise ValueError(
            "init_net_type is 'depth' but the reference views have no depth maps; make them with"
            " tools/make_depth_cache.py, or use a model with init_net_type 'cost_volume'"
        )
    return inverse_depth(views.depth, views.depth_range[:, None, None, None]).clamp(0, 1)


def depth_differences(views: ViewBatch, normalised: Float[Tensor, "V 1 H W"]) -> Float[Tensor, "V 8 H W"]:
    """What all views show at the points of each view's depth map, against what the view itself shows there."""
    depth = depth_of(normalised, views.depth_range[:, None, None, None])[:, 0]
    return view_differences(views.imgs, depth, views.Ks, views.poses, views.depth_range)
