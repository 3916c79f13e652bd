"""GMFlow's feature transformer: every map of a pair attends to itself, then to the other (arXiv 2111.13680, Sec. 3.1).

Attention has one head and works within splits x splits windows; every second block shifts the windows by half their
size, as in Swin (https://arxiv.org/abs/2103.14030). Tokens are maps with the channels last, `N h w C`.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

SEPARATE_REGIONS = -100.0


class AttentionLayer(nn.Module):
    """One attention with a residual connection, with or without a feed-forward network after it."""

    def __init__(self, channels: int = 128, feed_forward: bool = False):
        super().__init__()
        self.q_proj = nn.Linear(channels, channels, bias=False)
        self.k_proj = nn.Linear(channels, channels, bias=False)
        self.v_proj = nn.Linear(channels, channels, bias=False)
        self.merge = nn.Linear(channels, channels, bias=False)
        self.norm1 = nn.LayerNorm(channels)
        self.mlp = None
        if feed_forward:
            self.mlp = nn.Sequential(
                nn.Linear(2 * channels, 8 * channels, bias=False),
                nn.GELU(),
                nn.Linear(8 * channels, channels, bias=False),
            )
            self.norm2 = nn.LayerNorm(channels)

    def forward(
        self,
        source: Float[Tensor, "N h w C"],
        target: Float[Tensor, "N h w C"],
        splits: int,
        mask: Float[Tensor, "windows L L"] | None,
    ) -> Float[Tensor, "N h w C"]:
        """`source` asks, `target` answers.

        Args:
            source: Queries.
            target: Keys and values.
            splits: Windows per side.
            mask: Added to the scores of shifted windows; None: the windows are not shifted.
        """
        message = window_attention(self.q_proj(source), self.k_proj(target), self.v_proj(target), splits, mask)
        message = self.norm1(self.merge(message))
        if self.mlp is not None:
            message = self.norm2(self.mlp(torch.cat([source, message], dim=-1)))
        return source + message


class TransformerBlock(nn.Module):
    """Self-attention, then cross-attention with a feed-forward network."""

    def __init__(self, channels: int = 128):
        super().__init__()
        self.self_attn = AttentionLayer(channels)
        self.cross_attn_ffn = AttentionLayer(channels, feed_forward=True)


class FeatureTransformer(nn.Module):
    """Refines both maps of every pair.

    Args:
        num_layers: Blocks.
        splits: Windows per side; 1: attention over the whole map.
        self_attention: False skips self-attention (its weights stay, so that names do not depend on it).
        channels: Of the maps.
    """

    def __init__(self, num_layers: int = 6, splits: int = 2, self_attention: bool = True, channels: int = 128):
        super().__init__()
        self.splits = splits
        self.self_attention = self_attention
        self.layers = nn.ModuleList(TransformerBlock(channels) for _ in range(num_layers))
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(
        self, first: Float[Tensor, "N C h w"], second: Float[Tensor, "N C h w"]
    ) -> tuple[Float[Tensor, "N C h w"], Float[Tensor, "N C h w"]]:
        c0 = torch.cat([first, second]).permute(0, 2, 3, 1).contiguous()
        c1 = _swap_halves(c0)
        shifted = shifted_window_mask(*c0.shape[1:3], self.splits, c0) if self.splits > 1 else None
        for number, block in enumerate(self.layers):
            mask = shifted if number % 2 else None
            if self.self_attention:
                c0 = block.self_attn(c0, c0, self.splits, mask)
            # The keys are the other map's features from before this block's self-attention.
            c0 = block.cross_attn_ffn(c0, c1, self.splits, mask)
            c1 = _swap_halves(c0)
        return tuple(c0.permute(0, 3, 1, 2).contiguous().chunk(2))


def _swap_halves(x: Float[Tensor, "N2 h w C"]) -> Float[Tensor, "N2 h w C"]:
    return torch.cat(x.chunk(2)[::-1])


def window_attention(
    q: Float[Tensor, "N h w C"],
    k: Float[Tensor, "N h w C"],
    v: Float[Tensor, "N h w C"],
    splits: int,
    mask: Float[Tensor, "windows L L"] | None,
) -> Float[Tensor, "N h w C"]:
    """softmax(q k' / sqrt(C) + mask) v within windows; with a mask, maps are rolled by half a window meanwhile."""
    height, width = q.shape[1:3]
    shift = (height // splits // 2, width // splits // 2)
    if mask is not None:
        q, k, v = (x.roll((-shift[0], -shift[1]), dims=(1, 2)) for x in (q, k, v))
    q, k, v = (_cut(x, splits) for x in (q, k, v))
    message = functional.scaled_dot_product_attention(q, k, v, attn_mask=None if mask is None else mask[None])
    message = _join(message, splits, height, width)
    return message if mask is None else message.roll(shift, dims=(1, 2))


def shifted_window_mask(height: int, width: int, splits: int, like: Tensor) -> Float[Tensor, "windows L L"]:
    """0 between tokens that were neighbours before the roll, -100 between those it brought together."""

    def regions(size: int) -> Int[Tensor, " size"]:
        window = size // splits
        place = torch.arange(size, device=like.device)
        return (place >= size - window).int() + (place >= size - window // 2).int()

    labels = regions(height)[:, None] * 3 + regions(width)[None]
    labels = _cut(labels[None, :, :, None], splits)[0, ..., 0]
    different = labels[:, :, None] != labels[:, None, :]
    return torch.zeros_like(different, dtype=like.dtype).masked_fill(different, SEPARATE_REGIONS)


def _cut(x: Tensor, splits: int) -> Tensor:
    """`N h w C` to `N windows tokens C`."""
    n, height, width, channels = x.shape
    x = x.reshape(n, splits, height // splits, splits, width // splits, channels)
    return x.transpose(2, 3).reshape(n, splits * splits, -1, channels)


def _join(x: Tensor, splits: int, height: int, width: int) -> Tensor:
    """Undo `_cut`."""
    x = x.reshape(len(x), splits, splits, height // splits, width // splits, -1)
    return x.transpose(2, 3).reshape(len(x), height, width, -1)
