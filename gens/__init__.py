"""GenS: Generalizable Neural Surface Reconstruction from Multi-View Images.

Peng et al., NeurIPS 2023, https://arxiv.org/abs/2406.02495. A few posed photographs of an unseen scene become a
surface in one forward pass; fine-tuning on the scene improves it.

| paper | module |
| --- | --- |
| overview figure | `networks/network.py` |
| image features | `networks/feature_net.py` |
| generalized multi-scale volume | `networks/volumes.py`, `networks/reg_net.py` |
| signed distance, colour blending | `networks/sdf_net.py`, `networks/blending.py` |
| volume rendering (NeuS) | `networks/ray_sampling.py`, `networks/rendering.py` |
| multi-scale feature-metric consistency | `networks/patches.py` |
| training objective, view contrast by pseudo depth | `losses.py` |
| training, fine-tuning | `trainer.py`, `finetuner.py` |
| meshes and their evaluation | `validation.py`, `mesh_cleaning.py`, `evaluation/` |
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gens.networks.network import GenS
    from gens.scene_renderer import GensRenderer

SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "gens.ckpt"
SHIPPED_CONFIG = "confs/synthetic.conf"
PAPER_CONFIG = "confs/gens.conf"


def load(weights: str | Path | None = None, config: str | None = None, overrides: Sequence[str] = ()) -> "GenS":
    """The network in eval mode, with exactly the state-dict names of the released checkpoint.

    Args:
        weights: A generic checkpoint (ours or the released one); None takes the shipped weights; "random" initialises
            with seed 0.
        config: Config file, looked up in the working directory, then in this package. None takes the one that the
            shipped weights were made with, for other weights the paper's.
        overrides: KEY VALUE words, as on the command line.

    Raises:
        FileNotFoundError: No such file, or no weights are shipped.
        RuntimeError: The file's entries are not the network's; the message names the first differences.
    """
    import torch

    from gens.config import load_config
    from gens.model_checkpoints import load_generic
    from gens.networks.network import build_network

    cfg = load_config(_config_name(weights, config), list(overrides))
    if weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build_network(cfg.model).eval()
    path = Path(weights) if weights is not None else SHIPPED_WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(
            f"no GenS weights at {path}; give a checkpoint, or weights='random' for an untrained network"
        )
    network = build_network(cfg.model)
    load_generic(network, path)
    return network.eval()


def renderer(
    weights: str | Path | None = None,
    config: str | None = None,
    overrides: Sequence[str] = (),
    device: str = "cpu",
    mesh_resolution: int = 256,
) -> "GensRenderer":
    """GenS as a `common.renderer.Renderer`: any scene, any camera, and the scene's mesh.

    Pictures are brought to about the size of the config's `val_dataset.img_hw`, whatever their proportions.

    Args:
        weights: As for `load`.
        config: As for `load`.
        overrides: As for `load`.
        device: Where to compute.
        mesh_resolution: Grid points along a side of the cube in which the mesh is sought.
    """
    from gens.config import load_config
    from gens.scene_renderer import GensRenderer  # not `gens.renderer`: that module would replace this function

    cfg = load_config(_config_name(weights, config), list(overrides))
    size = tuple(cfg.val_dataset.img_hw) if cfg.val_dataset is not None else tuple(cfg.finetune_dataset.img_hw)
    factor = cfg.val_dataset.factor if cfg.val_dataset is not None else cfg.finetune_dataset.factor
    network = load(weights, config, overrides)
    return GensRenderer(network, size, device, factor=factor, mesh_resolution=mesh_resolution)


def _config_name(weights: str | Path | None, config: str | None) -> str:
    return config or (SHIPPED_CONFIG if weights is None else PAPER_CONFIG)
