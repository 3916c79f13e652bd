"""A diffusion model and a CLIP of the real ones' classes, tiny and with random weights, stored as those are.

They stand in where nobody has the real weights: everything runs, but this prior knows nothing about pictures.
"""

import json
from pathlib import Path

import torch

from idnerf.guidance.packages import require_packages

WIDTH = 64  # of a text token and of an image's vector
WORDS = 64
UNET = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "layers_per_block": 1,
    "block_out_channels": (16, 32),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": WIDTH,
    "attention_head_dim": 4,
    "norm_num_groups": 8,
}
SCHEDULE = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
TEXT = {
    "vocab_size": WORDS,
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "bos_token_id": WORDS - 2,
    "eos_token_id": WORDS - 1,
    "pad_token_id": 0,
}
VISION = {
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "projection_dim": WIDTH,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "image_size": 224,
    "patch_size": 32,
}


def write_random_prior(folder: Path) -> tuple[Path, Path]:
    """Write both below `folder`, the same every time; their folders, for `--hf_key` and `--clip_key`."""
    require_packages()
    from diffusers import DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

    diffusion, clip = folder / "diffusion", folder / "clip"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        UNet2DConditionModel(**UNET).save_pretrained(diffusion / "unet")
        CLIPTextModel(CLIPTextConfig(**TEXT)).save_pretrained(diffusion / "text_encoder")
        DDIMScheduler(**SCHEDULE).save_pretrained(diffusion / "scheduler")
        CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION)).save_pretrained(clip)
    _write_tokenizer(diffusion / "tokenizer")
    return diffusion, clip


def _write_tokenizer(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    words = ["!", *(f"w{number}</w>" for number in range(1, WORDS - 2)), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}), encoding="utf8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf8")
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": "!"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf8")
