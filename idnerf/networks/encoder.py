"""Features of every source view, refined against each of the other views."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from common.ops.window_sampling import view_pairs
from idnerf.networks.backbone import Backbone
from idnerf.networks.position import add_window_position
from idnerf.networks.transformer import FeatureTransformer
from idnerf.networks.upsampler import FeatureUpsampler

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
REDUCTION = 8
# LLFF's photographs at quarter size are no multiple of 16; the released code enlarges them for the encoder alone.
RESIZED = {(756, 1008): (768, 1024)}


class FeatureEncoder(nn.Module):
    """GMFlow's encoder on all pairs of views, with an up-sampler.

    Args:
        num_layers: Transformer blocks.
        splits: Attention windows per side.
        self_attention: See `FeatureTransformer`.
        upsample_factor: Enlargement of the high map.
    """

    def __init__(self, num_layers: int = 6, splits: int = 2, self_attention: bool = True, upsample_factor: int = 2):
        super().__init__()
        self.backbone = Backbone()
        self.transformer = FeatureTransformer(num_layers, splits, self_attention)
        self.featup_net = FeatureUpsampler(upsample_factor)

    def forward(self, images: Float[Tensor, "V 3 H W"]) -> tuple[Float[Tensor, "V C h w"], Float[Tensor, "V C h2 w2"]]:
        """Maps at 1/8 of the size and at `upsample_factor` times that; C is 128 for each of the other views, in order.

        Args:
            images: At least two pictures in [0, 1].

        Raises:
            ValueError: One picture only, or a size that does not divide into the attention windows.
        """
        size = RESIZED.get(tuple(images.shape[-2:]))
        if size is not None:
            images = functional.interpolate(images, size, mode="bilinear", align_corners=True)
        check_pictures(images, REDUCTION * self.transformer.splits)
        features = self.backbone(normalise(images))
        pairs = view_pairs(len(images))
        features = add_window_position(features, self.transformer.splits)
        first, second = (features[list(ids)] for ids in zip(*pairs, strict=True))
        refined = torch.cat(self.transformer(first, second))
        return gather_views(refined, pairs), gather_views(self.featup_net(refined), pairs)


def check_pictures(images: Float[Tensor, "V 3 H W"], multiple: int) -> None:
    """Raise ValueError unless there are two pictures and their sides are multiples of this."""
    count, _, height, width = images.shape
    if count < 2:
        raise ValueError(f"ID-NeRF compares source views with each other and needs at least 2, got {count}")
    if height % multiple or width % multiple:
        raise ValueError(
            f"pictures of {width} x {height} do not divide into attention windows; resize them to multiples of "
            f"{multiple} (data_*.img_wh)"
        )


def normalise(images: Float[Tensor, "V 3 H W"]) -> Float[Tensor, "V 3 H W"]:
    """ImageNet's mean and spread per channel become 0 and 1."""
    mean, std = (images.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (images - mean) / std


def gather_views(refined: Float[Tensor, "P2 C h w"], pairs: list[tuple[int, int]]) -> Float[Tensor, "V CV h w"]:
    """From the first maps of all pairs followed by the second maps, to one map per view with all its partners."""
    count = max(j for _, j in pairs) + 1
    blocks: list[list[Tensor]] = [[] for _ in range(count)]
    for number, (i, j) in enumerate(pairs):
        blocks[i].append(refined[number])
        blocks[j].append(refined[len(pairs) + number])
    return torch.stack([torch.cat(block) for block in blocks])
