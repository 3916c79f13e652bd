"""The network for scenes it has never seen: ray features come from depth maps or from a cost volume (spec 4)."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from neuray_mrvm import geometry
from neuray_mrvm.config_defaults import GENERALIZATION
from neuray_mrvm.networks.cost_volume_init import CostVolumeInit
from neuray_mrvm.networks.depth_init import DepthInit
from neuray_mrvm.networks.ray_rendering import PreparedViews, RandomDraws, RayNetwork
from neuray_mrvm.view_batch import TrainingItem, ViewBatch

_INIT_NETS = {"depth": DepthInit, "cost_volume": CostVolumeInit}


class GeneralizationNetwork(RayNetwork):
    """`neuray_gen`.

    Args:
        cfg: Settings of a configuration file; those that are absent have the paper's values.
    """

    def __init__(self, cfg: Mapping[str, Any]):
        super().__init__(cfg)
        cfg = {**GENERALIZATION, **cfg}
        self.use_depth_loss = bool(cfg["use_depth_loss"])
        self.depth_loss_coords_num = int(cfg["depth_loss_coords_num"])
        self.init_net = _INIT_NETS[cfg["init_net_type"]](cfg.get("init_net_cfg", {}))
        self.add_heads()

    def forward(self, item: TrainingItem, draws: RandomDraws | None = None) -> dict[str, Tensor]:
        """`render_rays` of the item's rays; in training also what the depth loss compares.

        That is, where `use_depth_loss` is set, `depth_mean`, `depth_mean_fine` (V, P): normalised inverse depths of the
        first surface, and `depth_coords` (V, P, 2): their positions (x, y) in the references.
        """
        prepared = self.prepare(item.references, item.sources)
        outputs = self.render(prepared, item.query, draws)
        if self.training and self.use_depth_loss:
            outputs |= self._depth_means(prepared, draws)
        return outputs

    def prepare(self, references: ViewBatch, sources: ViewBatch | None = None) -> PreparedViews:
        """What every ray reads from the references: once per set of views.

        Args:
            references: The views that are blended.
            sources: Views that the cost volume reads; not needed for depth.
        """
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            raw_ray_feats = self.init_net(references, sources, self.training)
            return self.encode_views(references, raw_ray_feats)

    def _depth_means(self, prepared: PreparedViews, draws: RandomDraws | None) -> dict[str, Tensor]:
        positions = None if draws is None else draws.depth_positions
        if positions is None:
            positions = self._draw_positions(prepared.views)
        positions = positions.expand(len(prepared.views), -1, -1)
        ray_feats = geometry.look_up(prepared.ray_feats, positions, prepared.views.size)
        means = {"depth_mean": self.dist_decoder.first_mean(ray_feats), "depth_coords": positions}
        if self.settings.use_hierarchical_sampling:
            means["depth_mean_fine"] = self.fine_dist_decoder.first_mean(ray_feats)
        return means

    def _draw_positions(self, views: ViewBatch) -> Float[Tensor, "P 2"]:
        height, width = views.size
        count = min(self.depth_loss_coords_num, height * width)
        index = torch.randperm(height * width, device=views.Ks.device)[:count]
        return torch.stack([index % width, index // width], dim=-1).to(views.Ks.dtype)
