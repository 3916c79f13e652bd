"""How Triton kernels of `common.ops` are declared and launched, and how they read maps (imported late, like numba).

A program handles a tile: BLOCK positions (pixels or points) times CHANNELS channels. Channels are innermost, as in
memory, so that neighbouring threads read neighbouring numbers. Offsets into arrays have 64 bits; what counts the pixels
of one image, the points of one batch entry or the programs of one launch has 32.

Positions are float32, as in the reference. What lies outside a map is never read, and NaN lies outside.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.language import constexpr

TILE = 1024  # positions x channels of a program: two 16-byte reads per thread and tap
MOST_CHANNELS = 64  # of a tile; kernels loop over the rest
OPTIONS = {"enable_fp_fusion": True}  # of the compiler: multiply-adds are contracted, as PyTorch's own kernels are


def kernel(function: Callable) -> Any:
    """A kernel or a function that kernels call.

    Parameters of one letter are sizes: unless they are `tl.constexpr` (few values in a process: channels, views), no
    variant is compiled for any of their values.
    """
    function = inspect.unwrap(function)  # in tests the type checker has wrapped it, and Triton reads its source
    parameters = inspect.signature(function).parameters.values()
    sizes = [each.name for each in parameters if len(each.name) == 1 and each.annotation is not constexpr]
    return triton.jit(function, do_not_specialize=sizes)


def tile(channels: int) -> dict[str, int]:
    """Block sizes for arrays with that many channels."""
    width = min(triton.next_power_of_2(channels), MOST_CHANNELS)
    return {"BLOCK": max(TILE // width, 1), "CHANNELS": width}


def launch(function: Any, batch: int, positions: int, *arguments: Tensor | int, **constants: int) -> None:
    """Run a kernel on every block of positions of every batch entry, on the device of the first argument."""
    programs = batch * triton.cdiv(positions, constants["BLOCK"])
    if programs:
        with torch.cuda.device_of(arguments[0]):
            function[(programs,)](*arguments, **constants, **OPTIONS)


@kernel
def block(N, BLOCK: constexpr):
    """Batch entry of this program, its positions among N, and which of them exist."""
    blocks = tl.cdiv(N, BLOCK)
    program = tl.program_id(0)
    position = program % blocks * BLOCK + tl.arange(0, BLOCK)
    return (program // blocks).to(tl.int64), position, position < N


@kernel
def corner(px, py):
    """Upper left neighbour of pixels, and how far they are from it."""
    x, y = tl.floor(px), tl.floor(py)
    return x.to(tl.int32), y.to(tl.int32), (px - x)[:, None], (py - y)[:, None]


@kernel
def tap(first, x, y, channel, h, w, C: constexpr):
    """Offsets and mask of pixels in a map that begins at element `first` (in pixels) of an array."""
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    offset = (first + y.to(tl.int64) * w + x) * C
    return offset[:, None] + channel[None, :], inside[:, None] & (channel < C)[None, :]


@kernel
def read(maps, first, x, y, channel, h, w, C: constexpr):
    """Values at pixels, zero outside."""
    offset, inside = tap(first, x, y, channel, h, w, C)
    return tl.load(maps + offset, mask=inside, other=0.0)


@kernel
def add(maps, first, x, y, channel, value, h, w, C: constexpr):
    """Add to values at pixels, nothing outside."""
    offset, inside = tap(first, x, y, channel, h, w, C)
    tl.atomic_add(maps + offset, value, mask=inside, sem="relaxed")


@kernel
def interpolate(maps, first, px, py, channel, h, w, C: constexpr):
    """Bilinear interpolation between pixel centres, zero outside."""
    x, y, fx, fy = corner(px, py)
    top = (1 - fx) * read(maps, first, x, y, channel, h, w, C) + fx * read(maps, first, x + 1, y, channel, h, w, C)
    y += 1
    low = (1 - fx) * read(maps, first, x, y, channel, h, w, C) + fx * read(maps, first, x + 1, y, channel, h, w, C)
    return (1 - fy) * top + fy * low


@kernel
def spread(maps, first, px, py, channel, value, h, w, C: constexpr):
    """The transpose of `interpolate`: add to the neighbours."""
    x, y, fx, fy = corner(px, py)
    add(maps, first, x, y, channel, (1 - fy) * (1 - fx) * value, h, w, C)
    add(maps, first, x + 1, y, channel, (1 - fy) * fx * value, h, w, C)
    add(maps, first, x, y + 1, channel, fy * (1 - fx) * value, h, w, C)
    add(maps, first, x + 1, y + 1, channel, fy * fx * value, h, w, C)


@kernel
def inner_products(maps, first, px, py, channel, other, h, w, C: constexpr):
    """Sums over the channels of `other` times the interpolated value, its slope along x, and its slope along y."""
    x, y, fx, fy = corner(px, py)
    d00 = other * read(maps, first, x, y, channel, h, w, C)
    d01 = other * read(maps, first, x + 1, y, channel, h, w, C)
    d10 = other * read(maps, first, x, y + 1, channel, h, w, C)
    d11 = other * read(maps, first, x + 1, y + 1, channel, h, w, C)
    along_x = tl.sum((1 - fy) * (d01 - d00) + fy * (d11 - d10), axis=1)
    along_y = tl.sum((1 - fx) * (d10 - d00) + fx * (d11 - d01), axis=1)
    value = tl.sum((1 - fy) * ((1 - fx) * d00 + fx * d01) + fy * ((1 - fx) * d10 + fx * d11), axis=1)
    return value, along_x, along_y
