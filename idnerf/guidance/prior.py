"""The prior as training uses it: a condition from the sources, a gradient for the latent."""

import logging
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from idnerf.guidance.distillation import Distillation
from idnerf.guidance.image_embedding import IMAGE_SIZE, ImageEncoder, view_embeddings

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Guidance:
    """Frozen networks that pull the imaginative latent towards what a diffusion model believes.

    Attributes:
        distillation: The gradient's formula with its noise predictor.
        encode: The image tower of CLIP.
        empty_prompt: The text encoder's states for the empty prompt, one row per token.
        image_size: Side of the pictures that `encode` takes.
        largest_norm: The gradient is scaled down to this norm where it is longer; None for no limit.
    """

    distillation: Distillation
    encode: ImageEncoder
    empty_prompt: Float[Tensor, "tokens E"]
    image_size: int = IMAGE_SIZE
    largest_norm: float | None = None

    @torch.no_grad()
    def condition(
        self, pictures: Float[Tensor, "S 3 H W"], ray_pictures: Float[Tensor, "S 6 H W"]
    ) -> Float[Tensor, "2 K E"]:
        """The prompts without and with the condition, K = 3S tokens each.

        Args:
            pictures: Of the sources, in [0, 1].
            ray_pictures: Of the sources.

        Raises:
            ValueError: More sources than the text encoder has tokens for.
        """
        length, width = self.empty_prompt.shape
        if 3 * len(pictures) > length:
            raise ValueError(
                f"the diffusion model reads {length} tokens and each source view needs 3; got {len(pictures)} views,"
                f" use {length // 3} or fewer"
            )
        tokens = view_embeddings(self.encode, pictures, ray_pictures, width, self.image_size)
        return torch.stack([self.empty_prompt[: len(tokens)].to(tokens.device), tokens])

    def gradient(
        self,
        latent: Float[Tensor, "B C h w"],
        embedding: Float[Tensor, "2 K E"],
        t: Int[Tensor, " B"] | None = None,
        noise: Float[Tensor, "B C size size"] | None = None,
    ) -> Float[Tensor, "B C h w"]:
        """See `Distillation.gradient`; zeros, with a warning, where half precision overflowed."""
        gradient = self.distillation.gradient(latent, embedding, t, noise)
        if not torch.isfinite(gradient).all():
            _LOGGER.warning("the diffusion model's answer is not finite; this step goes without it")
            return torch.zeros_like(gradient)
        if self.largest_norm is not None:
            gradient = gradient * (self.largest_norm / gradient.norm()).clamp(max=1)
        return gradient
