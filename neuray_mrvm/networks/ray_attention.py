"""Attention among the samples of a ray (spec 5.5, steps 9 and 10)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

HEADS = 4


class RayAttention(nn.Module):
    """Every sample attends to all samples of its ray; residual, then layer normalisation.

    A sample that may not ask takes the mean of all values. It is still asked by the others: the released models were
    trained with a mask on queries, not on keys.
    """

    def __init__(self, channels: int = 16):
        super().__init__()
        self.w_qs = nn.Linear(channels, channels, bias=False)
        self.w_ks = nn.Linear(channels, channels, bias=False)
        self.w_vs = nn.Linear(channels, channels, bias=False)
        self.fc = nn.Linear(channels, channels, bias=False)
        self.layer_norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, t: Float[Tensor, "R N C"], may_ask: Bool[Tensor, "R N"]) -> Float[Tensor, "R N C"]:
        # Logits of a row that are all equal, 0 here, give the mean.
        query = self.w_qs(t) * may_ask[..., None]
        query, key, value = (_heads(each) for each in (query, self.w_ks(t), self.w_vs(t)))
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self.layer_norm(self.fc(attended.transpose(1, 2).flatten(2)) + t)


def sample_encoding(count: int, like: Float[Tensor, "*points C"]) -> Float[Tensor, "N C"]:
    """Sine (even channels) and cosine (odd channels) of k / 10000^(2 floor(j / 2) / C), for sample k and channel j."""
    channels = like.shape[-1]
    sample = torch.arange(count, device=like.device, dtype=torch.float64)[:, None]
    channel = torch.arange(channels, device=like.device)
    angle = sample / 10000.0 ** (2 * (channel // 2) / channels)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos()).to(like.dtype)


def _heads(x: Float[Tensor, "R N C"]) -> Float[Tensor, "R heads N c"]:
    return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)
