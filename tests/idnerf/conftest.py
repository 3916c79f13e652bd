"""A network with the fixtures' weights, and the fixtures' cameras and pictures."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.tiny_diffusion import write_model

PREFIX = "open/"
PHASE = 0
MANIFEST = Path(__file__).parents[1] / "golden" / "idnerf" / "manifest.json"

SHIPPED = {
    "n_src_views": 3,
    "parity": {
        "base": "released",
        "released_optimizer": None,
        "released_guidance_sum": None,
        "released_ray_pictures": None,
        "released_tokens": None,
        "released_window": None,
        "released_video_latent": None,
    },
    "encoder": {
        "attn_splits_list": [2],
        "cos_n_group": [2, 8],
        "num_transformer_layers": 6,
        "feature_upsampler": "network",
        "upsample_factor": 2,
        "wo_self_attn": False,
        "feature_sample_local_radius": 0,
        "feature_sample_local_dilation": 1,
    },
    "latent_inference": {"input_channel": 9, "latent_dim": 4},
    "decoder": {
        "net_width": 128,
        "net_depth": 6,
        "skip": [4],
        "posenc": {"L_3D": 10, "L_view": 0},
        "raytrans_posenc": False,
        "density_maskfill": False,
        "raytrans_act": "ReLU",
    },
    "nerf": {
        "legacy_coord": True,
        "wo_render_interval": True,
        "view_dep": True,
        "depth": {"param": "metric"},
        "sample_intvs": 128,
        "sample_stratified": True,
        "rand_rays_train": 1024,
        "rand_rays_val": 4096,
        "rand_rays_test": 20480,
    },
}


@pytest.fixture(scope="session")
def network_options():
    """`network_options({"nerf.sample_intvs": 24})`: the options that the network reads, released unless changed."""

    def namespace(value):
        if isinstance(value, dict):
            return SimpleNamespace(**{name: namespace(child) for name, child in value.items()})
        return value

    def build(changes=None):
        settings = copy.deepcopy(SHIPPED)
        for path, value in (changes or {}).items():
            *parents, leaf = path.split(".")
            section = settings
            for name in parents:
                section = section[name]
            section[leaf] = value
        return namespace(settings)

    return build


@pytest.fixture(scope="session")
def manifest():
    """Name to shape of the released weights."""
    return json.loads(MANIFEST.read_text(encoding="utf8"))["idnerf"]


@pytest.fixture(scope="session")
def golden_weights(manifest, deterministic):
    """`golden_weights("nerf_dec.")`: the fixtures' weights below a prefix, which is removed."""
    everything = deterministic.state_dict(manifest, PREFIX)

    def read(root=""):
        return {
            name.removeprefix(root): torch.from_numpy(np.asarray(value))
            for name, value in everything.items()
            if name.startswith(root)
        }

    return read


@pytest.fixture(scope="session")
def tensors(golden):
    """`tensors("rays")`: the arrays of a fixture as tensors."""
    return lambda name: {key: torch.from_numpy(value) for key, value in golden(f"idnerf/{name}").items()}


@pytest.fixture(scope="session")
def made(deterministic):
    """`made("latent", shape, scale)`: a closed-form input of the fixtures."""
    return lambda name, shape, scale=1.0: torch.from_numpy(deterministic.array(PREFIX + name, shape, scale))


@pytest.fixture(scope="session")
def pictures(golden_module):
    """`pictures(count, height, width)`: the fixtures' pictures."""
    inputs = golden_module("idnerf/inputs.py")
    return lambda count, height, width: torch.from_numpy(inputs.images(count, height, width, PHASE))


@pytest.fixture(scope="session")
def assert_near():
    """`assert_near(ours, golden, 1e-5)`; `relative` means: times the largest magnitude."""

    def check(ours, theirs, tolerance, relative=False):
        assert tuple(ours.shape) == tuple(theirs.shape)
        bound = tolerance * (theirs.abs().max().item() if relative else 1.0)
        assert (ours - theirs).abs().max().item() <= bound

    return check


@pytest.fixture(scope="session")
def scheduler_settings(golden_module):
    return golden_module("idnerf/inputs.py").SCHEDULER


@pytest.fixture(scope="session")
def make_model(scheduler_settings):
    """`make_model(folder, unet=..., text=..., scheduler=...)` writes a diffusion model with these settings changed."""

    def write(folder, unet=None, text=None, scheduler=None):
        return write_model(folder, scheduler_settings | (scheduler or {}), unet, text)

    return write


@pytest.fixture(scope="session")
def small_unet():
    """Settings of a U-Net for 8 x 8 latents that answers in milliseconds."""
    return {"sample_size": 8, "cross_attention_dim": 768}


@pytest.fixture(scope="session")
def small_model(tmp_path_factory, make_model, small_unet):
    """Folder of a diffusion model with the text width of Stable Diffusion 1.x that predicts velocity."""
    folder = tmp_path_factory.mktemp("small-model") / "model"
    return make_model(folder, small_unet, {"hidden_size": 768}, {"prediction_type": "v_prediction"})


@pytest.fixture(scope="session")
def clip_state(deterministic):
    """The fixtures' CLIP under the original package's names."""
    manifest = json.loads((MANIFEST.parent / "clip_visual_tiny.manifest.json").read_text())
    weights = deterministic.state_dict(manifest, "open/clip_visual/")
    return {name: torch.from_numpy(value) for name, value in weights.items()}


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory, clip_state):
    """Folder of the fixtures' CLIP in transformers' form."""
    from idnerf.guidance.clip_weights import from_original

    folder = tmp_path_factory.mktemp("clip") / "model"
    from_original(clip_state, "the fixtures", heads=4).save_pretrained(folder)
    return folder
