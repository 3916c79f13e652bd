"""A model of the Stable Diffusion family, from a folder in the layout of diffusers, as a frozen noise predictor.

Models that predict noise (1.x, 2.x base) and velocity (2.x at 768 pixels) both serve, with text of any width.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import interpolate

from idnerf.guidance.distillation import Distillation, as_noise
from idnerf.guidance.packages import require_packages

LATENT_CHANNELS = 4
PICTURE_SIZE = 512


class FrozenUnet:
    """The U-Net of a diffusion model: nothing flows into it and nothing changes it.

    Attributes:
        unet: In eval mode, without gradients.
        alphas_cumprod: alpha_bar of every time step.
        size: Side of the latents it was trained on.
    """

    def __init__(self, unet: nn.Module, scheduler: Any, device: torch.device):
        self.unet = unet
        self.alphas_cumprod = scheduler.alphas_cumprod.float().to(device)
        self.size = int(unet.config.sample_size)
        self._kind = scheduler.config.prediction_type
        self._device = device

    @torch.no_grad()
    def __call__(
        self, noisy: Float[Tensor, "N C h w"], t: Int[Tensor, " N"], embedding: Float[Tensor, "N K E"]
    ) -> Float[Tensor, "N C h w"]:
        """The noise in `noisy`, in single precision; computed in half precision on GPUs."""
        kind = self.unet.dtype
        with torch.autocast(self._device.type, torch.float16, enabled=self._device.type == "cuda"):
            prediction = self.unet(noisy.to(kind), t, encoder_hidden_states=embedding.to(kind)).sample.float()
        return as_noise(prediction, noisy, self.alphas_cumprod[t], self._kind)


def load_unet(folder: Path, device: torch.device, half: bool = False, low_memory: bool = False) -> FrozenUnet:
    """The U-Net and the noise schedule of a model.

    Args:
        folder: Has `unet/` and `scheduler/`.
        device: Where to compute.
        half: Keep the weights in half precision; on GPUs only.
        low_memory: Keep the weights on the CPU and send each layer to the GPU when it is its turn; slow.

    Raises:
        ValueError: The model does not take four-channel latents and a text, as Stable Diffusion 1.x and 2.x do.
    """
    require_packages()
    from diffusers import DDIMScheduler, UNet2DConditionModel

    on_gpu = device.type == "cuda"
    kind = torch.float16 if half and on_gpu else torch.float32
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", torch_dtype=kind, use_safetensors=True)
    scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler")
    _check(unet.config, folder)
    unet.eval().requires_grad_(False)
    if low_memory and on_gpu:
        from accelerate import cpu_offload

        unet.to(memory_format=torch.channels_last)
        unet.set_attention_slice(1)
        cpu_offload(unet, device)
    else:
        unet.to(device)
    return FrozenUnet(unet, scheduler, device)


def encode_empty_prompt(folder: Path) -> Float[Tensor, "tokens E"]:
    """The text encoder's last states for the empty prompt, on the CPU; the encoder is not kept.

    The encoder looks only backwards, so a shorter prompt has the first rows of this.

    Args:
        folder: Has `tokenizer/` and `text_encoder/`.
    """
    require_packages()
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", use_safetensors=True).float().eval()
    length = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
    tokens = tokenizer("", padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    with torch.no_grad():
        return encoder(tokens.input_ids).last_hidden_state[0]


def load_vae(folder: Path, device: torch.device) -> nn.Module:
    """The picture encoder of a model whose folder has `vae/`; frozen, but pictures' gradients pass through it."""
    require_packages()
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(folder, subfolder="vae", use_safetensors=True)
    return vae.to(device).eval().requires_grad_(False)


def picture_gradient(
    distillation: Distillation,
    vae: nn.Module,
    pictures: Float[Tensor, "B 3 H W"],
    embedding: Float[Tensor, "2 K E"],
    t: Int[Tensor, " B"] | None = None,
    noise: Float[Tensor, "B 4 h w"] | None = None,
    vae_noise: Float[Tensor, "B 4 h w"] | None = None,
) -> Float[Tensor, "B 3 H W"]:
    """What distillation wants of a picture itself rather than of a latent; the paper's method does not use it.

    The picture, in [0, 1], is resized to 512 x 512 and encoded; a sample of its code is z (scaled, and without the
    2 x - 1 that latents get).

    Args:
        distillation: With the same model's noise predictor.
        vae: Of the same model.
        pictures: In [0, 1].
        embedding: As for `Distillation.gradient`.
        t: As there.
        noise: As there.
        vae_noise: Standard normal, for the sample; drawn for None.
    """
    x = pictures.detach().requires_grad_()
    with torch.enable_grad():
        resized = interpolate(x, (PICTURE_SIZE, PICTURE_SIZE), mode="bilinear", align_corners=False)
        code = vae.encode(2 * resized - 1).latent_dist
        sample = code.mean + code.std * (torch.randn_like(code.mean) if vae_noise is None else vae_noise)
        z = sample * vae.config.scaling_factor
    return torch.autograd.grad(z, x, distillation.gradient_of_diffusion_latent(z.detach(), embedding, t, noise))[0]


def _check(config: Any, folder: Path) -> None:
    """Refuse models that take something else than a latent, a time and a text."""
    if config.in_channels != LATENT_CHANNELS or config.out_channels != LATENT_CHANNELS:
        raise ValueError(
            f"the diffusion model in {folder} takes {config.in_channels} channels and gives {config.out_channels}, but"
            f" the imaginative latent has {LATENT_CHANNELS}; choose a"
            " text-to-image model of Stable Diffusion 1.x or 2.x"
        )
    if getattr(config, "addition_embed_type", None) or getattr(config, "class_embed_type", None):
        raise ValueError(
            f"the diffusion model in {folder} wants more than a text (Stable Diffusion XL does);"
            " choose one of Stable Diffusion 1.x or 2.x"
        )
