"""NeuRay: Neural Rays for Occlusion-aware Image-based Rendering, with mask-based pre-training (MRVM-NeRF).

Liu et al., CVPR 2022, https://arxiv.org/abs/2107.13421; Yang et al., "Mask-Based Modeling for Neural Radiance Fields",
ICLR 2024, https://arxiv.org/abs/2304.04962. From posed photographs it renders new views; every photograph carries,
pixel by pixel, how visible a point at some depth is. It renders scenes that it never saw, and can be fine-tuned on one.

| paper | module |
| --- | --- |
| overview figure | `networks/ray_rendering.py`, `networks/generalization.py` |
| ray features from depth | `networks/depth_init.py` |
| ray features from a cost volume | `networks/cost_volume_init.py`, `networks/mvsnet.py` |
| visibility-aware features | `networks/visibility_encoder.py`, `networks/image_encoder.py` |
| hit probability of a ray: mixture of logistics | `networks/distribution_decoder.py` |
| aggregation of views, attention along the ray | `networks/aggregation.py`, `networks/ray_attention.py` |
| projection, samples, compositing | `geometry.py`, `sampling.py` |
| masked modelling: tokens, target, predictor | `networks/masked_modeling.py`, `networks/mrvm_heads.py` |
| training objective, self hit probability | `losses.py` |
| data sets and their augmentation | `databases/`, `training_data.py` |
| training, fine-tuning on one scene | `trainer.py`, `networks/per_scene.py` |
| evaluation, free poses | `render_job.py`, `picture_scores.py`, `free_poses.py` |
| own photographs | `run_colmap.py`, `depth_cache.py` |
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.settings import Config
    from neuray_mrvm.networks.generalization import GeneralizationNetwork
    from neuray_mrvm.scene_renderer import NeurayRenderer

SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "neuray_depth.pth"
SHIPPED_CONFIG = "configs/gen/synthetic_depth.yaml"
PAPER_CONFIG = "configs/gen/neuray_gen_depth.yaml"


def load(
    weights: str | Path | None = None, config: str | None = None, overrides: Sequence[str] = ()
) -> "GeneralizationNetwork":
    """The network for any scene in eval mode, with exactly the state-dict names of the released checkpoints.

    Args:
        weights: A checkpoint for any scene (ours or a released one); None takes the shipped weights; "random"
            initialises with seed 0.
        config: YAML file, looked up in the working directory, then in this package. None takes the one that the shipped
            weights were made with, for other weights the paper's with depth maps.
        overrides: KEY VALUE words, such as `ray_batch_num 1024` or `init_net_cfg.cost_volume_sn 32`.

    Raises:
        FileNotFoundError: No such file, or no weights are shipped.
        RuntimeError: The file's entries are not the network's; the message names the first differences.
        ValueError, TypeError: An unknown setting, or one that does not fit.
    """
    return _load(_settings(weights, config, overrides), weights)


def renderer(
    weights: str | Path | None = None,
    config: str | None = None,
    overrides: Sequence[str] = (),
    device: str = "cpu",
    use_scene_depth: bool = True,
) -> "NeurayRenderer":
    """NeuRay as a `common.renderer.Renderer`: any scene of any reader, any camera at any size.

    Args:
        weights: As for `load`.
        config: As for `load`.
        overrides: As for `load`.
        device: Where to compute.
        use_scene_depth: Read the depth maps that a scene has. False sweeps planes for all views, as is done for scenes
            without; comparisons with methods that are given no depth need it.
    """
    from common.settings import to_config
    from neuray_mrvm.scene_renderer import NeurayRenderer  # not `neuray_mrvm.renderer`: it would replace this function

    cfg = to_config({**_settings(weights, config, overrides), "render_depth": True})
    return NeurayRenderer(_load(cfg, weights), cfg, device, use_scene_depth)


def _settings(weights: str | Path | None, config: str | None, overrides: Sequence[str]) -> "Config":
    from neuray_mrvm.config import load_config

    cfg = load_config(config or (SHIPPED_CONFIG if weights is None else PAPER_CONFIG), overrides)
    if cfg["network"] != "neuray_gen":
        raise ValueError(
            f"{config} is for one scene (network {cfg['network']}); load and renderer need a config for any scene, such"
            f" as {PAPER_CONFIG}, and neuray_mrvm/render.py --render_type ft renders with one scene's network"
        )
    return cfg


def _load(cfg: "Config", weights: str | Path | None) -> "GeneralizationNetwork":
    import torch

    from neuray_mrvm.model_checkpoints import load_network
    from neuray_mrvm.networks.build import build_generalization

    if weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build_generalization(cfg).eval()
    path = Path(weights) if weights is not None else SHIPPED_WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(
            f"no NeuRay weights at {path}; give a checkpoint, or weights='random' for an untrained network"
        )
    network = build_generalization(cfg)
    load_network(network, path)
    return network.eval()
