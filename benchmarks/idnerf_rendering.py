"""Time and memory of ID-NeRF's features and rays, against a plain eager evaluation of the same arithmetic.

    python benchmarks/idnerf_rendering.py
    python benchmarks/idnerf_rendering.py --size 256x320 --rays 512 --whole

Plain means what a paper's release does (see `idnerf_plain.py`), with the same modules, weights and the released 3 x 3
window. It would need more than an hour for one picture, so it renders a few rays of 128 samples, ours these and more,
and the picture's time is estimated from them: features + rays x time per ray. `--whole` renders a whole picture with
ours and prints what it really took. Every measurement is a process of its own, after a warm-up; runs alternate, so that
a change of the machine's load meets both.
"""

import argparse
import contextlib
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from idnerf_plain import plain_pytorch
from torch.nn import functional

VIEWS = 3
# Ours renders so many times the rays of the plain one, whose first ones are compared: it is warm after some pieces.
MORE_RAYS = 16


def main() -> None:
    """Print times, memory, ratios, and the largest difference between the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="512x640", help="height x width, multiples of 16")
    parser.add_argument("--rays", type=int, default=256, help="rays of the plain one, from the middle row")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each kind; the fastest counts")
    parser.add_argument("--whole", action="store_true", help="also render a whole picture with ours")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--worker", choices=("plain", "ours", "whole"), help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        torch.set_num_threads(arguments.threads)
        print(json.dumps(measure(arguments)))
        return
    height, width = map(int, arguments.size.split("x"))
    print(f"{VIEWS} views of {arguments.size}, {arguments.threads} threads, load average {os.getloadavg()[0]:.1f}")
    compare(height * width, arguments)
    if arguments.whole:
        whole = run_worker("whole", arguments)
        print(f"whole picture, ours: {whole['encode'] + whole['render']:.0f} s, {whole['megabytes']:.0f} MB")


def compare(pixels: int, arguments: argparse.Namespace) -> None:
    """Measure both kinds in turn and print their rows and ratios."""
    runs: dict[str, list[dict]] = {"plain": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        files = {kind: Path(folder) / f"{kind}.pt" for kind in runs}
        for _ in range(arguments.repeats):
            for kind, results in runs.items():
                results.append(run_worker(kind, arguments, files[kind]))
        plain, ours = (torch.load(file, weights_only=True) for file in files.values())
    keys = ("encode", "render", "cpu", "megabytes")
    best = {kind: {key: min(run[key] for run in results) for key in keys} for kind, results in runs.items()}
    print(f"{'':>6} {'features s':>11} {'ms per ray':>11} {'CPU ms':>7} {'peak MB':>8} {'picture s':>10}")
    rows = {}
    for kind, row in best.items():
        count = arguments.rays * (MORE_RAYS if kind == "ours" else 1)
        per_ray, cpu = row["render"] / count, row["cpu"] / count
        rows[kind] = (row["encode"], 1e3 * per_ray, 1e3 * cpu, row["megabytes"], row["encode"] + pixels * per_ray)
    rows["ratio"] = tuple(a / b for a, b in zip(rows["plain"], rows["ours"], strict=True))
    for kind, values in rows.items():
        print("{:>6} {:>11.2f} {:>11.2f} {:>7.2f} {:>8.0f} {:>10.0f}".format(kind, *values))
    print(f"largest difference of a colour: {(plain - ours[: len(plain)]).abs().max():.1e}")


def run_worker(kind: str, arguments: argparse.Namespace, file: Path | None = None) -> dict[str, Any]:
    """One measurement in a process of its own; its colours go to `file`."""
    command = [sys.executable, __file__, "--worker", kind, "--size", arguments.size]
    command += ["--threads", str(arguments.threads), "--rays", str(arguments.rays)]
    command += ["--file", str(file)] if file else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the measurement {' '.join(command)} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds for the features and for the rays, CPU seconds of the rays, peak memory above the warmed-up process."""
    from idnerf.networks.network import build_network

    torch.manual_seed(0)
    network = build_network(load_released_options()).eval()
    height, width = map(int, arguments.size.split("x"))
    kind = arguments.worker
    settings = plain_pytorch() if kind == "plain" else contextlib.nullcontext()
    middle = (height // 2) * width
    count = arguments.rays * (MORE_RAYS if kind == "ours" else 1)
    rays = None if kind == "whole" else torch.arange(middle, middle + count) % (height * width)
    with torch.no_grad(), settings:
        render(network, 64, 64, torch.arange(arguments.rays))
        before = resident_megabytes()
        encode, seconds, cpu, rgb = render(network, height, width, rays)
    if arguments.file:
        torch.save(rgb, arguments.file)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"encode": encode, "render": seconds, "cpu": cpu, "megabytes": peak - before}


def load_released_options() -> Any:
    """The settings of the paper's training, with the behaviour of its release."""
    from idnerf.options import load_options

    return load_options(["--yaml=train", "--parity=released"])


def render(
    network: torch.nn.Module, height: int, width: int, rays: torch.Tensor | None
) -> tuple[float, float, float, torch.Tensor]:
    """Seconds for the features, seconds and CPU seconds for the rays, colours."""
    sources, target = make_views(height, width)
    start = time.perf_counter()
    encoded = network.encode(sources)
    encode = time.perf_counter() - start
    latent, _ = network.infer_latent(encoded, target)
    start, cpu = time.perf_counter(), time.process_time()
    rgb = network.render(encoded, latent, target, rays)["rgb"]
    return encode, time.perf_counter() - start, time.process_time() - cpu, rgb


def make_views(height: int, width: int) -> tuple[Any, Any]:
    """Random pictures seen by cameras on an arc around the origin, 3 units from it, and a camera between them."""
    from common.cameras import Camera
    from idnerf.views import SourceViews

    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(VIEWS, 3, height // 8, width // 8, generator=generator)
    pictures = functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
    intrinsics = torch.tensor([[1.2 * width, 0.0, width / 2], [0.0, 1.2 * width, height / 2], [0.0, 0.0, 1.0]])
    poses = torch.stack([arc_camera(angle) for angle in (-0.15, 0.15, 0.3)])
    near_fars = torch.tensor([[2.0, 4.0]]).repeat(VIEWS, 1)
    sources = SourceViews(pictures, poses, intrinsics.repeat(VIEWS, 1, 1), near_fars)
    return sources, Camera(intrinsics, arc_camera(0.0), height, width, (2.0, 4.0))


def arc_camera(angle: float) -> torch.Tensor:
    """World to camera of a camera that looks at the origin from the given angle."""
    world_to_cam = torch.eye(4)
    world_to_cam[0, 0] = world_to_cam[2, 2] = math.cos(angle)
    world_to_cam[0, 2], world_to_cam[2, 0] = -math.sin(angle), math.sin(angle)
    world_to_cam[2, 3] = 3.0
    return world_to_cam


def resident_megabytes() -> float:
    """Memory of this process now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
