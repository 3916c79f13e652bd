"""One step of training: the prior pulls the latent, the picture's colours pull everything (spec 5 and 6)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from common.settings import Config
from idnerf.guidance.prior import Guidance
from idnerf.networks.network import IdNerf
from idnerf.optimization import clip_encoder
from idnerf.views import split_batch


class GuidedRendering(nn.Module):
    """The network with the prior between latent and rays: what is differentiated in a step.

    Random numbers are drawn in the released order: time step and noise of the prior, rays, places on them.

    Args:
        network: To be trained.
        guidance: The prior; None for none. Its networks are no part of this module.
    """

    def __init__(self, network: IdNerf, guidance: Guidance | None):
        super().__init__()
        self.network = network
        self.guidance = guidance

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """What a loader's item gives.

        Returns:
            `rgb` (R 3) and `depth` (R 1) of random rays; `loss_render`, the mean squared difference of the colours;
            `latent`; with a prior `pull`, its gradient for the latent.
        """
        network = self.network
        sources, target, picture = split_batch(dict(batch))
        encoded = network.encode(sources)
        latent, source_rays = network.infer_latent(encoded, target)
        outputs = {"latent": latent}
        if self.guidance is not None:
            outputs["pull"] = self.guidance.gradient(latent, self.guidance.condition(sources.images, source_rays))
        index, u = network.draw_rays(target, latent.device)
        rendered = network.render(encoded, latent, target, index, u, chunk=None)
        loss = (rendered["rgb"] - picture.reshape(-1, 3)[index]).square().mean()
        return outputs | {"rgb": rendered["rgb"], "depth": rendered["depth"], "loss_render": loss}


def backward(rendering: nn.Module, batch: Mapping[str, Any], weight: int | float = 1.0) -> dict[str, Tensor]:
    """Add the gradients of one item to those of the parameters; returns what was rendered, without a graph.

    Args:
        rendering: A `GuidedRendering`, possibly wrapped for several processes.
        batch: A loader's item.
        weight: Of the rendering loss.
    """
    outputs = rendering(batch)
    # Both enter one backward pass: the latent's own gradient is the prior's plus what comes back from the colours.
    roots, gradients = [weight * outputs["loss_render"]], [None]
    if "pull" in outputs:
        roots, gradients = [*roots, outputs["latent"]], [None, outputs["pull"]]
    torch.autograd.backward(roots, gradients)
    return {name: value.detach() for name, value in outputs.items()}


def train_step(
    rendering: nn.Module, network: IdNerf, optimizer: torch.optim.Optimizer, batch: Mapping[str, Any], opt: Config
) -> dict[str, float]:
    """One update of the parameters.

    Args:
        rendering: A `GuidedRendering` of the network in train mode, possibly wrapped for several processes.
        network: The network in it.
        optimizer: Of the network; clears only the gradients that it uses.
        batch: A loader's item, on the network's device.
        opt: All options.

    Returns:
        `loss_render`; `loss`, its weighted value; with a prior `pull`, the norm of its gradient.
    """
    optimizer.zero_grad(set_to_none=True)
    weight = opt.loss_weight.render
    outputs = backward(rendering, batch, weight)
    clip_encoder(opt, network)
    optimizer.step()
    scalars = {"loss_render": outputs["loss_render"].item()}
    scalars["loss"] = weight * scalars["loss_render"]
    if "pull" in outputs:
        scalars["pull"] = outputs["pull"].norm().item()
    return scalars
