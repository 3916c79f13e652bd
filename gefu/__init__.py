"""GeFu: Geometry-aware Reconstruction and Fusion-refined Rendering for Generalizable Neural Radiance Fields.

Liu et al., CVPR 2024, https://arxiv.org/abs/2404.17528. A few posed photographs of an unseen scene become a novel view
in one forward pass.

| paper | module |
| --- | --- |
| overview figure | `networks/network.py` |
| image features | `networks/feature_net.py` |
| adaptive cost aggregation | `networks/cost_volume.py` |
| cost volume regularisation | `networks/cost_reg_net.py` |
| depth hypotheses and intervals of the cascade | `networks/depth.py` |
| spatial-view aggregator, decoding strategies | `networks/nerf.py`, `networks/rendering.py` |
| consistency-aware fusion | `networks/fusion.py` |
| training objective | `losses.py` |
| evaluation, videos, point clouds | `evaluator.py`, `videos.py`, `point_clouds.py` |
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gefu.networks.network import Network
    from gefu.scene_renderer import GefuRenderer

SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "gefu.pth"


def load(
    weights: str | Path | None = None,
    config: str = "configs/gefu/dtu_pretrain.yaml",
    overrides: Sequence[str] = (),
) -> "Network":
    """The network in eval mode, with exactly the state-dict names of the released checkpoint.

    Args:
        weights: A checkpoint file (ours or the released one); None takes the shipped weights; "random" initialises with
            seed 0.
        config: Config file, looked up in the working directory, then in this package.
        overrides: KEY VALUE words, as on the command line.

    Raises:
        FileNotFoundError: No such file, or no weights are shipped.
        RuntimeError: The file's entries are not the network's; the message names the first differences.
    """
    import torch

    from gefu.config import load_config
    from gefu.networks.network import build_network

    cfg = load_config(config, list(overrides))
    if weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build_network(cfg).eval()

    from common.checkpoints import load_checkpoint, load_state

    path = Path(weights) if weights is not None else SHIPPED_WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(
            f"no GeFu weights at {path}; give a checkpoint, or weights='random' for an untrained network"
        )
    network = build_network(cfg)
    checkpoint = load_checkpoint(path)
    load_state(network, checkpoint.get("net", checkpoint), path)
    return network.eval()


def renderer(
    weights: str | Path | None = None,
    config: str = "configs/gefu/dtu_pretrain.yaml",
    overrides: Sequence[str] = (),
    device: str = "cpu",
) -> "GefuRenderer":
    """GeFu as a `common.renderer.Renderer`: any scene, any camera.

    Args:
        weights: As for `load`.
        config: As for `load`.
        overrides: As for `load`.
        device: Where to compute.
    """
    from gefu.scene_renderer import GefuRenderer  # not `gefu.renderer`: that module would replace this function

    return GefuRenderer(load(weights, config, overrides), device)
