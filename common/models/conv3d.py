"""3 x 3 x 3 convolutions, fast on the CPU: each is written as 2-D convolutions of planes.

PyTorch takes a slow path for 3-D convolutions with a batch of one and a few channels (5 to 40 times slower, measured
forward and backward on AVX-512). The same sums as 2-D convolutions, with planes d and taps k:

    gathered     out[d] = sum_k W_k * in[d + k - 1]       input planes side by side: 3 C channels to O
    scattered    y = W * in, C channels to 3 O;           out[d] = sum_k y_k[d + k - 1]
    dense        all D planes are channels, D C to D O    (no product is wasted for D = 2)

On other devices PyTorch's own 3-D convolution is called. Any memory layout is accepted; results have channels
innermost.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Stride = tuple[int, int, int]


def conv3d(
    x: Float[Tensor, "B C D H W"],
    weight: Float[Tensor, "O C 3 3 3"],
    bias: Float[Tensor, " O"] | None = None,
    stride: Stride = (1, 1, 1),
) -> Float[Tensor, "B O d h w"]:
    """Convolution with kernel 3 and padding 1; rows and columns share one stride."""
    if x.device.type != "cpu":
        return functional.conv3d(x, weight, bias, stride=stride, padding=1)
    if stride[0] == 1 and x.shape[2] <= 2:
        return _conv_dense(x, weight, bias, stride[1])
    if stride[0] == 1 and weight.shape[0] < weight.shape[1]:
        return _conv_scattered(x, weight, bias, stride[1])
    return _conv_gathered(x, weight, bias, stride)


def conv_transpose3d(
    x: Float[Tensor, "B C d h w"],
    weight: Float[Tensor, "C O 3 3 3"],
    bias: Float[Tensor, " O"] | None = None,
    stride: Stride = (2, 2, 2),
) -> Float[Tensor, "B O D H W"]:
    """Transposed convolution with kernel 3 and padding 1 whose result is `stride` times larger."""
    if x.device.type != "cpu":
        output_padding = tuple(step - 1 for step in stride)
        return functional.conv_transpose3d(x, weight, bias, stride, padding=1, output_padding=output_padding)
    if stride[0] == 1 and x.shape[2] <= 2:
        return _transpose_dense(x, weight, bias, stride[1])
    return _transpose_scattered(x, weight, bias, stride)


def _planes(x: Float[Tensor, "B C D H W"]) -> Float[Tensor, "P C H W"]:
    """Every plane an image, channels innermost in memory."""
    return x.permute(0, 2, 3, 4, 1).flatten(0, 1).contiguous().permute(0, 3, 1, 2)


def _volume(planes: Float[Tensor, "P O H W"], batch: int) -> Float[Tensor, "B O D H W"]:
    return planes.unflatten(0, (batch, -1)).transpose(1, 2)


def _channels_last(weight: Float[Tensor, "O C 3 3"]) -> Float[Tensor, "O C 3 3"]:
    return weight.contiguous(memory_format=torch.channels_last)


def _conv_gathered(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Stride) -> Tensor:
    B, _, D, _, _ = x.shape
    padded = functional.pad(x.permute(0, 2, 3, 4, 1), (0, 0, 0, 0, 0, 0, 1, 1))
    neighbours = torch.cat([padded[:, tap : tap + D : stride[0]] for tap in range(3)], dim=-1)
    kernel = _channels_last(weight.transpose(1, 2).flatten(1, 2))
    planes = neighbours.flatten(0, 1).permute(0, 3, 1, 2)
    return _volume(functional.conv2d(planes, kernel, bias, stride=stride[1], padding=1), B)


def _conv_scattered(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    kernel = _channels_last(weight.movedim(2, 0).flatten(0, 1))
    y = functional.conv2d(_planes(x), kernel, stride=stride, padding=1)
    parts = _volume(y, x.shape[0]).chunk(3, dim=1)
    total = parts[1] if bias is None else parts[1] + bias[:, None, None, None]
    return total + _shifted(parts[0], 1) + _shifted(parts[2], -1)


def _shifted(x: Float[Tensor, "B C D H W"], planes: int) -> Float[Tensor, "B C D H W"]:
    """Every plane moved by one, zero where nothing comes from."""
    return functional.pad(x, (0, 0, 0, 0, planes, -planes))


def _dense_kernel(weight: Float[Tensor, "O C 3 3 3"], planes: int) -> Float[Tensor, "DO DC 3 3"]:
    """The taps between every pair of planes, tap = plane in - plane out + 1."""
    if planes == 1:
        return _channels_last(weight[:, :, 1])
    into_first = torch.cat([weight[:, :, 1], weight[:, :, 2]], dim=1)
    into_second = torch.cat([weight[:, :, 0], weight[:, :, 1]], dim=1)
    return _channels_last(torch.cat([into_first, into_second], dim=0))


def _as_channels(x: Float[Tensor, "B C D H W"]) -> Float[Tensor, "B DC H W"]:
    return x.permute(0, 3, 4, 2, 1).flatten(3).contiguous().permute(0, 3, 1, 2)


def _conv_dense(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    D = x.shape[2]
    bias = None if bias is None else bias.repeat(D)
    y = functional.conv2d(_as_channels(x), _dense_kernel(weight, D), bias, stride=stride, padding=1)
    return y.unflatten(1, (D, -1)).transpose(1, 2)


def _transpose_dense(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    D = x.shape[2]
    bias = None if bias is None else bias.repeat(D)
    # Backwards the taps run the other way; axis 0 of the weight is what goes in.
    kernel = _dense_kernel(weight.transpose(0, 1).flip(2), D).transpose(0, 1)
    y = functional.conv_transpose2d(_as_channels(x), kernel, bias, stride, padding=1, output_padding=stride - 1)
    return y.unflatten(1, (D, -1)).transpose(1, 2)


def _transpose_scattered(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Stride) -> Tensor:
    kernel = weight.transpose(1, 2).flatten(1, 2)
    step = stride[1]
    y = functional.conv_transpose2d(_planes(x), kernel, stride=step, padding=1, output_padding=step - 1)
    before, here, after = _volume(y, x.shape[0]).chunk(3, dim=1)
    if stride[0] == 1:
        total = here + _shifted(before, -1) + _shifted(after, 1)
    else:
        # A plane goes to planes 2 d - 1 (tap 0), 2 d (tap 1) and 2 d + 1 (tap 2).
        total = torch.stack([here, after + _shifted(before, -1)], dim=3).flatten(2, 3)
    return total if bias is None else total + bias[:, None, None, None]
