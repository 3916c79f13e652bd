"""XScale-NVS: Cross-Scale Novel View Synthesis with Hash Featurized Manifold.

Wang et al., CVPR 2024, https://arxiv.org/abs/2403.19517. A hash grid is read where rays meet a photogrammetry mesh, and
a small sinusoidal network turns feature, view direction, light code and exposure code into colour.

| paper, specification | module |
| --- | --- |
| settings | `configs/parameter.py`, `parameters.py` |
| scene folder, cameras, mesh | `scene_files.py`, `scene_mesh.py` |
| ray caching, slicing | `ray_buffers.py`, `view_caching.py`, `ray_caching.py`, `ray_slicing.py`, `ray_cache.py` |
| hash featurised manifold | `networks/manifold.py` |
| shading network | `networks/film.py`, `networks/shading.py` |
| exposure and light codes, whole model | `networks/model.py` |
| tone curve | `tone.py` |
| losses, optimisers, dynamic loading, training | `losses.py`, `optimization.py`, `schedule.py`, `trainer.py` |
| rendering | `networks/painter.py`, `view_painting.py`, `test_views.py`, `scene_renderer.py` |
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xscale_nvs.networks.model import XscaleModel
    from xscale_nvs.scene_renderer import XscaleRenderer


def load(
    weights: str | Path | None = None,
    config: str | Path = "configs/parameter.py",
    overrides: Sequence[str] = (),
) -> "XscaleModel":
    """The model in eval mode, with exactly the state-dict names of the released training program.

    Its box is not in the file: call `set_box` with the mesh's before use.

    Args:
        weights: A checkpoint file (ours or the released program's); None initialises with seed 0, because weights
            belong to one scene and none are shipped.
        config: Parameter file, looked up in the working directory, then in this package.
        overrides: KEY VALUE words, as on the command line.

    Raises:
        FileNotFoundError: No such file.
        RuntimeError: The file's entries are not the model's; the message names the first differences.
    """
    import torch

    from xscale_nvs.model_checkpoints import exposure_rows, load_model, read_model
    from xscale_nvs.networks.model import build_model
    from xscale_nvs.parameters import load_params

    params = load_params(config, overrides)
    if weights is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build_model(params).eval()
    content = read_model(weights)
    model = build_model(params, exposure_rows(content))
    load_model(model, content, weights)
    return model.eval()


def renderer(
    weights: str | Path | None = None,
    config: str | Path = "configs/parameter.py",
    overrides: Sequence[str] = (),
    device: str = "cpu",
    folder: str | Path | None = None,
) -> "XscaleRenderer":
    """XScale-NVS as a `common.renderer.Renderer`: any scene with a mesh, any camera.

    Args:
        weights: As for `load`; None fits a model to the source views in `prepare`, which needs a finite max_epoch.
        config: As for `load`.
        overrides: As for `load`.
        device: Where to compute.
        folder: Where a fit keeps its rays and checkpoints, to be continued from; None takes a temporary one.
    """
    from xscale_nvs.parameters import load_params
    from xscale_nvs.scene_renderer import XscaleRenderer

    params = load_params(config, [*overrides, "device", device])
    return XscaleRenderer(params, None if weights is None else load(weights, config, overrides), folder)
