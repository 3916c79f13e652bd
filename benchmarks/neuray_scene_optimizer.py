"""NeuRay's optimiser on the ray features of one scene: what a step costs, in seconds and memory.

    python benchmarks/neuray_scene_optimizer.py
    python benchmarks/neuray_scene_optimizer.py --maps 100 --size 200 200

The papers' runs filled the gradients of unused maps with zeros and swept over all of them with Adam: that is the
baseline, `torch.optim.Adam`. Both give the same numbers, which is checked. A step uses 9 random maps.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch

from common.entry_point import run_command
from common.measuring import run_isolated
from common.seeding import generator_for
from neuray_mrvm.optimization import PersistentAdam

USED = 9
CHANNELS = 32
RATE = 1e-4


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=49, help="reference views of the scene")
    parser.add_argument("--size", type=int, nargs=2, default=(152, 200), help="height and width of a map")
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args(arguments)
    found = {}
    for name, run in (("dense", dense), ("ours", deferred)):
        (seconds, total), peak = run_isolated(run, options.maps, tuple(options.size), options.steps)
        print(f"{name:>6} {1000 * seconds:8.1f} ms a step  {peak / 2**20:8.0f} MB peak  sum of |features| {total:.9g}")
        found[name] = seconds, total, peak
    if found["dense"][1] != found["ours"][1]:
        raise RuntimeError("the two optimisers do not give the same ray features")
    (slow, _, most), (fast, _, least) = found["dense"], found["ours"]
    print(f"a step is {slow / fast:.2f} times as fast, in {least / most:.2f} times the memory")


def dense(report: Callable, maps: int, size: tuple[int, int], steps: int) -> tuple[float, float]:
    """Seconds of a step and the sum of the features, with zeros for what is not used."""
    del report
    features = _features(maps, size)
    optimizer = torch.optim.Adam(features, RATE, foreach=False)

    def step(used: Sequence[int], number: int) -> None:
        optimizer.zero_grad(set_to_none=False)
        for index in used:
            features[index].grad = _gradient(features[index], number)
        optimizer.step()

    return _timed(step, features, maps, steps, lambda: None)


def deferred(report: Callable, maps: int, size: tuple[int, int], steps: int) -> tuple[float, float]:
    """The same with moves that are made when a map is next read."""
    del report
    features = _features(maps, size)
    optimizer = PersistentAdam(features, RATE, deferred=features)

    def step(used: Sequence[int], number: int) -> None:
        optimizer.zero_grad(set_to_none=True)
        optimizer.catch_up([features[index] for index in used])
        for index in used:
            features[index].grad = _gradient(features[index], number)
        optimizer.step()

    return _timed(step, features, maps, steps, optimizer.catch_up)


def _features(maps: int, size: tuple[int, int]) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(1, CHANNELS, *size, generator=generator)) for _ in range(maps)]


def _gradient(feature: torch.nn.Parameter, number: int) -> torch.Tensor:
    return feature.detach() * (1e-3 / (number + 1))


def _timed(
    step: Callable[[Sequence[int], int], None],
    features: Sequence[torch.nn.Parameter],
    maps: int,
    steps: int,
    finish: Callable[[], None],
) -> tuple[float, float]:
    """Steps until every map has been used are not timed; making all outstanding moves in the end is."""
    order = generator_for(0).permutation(maps)
    for number in range(-(-maps // USED)):
        step(order[number * USED : (number + 1) * USED], number)
    choices = [generator_for(1, number).permutation(maps)[:USED] for number in range(steps)]
    began = time.perf_counter()
    for number, used in enumerate(choices):
        step(used, number)
    finish()
    seconds = (time.perf_counter() - began) / steps
    return seconds, float(torch.stack([feature.detach().double().abs().sum() for feature in features]).sum())


if __name__ == "__main__":
    run_command(main)
