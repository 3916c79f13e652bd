"""The settings that rendering reads."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from neuray_mrvm.config_defaults import LOSSES, NETWORK, SECTIONS, TRAINER


@dataclass(frozen=True)
class RenderingSettings:
    """Spelt as in configuration files.

    Attributes:
        depth_sample_num: Samples of the coarse pass.
        fine_depth_sample_num: New samples of the fine pass.
        fine_depth_use_all: The fine pass also sees the coarse samples.
        ray_batch_num: Rays of a chunk in evaluation.
        alpha_value_ground_state: Logit of the opacity where a view does not see a point (direct rendering).
        ray_mask_view_num, ray_mask_point_num: A ray counts if more than so many of its samples are seen by more than so
            many views.
        gamma: Share of itself that the target projector keeps in every step.
        neuray_dim, fine_neuray_dim: Channels of the embedded ray features.
    """

    use_hierarchical_sampling: bool
    depth_sample_num: int
    fine_depth_sample_num: int
    fine_depth_use_all: bool
    ray_batch_num: int
    alpha_value_ground_state: float
    use_dr_prediction: bool
    use_nr_color_for_dr: bool
    use_self_hit_prob: bool
    use_ray_mask: bool
    ray_mask_view_num: int
    ray_mask_point_num: int
    render_depth: bool
    projection_size: int
    predictor_hidden_size: int
    gamma: float
    stage: str
    mask_ratio: float
    dist_decoder_cfg: Mapping[str, Any]
    fine_dist_decoder_cfg: Mapping[str, Any]
    neuray_dim: int
    fine_neuray_dim: int

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any]) -> "RenderingSettings":
        """Settings of a configuration; what is absent has the paper's value."""
        values = {**TRAINER, **LOSSES, **NETWORK, **cfg}
        for name in ("dist_decoder_cfg", "fine_dist_decoder_cfg", "agg_net_cfg", "fine_agg_net_cfg"):
            values[name] = {**SECTIONS[name], **cfg.get(name, {})}
        values["neuray_dim"] = values["agg_net_cfg"]["neuray_dim"]
        values["fine_neuray_dim"] = values["fine_agg_net_cfg"]["neuray_dim"]
        return cls(**{field.name: values[field.name] for field in fields(cls)})
