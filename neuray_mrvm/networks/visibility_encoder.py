"""`vis_encoder`: from raw ray features to the maps G that say how far every pixel sees (spec 5.3)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuray_mrvm.networks.blocks import residual_head, view_by_view


class VisibilityEncoder(nn.Module):
    """Raw ray features, refined where the image features show edges."""

    def __init__(self):
        super().__init__()
        self.out_conv = residual_head(64, blocks=2)

    def forward(
        self, ray_feats: Float[Tensor, "V 32 h w"], img_feats: Float[Tensor, "V 32 h w"]
    ) -> Float[Tensor, "V 32 h w"]:
        return view_by_view(self.out_conv, torch.cat([img_feats, ray_feats], dim=1))
