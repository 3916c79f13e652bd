"""`image_encoder`: what the pictures look like, as features of a quarter of their size (spec 5.1)."""

from jaxtyping import Float
from torch import Tensor

from neuray_mrvm.networks.blocks import ResUNet


class ImageEncoder(ResUNet):
    """Image features of pictures in [0, 1], which are not normalised."""

    def __init__(self):
        super().__init__(blocks=(1, 2, 6))

    def forward(self, imgs: Float[Tensor, "V 3 H W"]) -> Float[Tensor, "V 32 h w"]:
        return super().forward(imgs)
