"""ID-NeRF: Indirect Diffusion-guided Neural Radiance Fields for Generalizable View Synthesis.

Two or three posed photographs of an unseen scene become a novel view in one forward pass; in training, a diffusion
model pulls the latent that stands for what the photographs do not show.

| paper | module |
| --- | --- |
| overview figure | `networks/network.py`, `training_step.py` |
| image features (GMFlow) | `networks/encoder.py`, `networks/backbone.py`, `networks/transformer.py` |
| reprojected features and matching | `conditioning.py`, `projection.py` |
| imaginative latent space | `networks/latent_inference.py`, `ray_pictures.py` |
| attention-based refinement, conditional NeRF, ray attention | `networks/decoder.py`, `networks/attention.py` |
| diffusion prior, score distillation, CLIP condition | `guidance/` |
| training | `trainer.py`, `optimization.py` |
| evaluation, videos | `evaluator.py`, `scores.py`, `videos.py` |
| where the released program differs from the paper | `parity.py` |
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from idnerf.networks.network import IdNerf
    from idnerf.scene_renderer import IdNerfRenderer

# By number of source views. The second file has all but the encoder, which is that of the first.
SHIPPED_WEIGHTS = {
    3: Path(__file__).parent / "weights" / "idnerf.pth",
    2: Path(__file__).parent / "weights" / "idnerf_two_views.pth",
}
SHIPPED_CONFIG = "synthetic"
PAPER_CONFIG = "test"


def load(weights: str | Path | None = None, config: str | None = None, overrides: Sequence[str] = ()) -> "IdNerf":
    """The network in eval mode, with exactly the state-dict names of the released program.

    Args:
        weights: A checkpoint file; None takes the shipped weights, which exist for two and for three source views;
            "random" initialises with seed 0.
        config: Name of a YAML file, `configs/<config>.yaml` in the working directory or in this package. None takes
            the one that the shipped weights were made with, for other weights the paper's.
        overrides: Words as on the command line, such as "--n_src_views=2".

    Raises:
        FileNotFoundError: No such file, or no weights are shipped.
        RuntimeError: The file lacks a part of the network, or its entries are not the network's.
        ValueError: A word that is no option.
    """
    import torch

    from idnerf.model_checkpoints import load_weights
    from idnerf.networks.network import build_network
    from idnerf.options import load_options

    name = config or (SHIPPED_CONFIG if weights is None else PAPER_CONFIG)
    opt = load_options([f"--yaml={name}", *overrides])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(opt).eval()
    if weights == "random":
        return network
    children = [child for child, _ in network.named_children()]
    for path, parts in _files(weights, opt.n_src_views, children).items():
        if not path.is_file():
            raise FileNotFoundError(
                f"no ID-NeRF weights at {path}; give a checkpoint, or weights='random' for an untrained network"
            )
        load_weights(network, path, parts)
    return network


def _files(weights: str | Path | None, num_views: int, children: Sequence[str]) -> dict[Path, Sequence[str]]:
    """Which children of the network come from which file."""
    if weights is not None:
        return {Path(weights): children}
    if num_views not in SHIPPED_WEIGHTS:
        there = " and ".join(map(str, sorted(SHIPPED_WEIGHTS)))
        raise FileNotFoundError(
            f"weights are shipped for {there} source views, got n_src_views {num_views}; give a checkpoint"
        )
    if num_views == 3:
        return {SHIPPED_WEIGHTS[3]: children}
    own = [child for child in children if child != "feat_enc"]
    return {SHIPPED_WEIGHTS[3]: ["feat_enc"], SHIPPED_WEIGHTS[num_views]: own}


def renderer(
    weights: str | Path | None = None,
    config: str | None = None,
    overrides: Sequence[str] = (),
    device: str = "cpu",
) -> "IdNerfRenderer":
    """ID-NeRF as a `common.renderer.Renderer`: any scene, any camera, from as many sources as the weights are for.

    Args:
        weights: As for `load`.
        config: As for `load`.
        overrides: As for `load`.
        device: Where to compute.
    """
    from idnerf.scene_renderer import IdNerfRenderer  # not `idnerf.renderer`: that module would replace this function

    return IdNerfRenderer(load(weights, config, overrides), device)
