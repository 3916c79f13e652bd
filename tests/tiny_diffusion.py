"""A diffusion model of Stable Diffusion's kind, small enough for tests, written to disk as the large ones come."""

import json
from pathlib import Path

import torch

from idnerf.guidance.packages import require_packages

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
