"""Read maps in small windows, and compare what two views' maps show there.

A position is (x, y) in [-1, 1]^2 from the first to the last pixel centre of a map. A lookup is bilinear, and the border
stands for what lies outside. A window is the mean of (2 radius + 1)^2 lookups, `dilation` pixels apart.

`shrink` reproduces a slip of a released code (ID-NeRF): with n = 2 radius + 1, pixel coordinates of a map of size w are
multiplied by (w - 1) / (w + n dilation - 1), spacing included. It does nothing at radius 0.
"""

import importlib
from dataclasses import dataclass
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from common.ops._backends import Backend, choose

MIN_NORM = 1e-8


@dataclass(frozen=True)
class Window:
    """Where around a position a map is looked up; see above."""

    radius: int = 0
    dilation: int = 1
    shrink: bool = False

    def scales(self, height: int, width: int) -> tuple[float, float]:
        """What `shrink` multiplies x and y pixel coordinates with."""
        if not self.shrink or self.radius == 0:
            return 1.0, 1.0
        margin = (2 * self.radius + 1) * self.dilation - 1
        return (width - 1) / (width + margin), (height - 1) / (height + margin)


def sample_windows(
    maps: Float[Tensor, "V C h w"],
    positions: Float[Tensor, "V *points 2"],
    window: Window = Window(),
    backend: Backend = "auto",
) -> Float[Tensor, "V *points C"]:
    """Mean of each view's map in the windows around its positions.

    Differentiable in `maps`; the reference also in `positions`.

    Args:
        maps: One per view.
        positions: One list of positions per view.
        window: See above.
        backend: See `common.ops`.
    """
    fast = () if positions.requires_grad and torch.is_grad_enabled() else ("numba",)
    flat = positions.flatten(1, -2)
    chosen = choose("sample_windows", backend, (maps, positions), fast)
    if chosen == "torch":
        seen = _sample_windows_torch(maps, flat, window)
    else:
        last = maps.permute(0, 2, 3, 1).contiguous()
        seen = _SampleWindows.apply(last, flat.contiguous(), window, _kernels(chosen))
    return seen.unflatten(1, positions.shape[1:-1])


def compare_windows(
    maps: Float[Tensor, "V C h w"],
    positions: Float[Tensor, "V *points 2"],
    groups: int,
    window: Window = Window(),
    carried: int = 0,
    backend: Backend = "auto",
) -> tuple[Float[Tensor, "*points groups"], Float[Tensor, "V *points carried"]]:
    """How much the views agree at each point, and what their last channels show there.

    A view's channels are V - 1 blocks, one for each other view in order, followed by the carried ones. A pair (i, j)
    compares view i's block for j with view j's block for i, cut into `groups` contiguous groups: cosine similarities,
    of which the mean over all pairs is returned. Norms are kept above 1e-8.

    The compared values are never all in memory (except in the reference). Differentiable in `maps`; the reference also
    in `positions`.

    Args:
        maps: One per view.
        positions: One list of positions per view, in the order of the points.
        groups: Number of groups of a block.
        window: See above.
        carried: How many channels at the end are not compared but returned, as `sample_windows` does.
        backend: See `common.ops`.

    Raises:
        ValueError: Fewer than two views, or channels that do not divide.
    """
    count, compared = maps.shape[0], maps.shape[1] - carried
    if count < 2 or compared < 1 or compared % ((count - 1) * groups):
        raise ValueError(
            f"compare_windows needs at least 2 views with (views - 1) x groups x n channels to compare, got {count} "
            f"views with {compared} channels and {groups} groups"
        )
    fast = () if positions.requires_grad and torch.is_grad_enabled() else ("numba",)
    flat = positions.flatten(1, -2)
    chosen = choose("compare_windows", backend, (maps, positions), fast)
    if chosen == "torch":
        seen = _sample_windows_torch(maps, flat, window)
        similarity, seen = _compare(seen[..., :compared], groups), seen[..., compared:]
    else:
        last = maps.permute(0, 2, 3, 1).contiguous()
        similarity, seen = _CompareWindows.apply(last, flat.contiguous(), (groups, carried), window, _kernels(chosen))
    return similarity.unflatten(0, positions.shape[1:-1]), seen.unflatten(1, positions.shape[1:-1])


def view_pairs(count: int) -> list[tuple[int, int]]:
    """All (i, j) with i < j in lexicographic order."""
    return [(i, j) for i in range(count) for j in range(i + 1, count)]


def partner_slot(view: int, partner: int) -> int:
    """Which block of a view's channels belongs to this other view."""
    return partner if partner < view else partner - 1


def _sample_windows_torch(maps: Tensor, positions: Tensor, window: Window) -> Float[Tensor, "V P C"]:
    height, width = maps.shape[-2:]
    last_pixel = positions.new_tensor([max(width - 1, 1), max(height - 1, 1)])
    scales = positions.new_tensor(window.scales(height, width))
    offsets = range(-window.radius, window.radius + 1)
    seen = 0.0
    for y in offsets:
        for x in offsets:
            moved = positions
            if window.radius:
                step = positions.new_tensor([x, y]) * window.dilation
                moved = 2 * ((positions + 1) / 2 * last_pixel + step) * scales / last_pixel - 1
            seen = seen + functional.grid_sample(maps, moved[:, :, None], padding_mode="border", align_corners=True)
    return seen[..., 0].mT / len(offsets) ** 2


def _compare(seen: Float[Tensor, "V P C"], groups: int) -> Float[Tensor, "P groups"]:
    blocks = seen.unflatten(-1, (len(seen) - 1, groups, -1))
    pairs = view_pairs(len(seen))
    cosines = [
        functional.cosine_similarity(
            blocks[i, :, partner_slot(i, j)], blocks[j, :, partner_slot(j, i)], dim=-1, eps=MIN_NORM
        )
        for i, j in pairs
    ]
    return torch.stack(cosines).mean(dim=0)


def _kernels(backend: str) -> ModuleType:
    return importlib.import_module(f"common.ops.window_sampling.{backend}_kernels")


class _SampleWindows(torch.autograd.Function):
    """Maps `V h w C`, positions `V P 2` to `V P C`."""

    @staticmethod
    def forward(ctx, maps: Tensor, positions: Tensor, window: Window, kernels: ModuleType) -> Tensor:
        ctx.save_for_backward(maps, positions)
        ctx.window, ctx.kernels = window, kernels
        seen = maps.new_empty(*positions.shape[:2], maps.shape[-1])
        kernels.sample_forward(maps, positions, window, seen)
        return seen

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None, None]:
        maps, positions = ctx.saved_tensors
        grad_maps = torch.zeros_like(maps)
        ctx.kernels.sample_backward(grad.contiguous(), positions, ctx.window, grad_maps)
        return grad_maps, None, None, None


class _CompareWindows(torch.autograd.Function):
    """Maps `V h w C`, positions `V P 2` to `P groups` and `V P carried`."""

    @staticmethod
    def forward(
        ctx, maps: Tensor, positions: Tensor, counts: tuple[int, int], window: Window, kernels: ModuleType
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(maps, positions)
        ctx.window, ctx.kernels = window, kernels
        groups, carried = counts
        similarity = maps.new_empty(positions.shape[1], groups)
        seen = maps.new_empty(*positions.shape[:2], carried)
        kernels.compare_forward(maps, positions, window, similarity, seen)
        return similarity, seen

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor, grad_seen: Tensor) -> tuple[Tensor, None, None, None, None]:
        maps, positions = ctx.saved_tensors
        grad_maps = torch.zeros_like(maps)
        ctx.kernels.compare_backward(grad.contiguous(), grad_seen.contiguous(), maps, positions, ctx.window, grad_maps)
        return grad_maps, None, None, None, None
