"""How long MVSNet's pair scores take on a large COLMAP model, and how much memory: ours against one pair at a time.

    python benchmarks/colmap_pairs.py --views 300 --points 300000

The baseline follows the definition: for every two views intersect the lists of points, then sum the weights. Both work
on the same made-up model (photographs in a ring, each point seen by about seven neighbours) in processes of their own.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np

from common.conversion.view_scores import AngleWeight, view_scores
from common.entry_point import run_command
from common.measuring import Report, peak_memory, run_isolated


def main(arguments: Sequence[str] | None = None) -> None:
    """Print seconds, memory and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, default=300)
    parser.add_argument("--points", type=int, default=300_000)
    options = parser.parse_args(arguments)
    results = {}
    for name, function in (("pair by pair", pair_by_pair), ("view_scores", vectorised)):
        (seconds, total, num_observations, before), peak = run_isolated(
            measure, function, options.views, options.points
        )
        results[name] = seconds, total
        print(
            f"{name:<14}{seconds:9.2f} s{(peak - before) / 2**20:9.0f} MiB   {num_observations:,} observations of"
            f" {options.views} views, sum of all scores {total:.6g}"
        )
    (slow, expected), (fast, found) = results.values()
    if not np.isclose(expected, found, rtol=1e-9):
        raise RuntimeError(f"the two disagree: {expected:.12g} and {found:.12g}")
    print(f"{slow / fast:.1f} times faster")


def measure(
    report: Report, function: Callable[..., float], num_views: int, num_points: int
) -> tuple[float, float, int, int]:
    """Seconds, sum of the scores, number of observations, and memory before the work."""
    model = ring(num_views, num_points)
    before, start = peak_memory(), time.perf_counter()
    total = function(*model)
    return time.perf_counter() - start, total, len(model[0]), before


def ring(num_views: int, num_points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Views and points of the observations, points, camera centres."""
    random = np.random.default_rng(0)
    lengths = random.poisson(5, num_points).clip(0, num_views - 2) + 2
    points = np.repeat(np.arange(num_points), lengths)
    steps = np.arange(len(points)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    views = (random.integers(0, num_views, num_points)[points] + steps) % num_views
    angles = np.linspace(0, 2 * np.pi, num_views, endpoint=False)
    centers = 5 * np.stack([np.cos(angles), np.sin(angles), np.zeros(num_views)], axis=1)
    order = np.argsort(views, kind="stable")
    return views[order], points[order], random.normal(0, 1, (num_points, 3)), centers


def vectorised(views: np.ndarray, points: np.ndarray, xyz: np.ndarray, centers: np.ndarray) -> float:
    """Sum of the scores by the library."""
    return float(view_scores(views, points, xyz, centers).sum())


def pair_by_pair(views: np.ndarray, points: np.ndarray, xyz: np.ndarray, centers: np.ndarray) -> float:
    """Sum of the scores by the definition, with NumPy inside a pair."""
    weight, total = AngleWeight(), 0.0
    lists = [points[views == view] for view in range(len(centers))]
    for i in range(len(centers)):
        for j in range(i + 1, len(centers)):
            common = np.intersect1d(lists[i], lists[j], assume_unique=True)
            a, b = centers[i] - xyz[common], centers[j] - xyz[common]
            cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
            total += 2 * weight(np.degrees(np.arccos(cosine.clip(-1, 1)))).sum()
    return float(total)


if __name__ == "__main__":
    run_command(main)
