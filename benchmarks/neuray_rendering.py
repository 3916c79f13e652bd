"""Time and memory of NeuRay's rendering from eight views, against a plain eager evaluation of the same arithmetic.

    python benchmarks/neuray_rendering.py
    python benchmarks/neuray_rendering.py --size 304x400 --rays 512 1024

Plain means what a paper's release does: every pair of a sample and a view, PyTorch's own operations, whole chunks of
rays at once; the same network with the same weights (see `neuray_plain.py`). Views are prepared once, outside the time
of the rays. Every measurement is a process of its own, after a warm-up; the kinds take turns, the fastest run counts.
Peak memory is what the rays add to the highest memory of preparing the views.
"""

import argparse
import contextlib
import math
import os
import time
from dataclasses import replace
from typing import Any

import torch
from neuray_plain import plain_pytorch
from torch.nn import functional

from common.measuring import peak_memory, run_isolated

VIEWS = 8


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="608x800", help="height x width of the photographs, multiples of 16")
    parser.add_argument("--rays", type=int, nargs="+", default=[1024, 4096], help="rays, in one chunk when plain")
    parser.add_argument("--chunk", type=int, default=4096, help="rays of a chunk")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each kind; the fastest counts")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    height, width = map(int, arguments.size.split("x"))
    print(f"{VIEWS} views of {height} x {width}, {arguments.threads} threads, load average {os.getloadavg()[0]:.1f}")
    print(f"{'rays':>6} {'':>6} {'seconds':>9} {'CPU s':>8} {'ms per ray':>11} {'peak MB':>8}")
    for rays in arguments.rays:
        runs: dict[str, list[dict[str, Any]]] = {"plain": [], "ours": []}
        for _ in range(arguments.repeats):
            for kind, results in runs.items():
                work = kind, height, width, rays, arguments.chunk, arguments.threads
                results.append(run_isolated(measure, *work)[0])
        keys = ("seconds", "cpu", "megabytes")
        best = {kind: {key: min(run[key] for run in results) for key in keys} for kind, results in runs.items()}
        for kind, row in best.items():
            cells = f"{row['seconds']:>9.2f} {row['cpu']:>8.2f} {1e3 * row['seconds'] / rays:>11.3f}"
            print(f"{rays:>6} {kind:>6} {cells} {row['megabytes']:>8.0f}")
        ratio = {key: best["plain"][key] / best["ours"][key] for key in keys[:2]}
        print(f"{'':>6} {'ratio':>6} {ratio['seconds']:>9.1f} {ratio['cpu']:>8.1f}")
        apart = abs(runs["plain"][0]["colors"] - runs["ours"][0]["colors"]).max()
        print(f"{'':>6} largest difference of a colour: {apart:.1e}; seen pairs: {100 * runs['ours'][0]['seen']:.0f} %")


def measure(report: Any, kind: str, height: int, width: int, num_rays: int, chunk: int, threads: int) -> dict[str, Any]:
    """Seconds, CPU seconds and megabytes of rendering rays, and their colours."""
    from neuray_mrvm.geometry import project_points, query_rays
    from neuray_mrvm.networks.generalization import GeneralizationNetwork
    from neuray_mrvm.sampling import coarse_depths

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = GeneralizationNetwork({"use_hierarchical_sampling": True, "ray_batch_num": chunk}).eval()
    references, query = make_views(height, width)
    with torch.no_grad(), plain_pytorch() if kind == "plain" else contextlib.nullcontext():
        prepared = network.prepare(references)
        index = torch.arange(num_rays) + (height // 2) * width
        coords = torch.stack([index % width, index // width], dim=-1)[None].float()
        network.render(prepared, replace(query, coords=coords[:, :16]))
        before, start, cpu = peak_memory(), time.perf_counter(), time.process_time()
        colors = network.render(prepared, replace(query, coords=coords))["pixel_colors_nr_fine"]
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        depth = coarse_depths(query.depth_range[0], 64).expand(16, -1)
        seen = project_points(references, query_rays(query, coords[0, :: num_rays // 16][:16]).points(depth)).valid
    megabytes = (peak_memory() - before) / 2**20
    return {
        "seconds": seconds,
        "cpu": cpu,
        "megabytes": megabytes,
        "colors": colors.numpy(),
        "seen": float(seen.float().mean()),
    }


def make_views(height: int, width: int) -> tuple[Any, Any]:
    """Random pictures seen by cameras on an arc, 3 units from what they look at, and a camera between them."""
    from neuray_mrvm.view_batch import ViewBatch

    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(VIEWS, 3, height // 8, width // 8, generator=generator)
    pictures = functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
    intrinsics = torch.tensor([[1.2 * width, 0.0, width / 2], [0.0, 1.2 * width, height / 2], [0.0, 0.0, 1.0]])
    poses = torch.stack([arc_camera(0.25 * (view - (VIEWS - 1) / 2)) for view in range(VIEWS)])
    depth_range = torch.tensor([[1.6, 4.6]])
    depth = 3 + 0.5 * functional.interpolate(coarse[:, :1], (height, width), mode="bilinear", align_corners=True)
    references = ViewBatch(
        poses=poses,
        Ks=intrinsics.repeat(VIEWS, 1, 1),
        depth_range=depth_range.repeat(VIEWS, 1),
        size=(height, width),
        imgs=pictures,
        depth=depth,
    )
    query = ViewBatch(poses=arc_camera(0.06)[None], Ks=intrinsics[None], depth_range=depth_range, size=(height, width))
    return references, query


def arc_camera(angle: float) -> torch.Tensor:
    """World to camera of a camera that looks at the origin from the given angle."""
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.tensor([[cos, 0.0, sin, 0.0], [0.0, 1.0, 0.0, 0.0], [-sin, 0.0, cos, 3.0]])


if __name__ == "__main__":
    main()
