"""`init_net`, cost-volume variant: raw ray features from what MVSNet thinks of the depth (spec 5.6)."""

import logging
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from common.feature_sampling import target_to_source
from neuray_mrvm.networks.blocks import ResUNet, residual_head, view_by_view
from neuray_mrvm.networks.mvsnet import METHOD_FOLDER, WEIGHTS_FILE, MvsNet, find_weights, load_weights
from neuray_mrvm.sampling import coarse_depths, inverse_depth
from neuray_mrvm.view_batch import ViewBatch

# Outside training pictures of these sizes are shrunk for MVSNet, by the factor; no other size is.
_SHRINKING = {(768, 1024): 0.75, (800, 800): 0.8}
_LARGE = 800
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_LOGGER = logging.getLogger(__name__)


class CostVolumeInit(nn.Module):
    """Pictures and MVSNet's distributions over depth, to 32 channels of a quarter of the size.

    Without the released MVSNet file the network is built all the same, with a warning: every checkpoint contains those
    weights. Training refuses to start from neither.

    Args:
        cfg: `init_net_cfg`: `cost_volume_sn`, the number of depths.
    """

    def __init__(self, cfg: Mapping[str, Any]):
        super().__init__()
        self.num_planes = int(cfg.get("cost_volume_sn", 64))
        self.register_buffer("imagenet_mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("imagenet_std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1))
        self.mvsnet = MvsNet()
        self.res_net = ResUNet(blocks=(2, 3, 6), stem=32)
        self.volume_conv2d = residual_head(self.num_planes)
        self.depth_conv = residual_head(1)
        self.out_conv = residual_head(96)
        weights = find_weights()
        if weights is None:
            _LOGGER.warning("no MVSNet weights %s: a checkpoint must bring them", WEIGHTS_FILE)
        else:
            load_weights(self.mvsnet, weights)

    def forward(
        self, references: ViewBatch, sources: ViewBatch | None, training: bool = False
    ) -> Float[Tensor, "V 32 h w"]:
        if training and not self.mvsnet.is_trained:
            raise RuntimeError(
                "training with init_net_type 'cost_volume' needs MVSNet's weights: put mvsnet_pl.ckpt, which is"
                f" published with NeuRay's code, at {METHOD_FOLDER / WEIGHTS_FILE}, or start from a checkpoint of this"
                " variant with --ft_load_path, which --pre_stageone does not read"
            )
        probability, depth = self.depth_distribution(references, sources, training)
        normalised = inverse_depth(depth, references.depth_range[:, None, None]).clamp(0, 1)
        return view_by_view(self._describe, references.imgs, probability, normalised[:, None])

    def _describe(
        self,
        pictures: Float[Tensor, "V 3 H W"],
        probability: Float[Tensor, "V D h w"],
        depth: Float[Tensor, "V 1 h w"],
    ) -> Float[Tensor, "V 32 h w"]:
        described = self.res_net(pictures), self.volume_conv2d(probability), self.depth_conv(depth)
        return self.out_conv(torch.cat(described, dim=1))

    @torch.no_grad()
    def depth_distribution(
        self, references: ViewBatch, sources: ViewBatch | None, training: bool = False
    ) -> tuple[Float[Tensor, "V D h w"], Float[Tensor, "V h w"]]:
        """Probability of each depth, and the expected depth, at a quarter of the references' size.

        Args:
            references: With `nn_ids`, each view's neighbours among the sources.
            sources: The views that the references are compared with.
            training: Large pictures keep their size.

        Raises:
            ValueError: There are no sources or no neighbours.
        """
        if sources is None or references.nn_ids is None:
            raise ValueError(
                "init_net_type is 'cost_volume' but the views come without sources; set use_src_imgs: true in the"
                " data settings"
            )
        size = tuple(references.imgs.shape[-2:])
        is_large = not training and max(size) >= _LARGE
        scale = _SHRINKING.get(size, 1.0) if is_large else 1.0
        own = self.mvsnet.features(self._normalised(references.imgs, scale))
        used, position = references.nn_ids.unique(return_inverse=True)
        sources = sources.select(used)
        others = self.mvsnet.features(self._normalised(sources.imgs, scale))
        results = []
        for view, neighbours in enumerate(position):
            one = references.select(torch.tensor([view], device=neighbours.device))
            matrix = sweep_matrices(one, sources.select(neighbours), scale / 4)
            depths = coarse_depths(references.depth_range[view], self.num_planes)
            logits = self.mvsnet.logits(own[view], others[neighbours], matrix, depths)
            logits = logits.masked_fill(logits.isnan(), 0.0)
            if is_large:
                quarter = size[0] // 4, size[1] // 4
                logits = functional.interpolate(logits[None], quarter, mode="bilinear", align_corners=False)[0]
            probability = torch.softmax(logits, dim=0)
            results.append((probability, torch.einsum("dhw,d->hw", probability, depths)))
        probabilities, depth = zip(*results, strict=True)
        return torch.stack(probabilities), torch.stack(depth)

    def _normalised(self, pictures: Float[Tensor, "V 3 H W"], scale: float) -> Float[Tensor, "V 3 h w"]:
        pictures = (pictures - self.imagenet_mean) / self.imagenet_std
        if scale == 1:
            return pictures
        size = [round(side * scale) for side in pictures.shape[-2:]]
        return functional.interpolate(pictures, size, mode="bilinear", align_corners=False)


def sweep_matrices(reference: ViewBatch, sources: ViewBatch, scale: float) -> Float[Tensor, "T 3 4"]:
    """From one reference to itself and to its sources, for maps `scale` times the pictures' size."""
    intrinsics = torch.cat([reference.Ks, sources.Ks])[None]
    last_row = intrinsics.new_tensor([0.0, 0.0, 0.0, 1.0])
    poses = torch.cat([reference.poses, sources.poses])
    world_to_cam = torch.cat([poses, last_row.expand(len(poses), 1, 4)], dim=1)[None]
    return target_to_source(intrinsics, world_to_cam, intrinsics[:, 0], world_to_cam[:, 0], scale, scale)[0]
