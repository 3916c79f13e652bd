"""The small attention that refines the tokens of a sample and relates the samples of a ray."""

import importlib

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from common.ops._backends import choose

HEADS = 4
HEAD_CHANNELS = 4
PASSES = 3


class ThreePassAttention(nn.Module):
    """o = A(Q, K, V), then twice o = A(o, o, o), then LayerNorm(fc(o) + x); A(q, k, v) = softmax(q k' / 2) v per head.

    Nothing is projected between the passes, as in the released code.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.w_qs = nn.Linear(channels, HEADS * HEAD_CHANNELS, bias=False)
        self.w_ks = nn.Linear(channels, HEADS * HEAD_CHANNELS, bias=False)
        self.w_vs = nn.Linear(channels, HEADS * HEAD_CHANNELS, bias=False)
        self.fc = nn.Linear(HEADS * HEAD_CHANNELS, channels, bias=False)
        self.layer_norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(
        self, x: Float[Tensor, "*batch N C"], is_asking: Bool[Tensor, "*batch N"] | None = None
    ) -> Float[Tensor, "*batch N C"]:
        """Refined tokens.

        Args:
            x: Tokens.
            is_asking: A token for which this is False gives equal weight to all tokens, in every pass.
        """
        if not torch.is_grad_enabled() and choose("ThreePassAttention", "auto", (x,), ("numba",)) == "numba":
            return self._forward_numba(x, is_asking)
        q, k, v = (_heads(weight(x)) for weight in (self.w_qs, self.w_ks, self.w_vs))
        for _ in range(PASSES):
            o = functional.scaled_dot_product_attention(q, k, v)
            if is_asking is not None:
                o = torch.where(is_asking[..., None, :, None], o, v.mean(dim=-2, keepdim=True))
            q = k = v = o
        return self.layer_norm(self.fc(o.transpose(-2, -3).flatten(-2)) + x)

    def _forward_numba(self, x: Tensor, is_asking: Tensor | None) -> Tensor:
        """The same in one kernel: many short sequences side by side, or the tokens of a long one."""
        kernels = importlib.import_module("idnerf.networks.attention_kernels")
        weights = (self.w_qs.weight, self.w_ks.weight, self.w_vs.weight, self.fc.weight)
        weights += (self.layer_norm.weight, self.layer_norm.bias)
        tokens = x.flatten(0, -3).contiguous()
        out = torch.empty_like(tokens)
        if is_asking is None and x.shape[-2] < kernels.MANY_TOKENS:
            kernels.few_tokens(tokens, weights, out)
        else:
            asking = torch.ones(x.shape[:-1], dtype=torch.bool) if is_asking is None else is_asking
            kernels.many_tokens(tokens, asking.flatten(0, -2).contiguous(), weights, out)
        return out.reshape(x.shape)


def _heads(x: Float[Tensor, "*batch N C"]) -> Float[Tensor, "*batch heads N c"]:
    return x.unflatten(-1, (HEADS, HEAD_CHANNELS)).transpose(-2, -3)
