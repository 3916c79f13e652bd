"""Small diffusion and CLIP models, written to disk as the large ones come."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from idnerf.guidance.packages import require_packages

GOLDEN = Path(__file__).parents[2] / "golden" / "idnerf"
UNET = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "layers_per_block": 1,
    "block_out_channels": (32, 64),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 1024,
    "attention_head_dim": (4, 8),
    "norm_num_groups": 8,
    "use_linear_projection": True,
}
TEXT = {
    "vocab_size": 64,
    "hidden_size": 1024,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "hidden_act": "gelu",
    "projection_dim": 64,
    "bos_token_id": 62,
    "eos_token_id": 63,
    "pad_token_id": 0,
}
VAE = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "block_out_channels": (8, 16, 16, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "sample_size": 64,
    "scaling_factor": 0.18215,
}


def write_tokenizer(folder: Path) -> None:
    """A tokenizer whose empty prompt is 62, 63, then zeros."""
    folder.mkdir(parents=True)
    words = ["!", *(f"w{i}</w>" for i in range(1, 62)), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": "!"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def write_model(folder: Path, scheduler: dict, unet: dict | None = None, text: dict | None = None, fill=None) -> Path:
    """A diffusion model in the layout of diffusers; `fill(part, module)` changes its weights before they are saved."""
    require_packages()
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    parts = {
        "unet": UNet2DConditionModel(**UNET | (unet or {})),
        "text_encoder": CLIPTextModel(CLIPTextConfig(**TEXT | (text or {}))),
        "vae": AutoencoderKL(**VAE),
    }
    for part, module in parts.items():
        if fill is not None:
            fill(part, module)
        module.save_pretrained(folder / part)
    DDIMScheduler(**scheduler).save_pretrained(folder / "scheduler")
    write_tokenizer(folder / "tokenizer")
    return folder


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
def golden_model(tmp_path_factory, deterministic, scheduler_settings):
    """Folder of the fixtures' diffusion model."""
    manifest = json.loads((GOLDEN / "diffusion_tiny.manifest.json").read_text())

    def fill(part, module):
        weights = deterministic.state_dict(manifest[part], f"open/diffusion/{part}/")
        state = {name: torch.from_numpy(value) for name, value in weights.items()}
        if part == "unet":
            state["conv_out.weight"] *= 3
        missing, unexpected = module.load_state_dict(state, strict=False)
        assert not unexpected and all(name.endswith("position_ids") for name in missing)

    return write_model(tmp_path_factory.mktemp("golden-model") / "model", scheduler_settings, fill=fill)


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
    manifest = json.loads((GOLDEN / "clip_visual_tiny.manifest.json").read_text())
    weights = deterministic.state_dict(manifest, "open/clip_visual/")
    return {name: torch.from_numpy(value) for name, value in weights.items()}


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory, clip_state):
    """Folder of the fixtures' CLIP in transformers' form."""
    from idnerf.guidance.clip_weights import from_original

    folder = tmp_path_factory.mktemp("clip") / "model"
    from_original(clip_state, "the fixtures", heads=4).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clip_archive(tmp_path_factory):
    """`clip_archive(state)`: a TorchScript archive with these entries, in half precision, below `visual.`."""

    def write(state):
        root = nn.Module()
        root.visual = nn.Module()
        for name, value in state.items():
            *parents, leaf = name.split(".")
            module = root.visual
            for parent in parents:
                if parent not in module._modules:
                    module.add_module(parent, nn.Module())
                module = module._modules[parent]
            module.register_parameter(leaf, nn.Parameter(value.half(), requires_grad=False))
        path = tmp_path_factory.mktemp("archive") / "ViT-tiny.pt"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about TorchScript, the format of these files
            torch.jit.script(root).save(path)
        return path

    return write
