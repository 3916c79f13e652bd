"""Seconds and peak memory of one training step and one picture of XScale-NVS, against the straightforward program.

    python benchmarks/xscale_training.py
    python benchmarks/xscale_training.py --log2 19 --repeats 5 --skip-plain

Both run the shipped network (16 levels, 8 features, 2^22 entries, width 64) on the CPU: a step of 16,384 rays of 8
views, and a picture of 960 x 540 pixels without its rasterisation. Straightforward means the paper's program with a
hash grid in plain tensor operations: all rays at once, codes repeated for every ray, autograd, dense Adam on the
whole table. Every measurement is a process of its own; the first step, which compiles and takes memory, is not timed.
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from common.measuring import run_isolated
from common.memory import keep_freed_memory
from common.ops.hash_grid import HashGridLayout
from xscale_nvs.networks.model import XscaleModel
from xscale_nvs.networks.painter import Painter
from xscale_nvs.optimization import Optimizers, RayBatch, train_step

VIEWS, RAYS = 8, 2048
HEIGHT, WIDTH = 540, 960


def main() -> None:
    """Print a table: a row for each kind of work and program, then ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log2", type=int, default=22, help="logarithm of the table's largest level")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs; the fastest counts")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--skip-plain", action="store_true", help="ours only")
    arguments = parser.parse_args()
    print(f"{arguments.threads} threads, load average {os.getloadavg()[0]:.1f} at the start")
    print(f"{'':>8} {'':>16} {'seconds':>8} {'CPU s':>8} {'peak GB':>8}")
    for work in ("step", "picture"):
        rows = {}
        for kind in ("ours",) if arguments.skip_plain else ("straightforward", "ours"):
            result, peak = run_isolated(measure, work, kind, arguments.log2, arguments.repeats, arguments.threads)
            rows[kind] = (*result, peak / 1e9)
            print(f"{work:>8} {kind:>16} " + " ".join(f"{value:>8.2f}" for value in rows[kind]), flush=True)
        if len(rows) == 2:
            ratios = [plain / ours for plain, ours in zip(rows["straightforward"], rows["ours"], strict=True)]
            print(f"{'':>8} {'ratio':>16} " + " ".join(f"{value:>8.1f}" for value in ratios), flush=True)


def measure(report: Any, work: str, kind: str, log2: int, repeats: int, threads: int) -> tuple[float, float]:
    """Seconds and CPU seconds of the fastest of several runs."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    keep_freed_memory()
    model = XscaleModel(HashGridLayout(16, 8, log2, 16, 1.4768261459394993), num_exposures=VIEWS)
    if kind == "straightforward":
        model.spatial_encoding.spatial_enc.backend = "torch"
    run = {"step": make_step, "picture": make_picture}[work](model, kind)
    run()
    times = []
    for _ in range(repeats):
        start, cpu = time.perf_counter(), time.process_time()
        run()
        times.append((time.perf_counter() - start, time.process_time() - cpu))
    return min(times)


def make_step(model: XscaleModel, kind: str) -> Callable[[], object]:
    """A training step on new random rays of the surface each time."""
    if kind == "ours":
        optimizers = Optimizers(model, 2e-4, 2e-4)
        return lambda: train_step(model, optimizers, random_rays())
    adams = [torch.optim.Adam(part.parameters(), lr=2e-4) for part in model.children()]

    def step() -> None:
        batch = random_rays()
        for adam in adams:
            adam.zero_grad()
        light, exposure = model.light_code(batch.lights), model.exposure_code(batch.positions)
        rgb = model(batch.xyz, batch.viewdr, light.expand(-1, RAYS, -1), exposure.expand(-1, RAYS, -1))
        (rgb - batch.colour).abs().mean().backward()
        for adam in adams:
            adam.step()

    return step


def make_picture(model: XscaleModel, kind: str) -> Callable[[], object]:
    """The colours of a picture whose pixels see a bumpy surface from above."""
    y, x = torch.meshgrid(torch.linspace(-0.28, 0.28, HEIGHT), torch.linspace(-0.5, 0.5, WIDTH), indexing="ij")
    xyz = bumpy(x.reshape(-1), y.reshape(-1))[:, None]
    viewdr = normalize(xyz - torch.tensor([0.0, 0.0, 1.5]), dim=-1)
    with torch.no_grad():
        light, exposure = model.light_code(torch.tensor([0])), model.exposure_code()
    if kind == "ours":
        painter = Painter(model, light, exposure, HEIGHT * WIDTH)
        return lambda: painter(xyz, viewdr)
    light, exposure = (code.expand(-1, len(xyz), -1) for code in (light, exposure))

    def paint() -> None:
        with torch.no_grad():
            model(xyz[None], viewdr[None], light, exposure)

    return paint


def random_rays() -> RayBatch:
    """Rays that meet the surface anywhere."""
    xyz = bumpy(*(torch.rand(2, VIEWS, RAYS) - 0.5))[:, :, None]
    viewdr = normalize(xyz - torch.tensor([0.3, 0.2, 1.5]), dim=-1)
    return RayBatch(xyz, viewdr, torch.rand(VIEWS, RAYS, 3), torch.arange(VIEWS), torch.zeros(VIEWS, dtype=torch.long))


def bumpy(x: Tensor, y: Tensor) -> Tensor:
    """Points of a surface that fills the model's box, [-0.5, 0.5] on every axis."""
    return torch.stack([x, y, 0.25 * torch.sin(9 * x) + 0.25 * torch.cos(7 * y)], dim=-1)


if __name__ == "__main__":
    main()
