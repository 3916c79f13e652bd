"""The hash grid on the CPU: points per second of the kernels against the reference, and what a training step costs.

    python benchmarks/xscale_hash_grid.py
    python benchmarks/xscale_hash_grid.py --step-log2 19    # the step with a table that fits 8 GB of memory

Encoding: 16 levels of up to 2^19 entries with 8 features, gradients of the table; random points in the whole cube, and
on a surface, where the method reads. "In training" the gradient goes where the sparse optimiser wants it, else a tensor
of the table's size is made for it. Runs alternate, so that a change of the machine's load meets all; processor seconds
depend less on what else runs. Random reads of a large table are limited by the memory's latency on any machine.

Step: 16,384 rays on a bumpy sphere, the shipped table of 44 million entries; baseline: the same kernels with
`torch.optim.Adam`, which zeroes, fills and sweeps gradients of the table's size. Then the difference of both after the
same steps, and that of steps without momentum moves (`torch.optim.SparseAdam`'s rule) on a small table.
"""

import argparse
import os
import time
from collections.abc import Callable

import torch
from torch import Tensor

from common.measuring import peak_memory, run_isolated
from common.memory import keep_freed_memory
from common.ops.hash_grid import HashGrid, HashGridLayout, hash_encode
from common.sparse_adam import SparseAdam

GROWTH = 1.4768261459394993
RAYS = 16384
LR = 2e-4


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=131072)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12, help="training steps; the first are not counted")
    parser.add_argument("--step-log2", type=int, default=22, help="log2 of the table of the training step")
    arguments = parser.parse_args()
    keep_freed_memory()  # as the method does; without it all results' memory comes from the system again and again
    load = os.getloadavg()[0]
    print(f"{torch.get_num_threads()} threads, load average {load:.1f} at the start (the machine is idle at 0)")
    for name, x in (("a cube", torch.rand(arguments.points, 3)), ("a surface", surface_points(arguments.points, 0))):
        print_encoding(name, x, arguments.repeats)
    print_steps(arguments.step_log2, arguments.steps)
    print_differences()


def print_encoding(place: str, x: Tensor, repeats: int) -> None:
    """Points per second of both back-ends, forward and backward."""
    layout = HashGridLayout(16, 8, 19, 16, GROWTH)
    grid, trained, points = HashGrid(layout), HashGrid(layout), len(x)
    optimizer = SparseAdam(trained.params)
    grad = torch.randn(points, layout.num_features)
    rows = {"torch": (grid, "torch"), "numba": (grid, "numba"), "in training": (trained, "numba")}
    best = {name: [float("inf")] * 4 for name in rows}
    for turn in range(repeats + 1):  # the first compiles and touches the memory
        for name, (table, backend) in rows.items():
            optimizer.zero_grad()
            grid.params.grad = None
            part = x if turn else x[:1024]
            features, *forward = seconds(lambda: hash_encode(part, table.params, layout, backend=backend))  # noqa: B023
            _, *backward = seconds(lambda: features.backward(grad[: len(part)]))  # noqa: B023
            if turn:
                best[name] = list(map(min, best[name], forward + backward))
    print(
        f"\nencoding of {points} random points of {place}, best of {repeats}: points per second (times the reference)"
    )
    columns = "forward", "forward, per CPU s", "backward", "backward, per CPU s"
    print(f"{'':>12}" + "".join(f"{column:>24}" for column in columns))
    for name, times in best.items():
        cells = (
            f"{points / each:>14.0f} ({reference / each:>5.1f})"
            for each, reference in zip(times, best["torch"], strict=True)
        )
        print(f"{name:>12}" + "".join(f"{cell:>24}" for cell in cells))


def print_steps(log2_size: int, steps: int) -> None:
    """Seconds of a step's parts and peak memory, each optimiser in a process of its own."""
    print(f"\ntable's share of a training step, {RAYS} rays, 2^{log2_size} entries per level: median seconds")
    totals = {}
    for name in ("dense", "sparse"):
        parts, _ = run_isolated(train, name, log2_size, steps)
        totals[name] = sum(parts[key] for key in ("forward", "backward", "step"))
        text = "   ".join(f"{key} {value:6.3f}" for key, value in parts.items())
        print(f"{name:>10}   {text}   sum {totals[name]:6.3f}")
    print(f"{'ratio':>10}   {totals['dense'] / totals['sparse']:.1f}")


def train(report: Callable, name: str, log2_size: int, steps: int) -> dict[str, float]:
    """Median seconds of the parts of a step, seconds to bring the table up to date, and memory in GB."""
    grid = HashGrid(HashGridLayout(16, 8, log2_size, 16, GROWTH))
    optimizer = SparseAdam(grid.params, LR) if name == "sparse" else torch.optim.Adam([grid.params], LR)
    times: dict[str, list[float]] = {"forward": [], "backward": [], "step": []}
    for step in range(steps):
        x = surface_points(RAYS, step)
        grad = torch.randn(RAYS, grid.layout.num_features, generator=torch.Generator().manual_seed(step)) * 1e-6
        features, forward, _ = seconds(lambda points=x: grid(points))
        _, backward, _ = seconds(lambda out=features, weights=grad: (optimizer.zero_grad(), out.backward(weights)))
        _, update, _ = seconds(optimizer.step)
        for values, value in zip(times.values(), (forward, backward, update), strict=True):
            values.append(value)
    medians = {key: sorted(values[steps // 3 :])[len(values[steps // 3 :]) // 2] for key, values in times.items()}
    catch_up = seconds(optimizer.catch_up)[1] if name == "sparse" else 0.0
    return medians | {"catch_up": catch_up, "GB": peak_memory() / 1e9}


def print_differences() -> None:
    """Largest difference from dense Adam after the same gradients, with and without momentum moves."""
    steps, layout = 200, HashGridLayout(16, 8, 12, 16, GROWTH)
    start = HashGrid(layout).state_dict()
    grids = {name: HashGrid(layout) for name in ("dense", "sparse", "without moves")}
    for grid in grids.values():
        grid.load_state_dict(start)
    optimizers = {
        "dense": torch.optim.Adam([grids["dense"].params], LR),
        "sparse": SparseAdam(grids["sparse"].params, LR),
        "without moves": torch.optim.SparseAdam([grids["without moves"].params], LR),
    }
    for step in range(steps):
        x = surface_points(32, step)
        grad = torch.randn(32, layout.num_features, generator=torch.Generator().manual_seed(step)) * 1e-6
        for name, optimizer in optimizers.items():
            optimizer.zero_grad()
            grids[name](x).backward(grad)
            if name == "without moves":
                grids[name].params.grad = grids[name].params.grad.to_sparse()
            optimizer.step()
    optimizers["sparse"].catch_up()
    print(f"\nlargest difference from dense Adam after {steps} steps, in step sizes (lr)")
    for name in ("sparse", "without moves"):
        difference = (grids[name].params - grids["dense"].params).abs().max().item() / LR
        print(f"{name:>15}   {difference:.1e}")


def surface_points(count: int, seed: int) -> Tensor:
    """Random points of a bumpy sphere in the unit cube."""
    direction = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    direction = direction / direction.norm(dim=1, keepdim=True)
    radius = 0.4 + 0.03 * torch.sin(9 * direction[:, :1]) * torch.cos(7 * direction[:, 1:2])
    return 0.5 + direction * radius


def seconds(function: Callable) -> tuple:
    """What the function returns, how long it took, and how long the processor worked on it."""
    start, start_cpu = time.perf_counter(), time.process_time()
    result = function()
    return result, time.perf_counter() - start, time.process_time() - start_cpu


if __name__ == "__main__":
    main()
