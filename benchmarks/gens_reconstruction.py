"""Time and memory of reconstructing a scene with GenS, against a plain eager evaluation of the same arithmetic.

    python benchmarks/gens_reconstruction.py
    python benchmarks/gens_reconstruction.py --finest 128 --size 240x320

Stages of one validation item: aggregating the feature volumes, the 3D U-Net, rendering (seconds for 256 rays) and
distances on a lattice (seconds for 128^3 points). Plain means what a paper's release does, see `gens_plain.py`; it runs
the same modules with the same weights. Each kind is a process of its own; the kinds take turns, the fastest run of each
stage counts. The total is that of 19200 rays and a lattice of 256^3 points.
"""

import argparse
import math
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gens_plain
import torch
from torch.nn import functional

from common.measuring import run_isolated

STAGES = ("volumes", "U-Net", "256 rays", "128^3 points")
# How often each stage is paid for by an item of 120 x 160 rays and a lattice of 256^3 points.
SHARES = (1, 1, 75, 8)
VIEWS = 3
RAYS = 512


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="480x640", help="height x width of the images, multiples of 32")
    parser.add_argument("--finest", type=int, default=256, help="voxels along an axis of the finest volume")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each kind; the fastest counts")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    height, width = map(int, arguments.size.split("x"))
    work = partial(run_isolated, measure)
    print(f"{VIEWS} views of {height} x {width}, volumes {arguments.finest}^3 and coarser, {arguments.threads} threads")
    print(f"load average {os.getloadavg()[0]:.1f} at the start; seconds, then CPU seconds, then GB")
    runs: dict[str, list] = {"plain": [], "ours": []}
    for _ in range(arguments.repeats):
        for kind, results in runs.items():
            results.append(work(kind, height, width, arguments.finest, arguments.threads))
    print(f"{'':>6}" + "".join(f"{stage:>20}" for stage in (*STAGES, "total")) + f"{'peak GB':>10}")
    rows = {}
    for kind, results in runs.items():
        best = {clock: [min(run[clock][i] for run, _ in results) for i in range(4)] for clock in ("wall", "cpu")}
        for values in best.values():
            values.append(sum(share * value for share, value in zip(SHARES, values, strict=True)))
        rows[kind] = best | {"peak": min(peak for _, peak in results) / 1e9}
        cells = [f"{wall:.2f} / {cpu:.2f}" for wall, cpu in zip(best["wall"], best["cpu"], strict=True)]
        print(f"{kind:>6}" + "".join(f"{cell:>20}" for cell in cells) + f"{rows[kind]['peak']:>10.2f}")
    plain, ours = rows["plain"], rows["ours"]
    ratios = [f"{plain['wall'][i] / ours['wall'][i]:.1f} / {plain['cpu'][i] / ours['cpu'][i]:.1f}" for i in range(5)]
    print(f"{'ratio':>6}" + "".join(f"{cell:>20}" for cell in ratios) + f"{plain['peak'] / ours['peak']:>10.1f}")
    for i, name in enumerate(("distances", "colours")):
        apart = abs(runs["plain"][0][0]["check"][i] - runs["ours"][0][0]["check"][i])
        print(f"difference of {name}: mean {apart.mean():.1e}, largest {apart.max():.1e}")


def measure(report: Any, kind: str, height: int, width: int, finest: int, threads: int) -> dict[str, Any]:
    """Seconds of every stage, and results for comparison."""
    from gens.networks.network import build_network

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    dims = [finest >> level for level in range(5)]
    render = {"perturb": 0.0}
    network = build_network({"volume": {"volume_dims": dims}, "implicit_surface": {"render": render}}).eval()
    for parameter in network.implicit_surface.sdf_network.parameters():
        parameter.data.add_(0.002 * torch.randn_like(parameter))
    small = make_inputs(64, 64)
    stages = plain_stages if kind == "plain" else our_stages
    warm = build_network({"volume": {"volume_dims": [64, 32, 16, 8, 4]}}).eval()
    run_stages(stages(warm, small))
    return run_stages(stages(network, make_inputs(height, width)))


def run_stages(stages: list[tuple[Callable[[], Any], int]]) -> dict[str, Any]:
    """Every stage once; a number beside it says how many units of the table's it does."""
    wall, cpu, check = [], [], []
    for stage, units in stages:
        start, start_cpu = time.perf_counter(), time.process_time()
        check.append(stage())
        wall.append((time.perf_counter() - start) / units)
        cpu.append((time.process_time() - start_cpu) / units)
    return {"wall": wall, "cpu": cpu, "check": [check[i].detach().numpy() for i in (3, 2)]}


def plain_stages(network: torch.nn.Module, inputs: dict[str, Any]) -> list[tuple[Callable[[], Any], int]]:
    """The stages as a release writes them."""
    from gens.networks.blending import source_views
    from gens.networks.patches import patch_maps
    from gens.networks.rendering import Rays, SceneVolumes

    state: dict[str, Any] = {}
    with torch.no_grad():
        features = network.encode(inputs["imgs"])

    @torch.no_grad()
    def volumes() -> None:
        state["volumes"], state["masks"] = gens_plain.build_volumes(features, inputs, network.volume_dims)

    @torch.no_grad()
    def regularise() -> None:
        with gens_plain.plain_pytorch():
            regularised = network.reg_network(state["volumes"])
        cameras = inputs["intrs"], inputs["c2ws"]
        sources = source_views(inputs["imgs"], features, *cameras)
        state["scene"] = SceneVolumes(regularised, state["masks"], sources, *cameras, patch_maps(features))

    def rays() -> torch.Tensor:
        chunk = Rays(inputs["rays_o"][:256], inputs["rays_d"][:256])
        return gens_plain.render_chunk(network, state["scene"], chunk, inputs)["color_fine"]

    @torch.no_grad()
    def lattice() -> torch.Tensor:
        return gens_plain.distances(network, state["scene"], block())

    return [(volumes, 1), (regularise, 1), (rays, 1), (lattice, 1 / 8)]


def our_stages(network: torch.nn.Module, inputs: dict[str, Any]) -> list[tuple[Callable[[], Any], int]]:
    """The stages of `GenS`."""
    from common.memory import keep_freed_memory
    from gens.networks.volumes import build_volumes

    state: dict[str, Any] = {}
    cameras = inputs["intrs"], inputs["c2ws"]
    keep_freed_memory()
    with torch.no_grad():
        features = network.encode(inputs["imgs"])

    @torch.no_grad()
    def volumes() -> None:
        state["levels"] = list(build_volumes(features, *cameras, network.volume_dims))

    @torch.no_grad()
    def regularise() -> None:
        levels = state.pop("levels")
        state["masks"] = [mask for _, mask in levels]
        state["volumes"] = network.reg_network(levels.pop(0)[0] for _ in range(len(levels)))

    def rays() -> torch.Tensor:
        from gens.networks.blending import source_views
        from gens.networks.rendering import SceneVolumes

        sources = source_views(inputs["imgs"], features, *cameras)
        state["scene"] = SceneVolumes(state["volumes"], state["masks"], sources, *cameras)
        return network.render_rays(state["scene"], inputs)["color_fine"][:256]

    def lattice() -> torch.Tensor:
        return network.sdf_field(state["scene"])(block())

    return [(volumes, 1), (regularise, 1), (rays, RAYS // 256), (lattice, 1 / 8)]


def block() -> torch.Tensor:
    """64^3 neighbouring points of a lattice of 128^3."""
    axis = torch.linspace(-1, 1, 128)[32:96]
    return torch.cartesian_prod(axis, axis, axis)


def make_inputs(height: int, width: int) -> dict[str, Any]:
    """Random pictures seen by cameras on an arc, 2.5 units from the middle of the cube, and rays of the first."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(VIEWS, 3, height // 8, width // 8, generator=generator)
    intrinsics = torch.eye(4)
    intrinsics[0, 0] = intrinsics[1, 1] = 1.2 * width
    intrinsics[0, 2], intrinsics[1, 2] = width / 2, height / 2
    cam_to_world = torch.stack([arc_camera(angle) for angle in (0.0, 0.3, -0.3)])
    pixels = torch.rand(RAYS, 2, generator=generator) * torch.tensor([width - 1.0, height - 1.0])
    directions = torch.cat([pixels, torch.ones(RAYS, 1)], dim=1) @ torch.linalg.inv(intrinsics[:3, :3]).T
    return {
        "imgs": functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=True),
        "intrs": intrinsics.repeat(VIEWS, 1, 1),
        "c2ws": cam_to_world,
        "rays_o": cam_to_world[0, :3, 3].expand(RAYS, 3).contiguous(),
        "rays_d": functional.normalize(directions, dim=-1) @ cam_to_world[0, :3, :3].T,
        "near": torch.tensor([[0.95 * 1.5]]),
        "far": torch.tensor([[1.05 * 3.5]]),
    }


def arc_camera(angle: float) -> torch.Tensor:
    """Camera to world of a camera that looks at the origin from the given angle."""
    cam_to_world = torch.eye(4)
    cam_to_world[0, 0] = cam_to_world[2, 2] = math.cos(angle)
    cam_to_world[0, 2], cam_to_world[2, 0] = math.sin(angle), -math.sin(angle)
    cam_to_world[:3, 3] = -2.5 * cam_to_world[:3, 2]
    return cam_to_world


if __name__ == "__main__":
    main()
