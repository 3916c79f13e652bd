"""The image tower of CLIP (https://arxiv.org/abs/2103.00020), computed by transformers, from either format.

The original package's `ViT-L-14.pt` is a TorchScript archive (or a state dict made from it); its names are translated.
"""

import math
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from common.checkpoints import checksum
from idnerf.guidance.packages import require_packages

HEAD_WIDTH = 64
_VISUAL = "visual."
_TOP = {
    "class_embedding": "embeddings.class_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "ln_pre": "pre_layrnorm",
    "ln_post": "post_layernorm",
}
_BLOCK = {
    "attn.out_proj": "self_attn.out_proj",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


class ClipEncoder:
    """Pictures, normalised and of side `size`, to vectors; frozen."""

    def __init__(self, tower: nn.Module, device: torch.device):
        kind = torch.float16 if device.type == "cuda" else torch.float32
        self.tower = tower.to(device, kind).eval().requires_grad_(False)
        self.size = int(tower.config.image_size)

    @torch.no_grad()
    def __call__(self, pictures: Float[Tensor, "N 3 side side"]) -> Float[Tensor, "N D"]:
        """Vectors that are not normalised; in half precision on GPUs, as the original package computes."""
        return self.tower(pixel_values=pictures.to(self.tower.dtype)).image_embeds.float()

    def name(self) -> str:
        """A name that other weights, or another precision, do not have."""
        return checksum(self.tower.state_dict())[:16]


def load_clip(path: Path, device: torch.device) -> ClipEncoder:
    """The image tower from a folder of transformers or from a file of the original package.

    Raises:
        FileNotFoundError: The folder has no model in it.
        RuntimeError: The file is not a CLIP of the original package.
    """
    if path.is_file():
        return ClipEncoder(from_original(read_original(path), path), device)
    require_packages()
    from transformers import CLIPVisionModelWithProjection

    if not (path / "config.json").is_file() or not any(path.glob("*.safetensors")):
        raise FileNotFoundError(
            f"expected a CLIP model of transformers (config.json, model.safetensors) in {path}; give such a folder or"
            " the original package's ViT-L-14.pt with --clip_key"
        )
    return ClipEncoder(CLIPVisionModelWithProjection.from_pretrained(path, use_safetensors=True), device)


def read_original(path: Path) -> dict[str, Tensor]:
    """Entries of a file of the original package, in single precision and under its names.

    Raises:
        RuntimeError: It is neither a TorchScript archive nor a state dict.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about TorchScript, the format of these files
            state = torch.jit.load(path, map_location="cpu").state_dict()
    except RuntimeError:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
            raise RuntimeError(
                f"cannot read {path} as a file of the original CLIP package ({str(error).splitlines()[0]});"
                " download ViT-L-14.pt again"
            ) from error
    if not isinstance(state, Mapping) or not any(name.endswith("positional_embedding") for name in state):
        raise RuntimeError(f"{path} holds no CLIP; expected the original package's ViT-L-14.pt")
    return {name: value.float() for name, value in state.items() if isinstance(value, Tensor)}


def from_original(state: Mapping[str, Tensor], path: str | Path, heads: int | None = None) -> nn.Module:
    """The image tower in transformers' form.

    Args:
        state: Entries under the original names, with or without `visual.` in front of the image tower's.
        path: Where they come from, for the error.
        heads: Of the attention; None for one per 64 channels, as all released models have.

    Raises:
        RuntimeError: Entries are missing, or belong to a convolutional CLIP.
    """
    require_packages()
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    if any(name.startswith(_VISUAL) for name in state):
        state = {name.removeprefix(_VISUAL): value for name, value in state.items() if name.startswith(_VISUAL)}
    if "proj" not in state or "conv1.weight" not in state or state["conv1.weight"].dim() != 4:
        raise RuntimeError(f"{path} holds no vision transformer of CLIP; expected the original package's ViT-L-14.pt")
    width, _, _, patch = state["conv1.weight"].shape
    layers = {name.split(".")[2] for name in state if name.startswith("transformer.resblocks.")}
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=state["proj"].shape[1],
        num_hidden_layers=len(layers),
        num_attention_heads=heads or width // HEAD_WIDTH,
        image_size=patch * math.isqrt(len(state["positional_embedding"]) - 1),
        patch_size=patch,
        hidden_act="quick_gelu",
    )
    tower = CLIPVisionModelWithProjection(config)
    missing, _ = tower.load_state_dict(translate(state), strict=False)
    missing = [name for name in missing if not name.endswith("position_ids")]
    if missing:
        raise RuntimeError(f"{path} lacks {len(missing)} entries of CLIP's image tower, first {missing[0]}")
    return tower


def translate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The image tower's entries under transformers' names; the fused attention matrices are taken apart."""
    translated = {"visual_projection.weight": state["proj"].T.contiguous()}
    for name, value in state.items():
        if name.startswith("transformer.resblocks."):
            _, _, layer, entry = name.split(".", 3)
            translated |= _translate_block(f"vision_model.encoder.layers.{layer}", entry, value)
        elif name != "proj":
            stem, _, leaf = name.rpartition(".")
            known = _TOP.get(name) or (f"{_TOP[stem]}.{leaf}" if stem in _TOP else None)
            if known is not None:
                translated[f"vision_model.{known}"] = value
    return translated


def _translate_block(prefix: str, entry: str, value: Tensor) -> dict[str, Tensor]:
    if entry.startswith("attn.in_proj_"):
        leaf = entry.removeprefix("attn.in_proj_")
        parts = zip("qkv", value.chunk(3), strict=True)
        return {f"{prefix}.self_attn.{letter}_proj.{leaf}": part.contiguous() for letter, part in parts}
    stem, _, leaf = entry.rpartition(".")
    return {f"{prefix}.{_BLOCK[stem]}.{leaf}": value}
