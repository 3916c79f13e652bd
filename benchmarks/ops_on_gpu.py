"""How much faster the Triton kernels of `common.ops` are than their PyTorch reference, on the same GPU.

    python benchmarks/ops_on_gpu.py

Sizes are those of one 512 x 640 view from three sources in GeFu, and of half a million points on XScale-NVS's table.
Every op runs forward, and where it has gradients forward and backward; the median of some runs counts, compilation does
not. Without a CUDA device it says so.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from common.entry_point import run_command
from common.ops.hash_grid import HashGridLayout, hash_encode
from common.ops.plane_sweep import sweep_adaptive, sweep_variance, warp_features
from common.ops.view_sampling import sample_views
from common.ops.volume_sampling import sample_volume


@dataclass(frozen=True)
class Case:
    """An op with its inputs; those at the places in `differentiable` get gradients."""

    name: str
    run: Callable[..., Tensor]  # called with the inputs and backend=...
    inputs: Sequence[Tensor]
    differentiable: Sequence[int] = ()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for every op and direction."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20, help="runs of each; the median counts")
    parser.add_argument("--part", type=float, default=1.0, help="of the full height and width")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("There is no CUDA device on this machine, so that there is nothing to compare.")
        return
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    print(f"{'op':<16} {'':<18} {'reference ms':>12} {'Triton ms':>10} {'ratio':>6} {'difference':>10}")
    for case in cases(torch.device("cuda"), options.part):
        for name, backward in (("forward", False), ("forward, backward", True))[: 1 + bool(case.differentiable)]:
            slow, fast = (seconds(case, backend, backward, options.repeats) for backend in ("torch", "triton"))
            print(
                f"{case.name:<16} {name:<18} {slow * 1e3:>12.3f} {fast * 1e3:>10.3f} {slow / fast:>6.1f} "
                f"{difference(case, backward):>10.1e}"
            )


def cases(device: torch.device, part: float) -> list[Case]:
    """Every op on random numbers, and cameras that see most of what they are shown."""
    height, width = 32 * round(16 * part), 32 * round(20 * part)
    generator = torch.Generator(device).manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    matrix = torch.eye(4, device=device)[:3].repeat(1, 3, 1, 1)
    matrix[0, :, 0, 3] = width / 8 * torch.tensor([-1.0, 0.5, 1.0], device=device)
    coarse = random(1, 3, 32, height // 4, width // 4), matrix, 2.0 + random(1, 48, height // 8, width // 8)
    target = random(1, 32, height // 8, width // 8)
    focal = torch.tensor([[width, 0.0, width / 2], [0.0, width, height / 2], [0.0, 0.0, 1.0]], device=device)
    world_to_cam = torch.eye(4, device=device).repeat(1, 3, 1, 1)
    world_to_cam[0, :, 0, 3] = torch.tensor([-0.2, 0.1, 0.2], device=device)
    points = torch.tensor([-1.0, -0.8, 2.0], device=device) + random(1, 4 * height * width, 3) * 2
    views = random(1, 3, 19, height, width), points, focal.repeat(1, 3, 1, 1), world_to_cam, random(1, 3)
    volume = random(1, 8, 8, height, width), random(1, 4 * height * width, 3)

    layout = HashGridLayout(16, 8, 22, 16, 1.4768261)  # 1.4 GB
    table = random(layout.num_parameters)

    def encode(*inputs: Tensor, backend: str) -> Tensor:
        return hash_encode(*inputs, layout, backend=backend)

    def adaptive(*inputs: Tensor, backend: str) -> Tensor:
        return sweep_adaptive(*inputs, lambda squared, _: (-squared.mean(1, keepdim=True)).exp(), backend=backend)

    return [
        Case("warp_features", warp_features, coarse, (0, 2)),
        Case("sweep_variance", sweep_variance, coarse, (0,)),
        Case("sweep_adaptive", adaptive, (*coarse, target)),
        Case("sample_views", sample_views, views, (0, 1)),
        Case("sample_volume", sample_volume, volume, (0, 1)),
        Case("hash_encode", encode, (random(int(2**19 * part), 3), table), (0, 1)),
    ]


def evaluate(case: Case, backend: str, backward: bool) -> list[Tensor]:
    """The result and, if asked for, gradients of its sum of squares."""
    places = case.differentiable if backward else ()
    inputs = [tensor.detach().requires_grad_(place in places) for place, tensor in enumerate(case.inputs)]
    result = case.run(*inputs, backend=backend)
    if not places:
        return [result]
    return [result.detach(), *torch.autograd.grad(result, [inputs[place] for place in places], result.detach())]


def seconds(case: Case, backend: str, backward: bool, repeats: int) -> float:
    """Median duration on the GPU, after runs that compile and warm up."""
    for _ in range(3):
        evaluate(case, backend, backward)
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        evaluate(case, backend, backward)
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return statistics.median(times)


def difference(case: Case, backward: bool) -> float:
    """Norm of the difference between the back-ends in parts of the norm, of the result that differs most.

    A norm: where a position is a hair from a pixel centre, single slopes may belong to another pair of pixels.
    """
    pairs = zip(evaluate(case, "torch", backward), evaluate(case, "triton", backward), strict=True)
    return max(float((slow - fast).norm() / slow.norm()) for slow, fast in pairs)


if __name__ == "__main__":
    run_command(main)
