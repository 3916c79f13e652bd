"""The network of one scene: the raw ray features of its reference views are parameters (spec 6.3)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from neuray_mrvm.networks.generalization import GeneralizationNetwork
from neuray_mrvm.networks.ray_rendering import PreparedViews, RandomDraws, RayNetwork
from neuray_mrvm.view_batch import SceneItem, ViewBatch

COPIED = ("vis_encoder", "dist_decoder", "agg_net", "sph_fitter", "image_encoder", "fine_dist_decoder", "fine_agg_net")


class PerSceneNetwork(RayNetwork):
    """`neuray_ft`.

    Args:
        cfg: Settings of a configuration file; those that are absent have the paper's values.
        shapes: Of the ray features of every reference view, (1, channels, height, width).

    Attributes:
        before_reading: Called with the ray features that are about to be read.
    """

    def __init__(self, cfg: Mapping[str, Any], shapes: Sequence[tuple[int, ...]]):
        super().__init__(cfg)
        self.add_heads()
        self.ray_feats = nn.ParameterList(nn.Parameter(torch.randn(shape)) for shape in shapes)
        self.before_reading: Callable[[Iterable[nn.Parameter]], None] | None = None

    def forward(self, item: SceneItem, draws: RandomDraws | None = None) -> dict[str, Tensor]:
        """`render_rays` of the item's rays."""
        prepared = self.prepare(item.references, item.reference_numbers)
        own = None
        if self.training and self.settings.use_self_hit_prob and item.query_number is not None:
            own = self.prepare(item.query, [item.query_number])
        return self.render(prepared, item.query, draws, own)

    def prepare(self, references: ViewBatch, numbers: Sequence[int]) -> PreparedViews:
        """What every ray reads from reference views: once per set of views.

        Args:
            references: Some of the scene's reference views.
            numbers: Their positions in the list of all.
        """
        chosen = [self.ray_feats[number] for number in numbers]
        if self.before_reading is not None:
            self.before_reading(chosen)
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            return self.encode_views(references, torch.cat(list(chosen)))

    @torch.no_grad()
    def copy_parts(self, network: GeneralizationNetwork) -> None:
        """Take over the weights of everything that does not depend on the scene."""
        for name in COPIED:
            if hasattr(self, name):
                getattr(self, name).load_state_dict(getattr(network, name).state_dict())
