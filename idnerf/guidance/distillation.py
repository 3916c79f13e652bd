"""Score distillation of a latent (DreamFusion, https://arxiv.org/abs/2209.14988, on the latent; spec 5.2).

x       the latent, about in [0, 1]
z       what the diffusion model sees of it: 2 resize(x) - 1
t       time step, 0 ... 999; alpha_bar[t] falls from almost 1 (clean) to almost 0 (noise)
eps     standard normal noise
z_t     sqrt(alpha_bar_t) z + sqrt(1 - alpha_bar_t) eps
eps_u   the noise that the model sees in z_t without the condition
eps_c   ... with the condition
s       guidance scale

dL/dz = lambda sqrt(alpha_bar_t) (1 - alpha_bar_t) (eps_u + s (eps_c - eps_u) - eps)

The model itself is not differentiated, so nothing flows into it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import interpolate


@runtime_checkable
class NoisePredictor(Protocol):
    """A frozen network that says which noise a noisy latent contains."""

    def __call__(
        self, noisy: Float[Tensor, "N C h w"], t: Int[Tensor, " N"], embedding: Float[Tensor, "N K E"]
    ) -> Float[Tensor, "N C h w"]:
        """The noise in `noisy`; `embedding` is the prompt of each, K tokens of width E."""
        ...


@dataclass(frozen=True)
class Distillation:
    """The gradient that a noise predictor has for a latent.

    Attributes:
        predict_noise: The frozen model.
        alphas_cumprod: alpha_bar of every time step.
        size: Side of the latents that the model was made for.
        guidance_scale: s.
        weight: lambda.
        t_range: First and last time step as fractions of all.
    """

    predict_noise: NoisePredictor
    alphas_cumprod: Float[Tensor, " steps"]
    size: int = 64
    guidance_scale: float = 100.0
    weight: float = 1.0
    t_range: Sequence[float] = (0.02, 0.98)

    def __post_init__(self) -> None:
        first, last = self.step_range
        if not 0 <= first <= last < len(self.alphas_cumprod):
            raise ValueError(
                f"t_range must be two growing fractions within [0, 1), got {list(self.t_range)}; the paper's are"
                " [0.02, 0.98]"
            )

    @property
    def step_range(self) -> tuple[int, int]:
        """First and last time step that is drawn, both included."""
        first, last = self.t_range
        return int(len(self.alphas_cumprod) * first), int(len(self.alphas_cumprod) * last)

    def gradient(
        self,
        latent: Float[Tensor, "B C h w"],
        embedding: Float[Tensor, "2 K E"],
        t: Int[Tensor, " B"] | None = None,
        noise: Float[Tensor, "B C size size"] | None = None,
    ) -> Float[Tensor, "B C h w"]:
        """dL/dx, to be passed to `latent.backward` or, as a constant factor of the latent, added to a loss.

        Args:
            latent: x.
            embedding: Prompts without and with the condition, in this order.
            t: Time steps; drawn uniformly from `step_range` for None.
            noise: eps; drawn for None (after t).
        """
        x = latent.detach().requires_grad_()
        with torch.enable_grad():
            z = to_diffusion_latent(x, self.size)
        return torch.autograd.grad(z, x, self.gradient_of_diffusion_latent(z.detach(), embedding, t, noise))[0]

    @torch.no_grad()
    def gradient_of_diffusion_latent(
        self,
        z: Float[Tensor, "B C size size"],
        embedding: Float[Tensor, "2 K E"],
        t: Int[Tensor, " B"] | None = None,
        noise: Float[Tensor, "B C size size"] | None = None,
    ) -> Float[Tensor, "B C size size"]:
        """dL/dz; arguments as for `gradient`."""
        if t is None:
            first, last = self.step_range
            t = torch.randint(first, last + 1, (len(z),), device=z.device)
        if noise is None:
            noise = torch.randn_like(z)
        alpha_bar = self.alphas_cumprod.to(z.device)[t].reshape(-1, 1, 1, 1)
        noisy = alpha_bar.sqrt() * z + (1 - alpha_bar).sqrt() * noise
        prompts = embedding.repeat_interleave(len(z), 0)
        without, conditioned = self.predict_noise(noisy.repeat(2, 1, 1, 1), t.repeat(2), prompts).chunk(2)
        predicted = without + self.guidance_scale * (conditioned - without)
        return self.weight * alpha_bar.sqrt() * (1 - alpha_bar) * (predicted - noise)


def to_diffusion_latent(x: Float[Tensor, "B C h w"], size: int) -> Float[Tensor, "B C size size"]:
    """Z = 2 resize(x) - 1."""
    return 2 * interpolate(x, (size, size), mode="bilinear", align_corners=False) - 1


def as_noise(
    prediction: Float[Tensor, "N C h w"],
    noisy: Float[Tensor, "N C h w"],
    alpha_bar: Float[Tensor, " N"],
    kind: str,
) -> Float[Tensor, "N C h w"]:
    """The noise that a model means which predicts noise, velocity or the clean latent.

    Velocity (https://arxiv.org/abs/2202.00512, section 4): v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) z.

    Args:
        prediction: Output of the model.
        noisy: z_t, its input.
        alpha_bar: Of each one's time step.
        kind: `prediction_type` of the model's scheduler: "epsilon", "v_prediction" or "sample".

    Raises:
        ValueError: Another kind.
    """
    signal, spread = alpha_bar.sqrt().reshape(-1, 1, 1, 1), (1 - alpha_bar).sqrt().reshape(-1, 1, 1, 1)
    if kind == "epsilon":
        return prediction
    if kind == "v_prediction":
        return signal * prediction + spread * noisy
    if kind == "sample":
        return (noisy - signal * prediction) / spread
    raise ValueError(
        f"the diffusion model predicts {kind!r}; expected epsilon, v_prediction or sample in its scheduler's settings"
    )
