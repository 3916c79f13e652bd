"""NeuRay as a paper's release writes it: all pairs of a sample and a view, PyTorch's own operations, chunk by chunk."""

import contextlib
from collections.abc import Iterator
from unittest import mock

import torch
from torch import Tensor

from neuray_mrvm.networks.ray_attention import RayAttention


@contextlib.contextmanager
def plain_pytorch() -> Iterator[None]:
    """Within, rays are rendered plainly."""
    with contextlib.ExitStack() as stack:
        for name, function in {
            "neuray_mrvm.networks.ray_rendering.can_fold": lambda *tensors: False,
            "neuray_mrvm.networks.ray_attention.RayAttention.forward": _attention,
        }.items():
            stack.enter_context(mock.patch(name, function))
        yield


def _attention(self: RayAttention, t: Tensor, may_ask: Tensor) -> Tensor:
    query, key, value = (layer(t).unflatten(-1, (4, 4)).transpose(1, 2) for layer in (self.w_qs, self.w_ks, self.w_vs))
    logits = (query / 2) @ key.mT
    weights = torch.softmax(logits.masked_fill(~may_ask[:, None, :, None], -1e9), dim=-1)
    return self.layer_norm(self.fc((weights @ value).transpose(1, 2).flatten(2)) + t)
