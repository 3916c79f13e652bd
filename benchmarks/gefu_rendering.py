"""Time and memory of one GeFu view from three sources, against a plain eager evaluation of the same arithmetic.

    python benchmarks/gefu_rendering.py
    python benchmarks/gefu_rendering.py --sizes 256x320 --repeats 5

Plain means what a paper's release does: whole feature maps and volumes at once, PyTorch's own convolutions, matrix
products and grid sampling, batch normalisation as a step of its own, concatenated inputs of the layers on samples. It
runs the same modules with the same weights (`Network.render_whole` with the fast pieces replaced, see `gefu_plain.py`).
Every measurement is a process of its own; peak memory is what the process took on top of what it held after a warm-up
at 64 x 64. Runs alternate, so that a change of the machine's load meets both.
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
from unittest import mock

import torch
from gefu_plain import plain_pytorch
from torch.nn import functional

SIZES = ("256x320", "512x640")
VIEWS = 3


def main() -> None:
    """Print a table for every size, then the cost of a video."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="height x width, multiples of 32")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each kind; the fastest counts")
    parser.add_argument("--frames", type=int, default=60, help="frames of the video; 0 skips it")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--worker", choices=("plain", "ours", "video"), help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        torch.set_num_threads(arguments.threads)
        height, width = map(int, arguments.sizes[0].split("x"))
        print(json.dumps(measure(arguments.worker, height, width, arguments)))
        return
    print(f"{VIEWS} source views, {arguments.threads} threads, load average {os.getloadavg()[0]:.1f} at the start")
    print(f"{'size':>10} {'':>6} {'seconds':>9} {'CPU s':>7} {'peak MB':>8}")
    for size in arguments.sizes:
        compare(size, arguments)
    if arguments.frames:
        video = run_worker("video", arguments.sizes[0], arguments)
        print(
            f"video of {arguments.frames} frames at {arguments.sizes[0]}: {video['seconds']:.1f} s, "
            f"{video['encoded']:.0f} pass(es) over the source images"
        )


def compare(size: str, arguments: argparse.Namespace) -> None:
    """Measure both kinds in turn and print their rows and ratio."""
    runs: dict[str, list[dict]] = {"plain": [], "ours": []}
    for _ in range(arguments.repeats):
        for kind, results in runs.items():
            results.append(run_worker(kind, size, arguments))
    best = {
        kind: {key: min(run[key] for run in results) for key in ("seconds", "cpu", "megabytes")}
        for kind, results in runs.items()
    }
    for kind, row in best.items():
        print(f"{size:>10} {kind:>6} {row['seconds']:>9.2f} {row['cpu']:>7.2f} {row['megabytes']:>8.0f}")
    ratio = {key: best["plain"][key] / best["ours"][key] for key in ("seconds", "cpu", "megabytes")}
    print(f"{'':>10} {'ratio':>6} {ratio['seconds']:>9.1f} {ratio['cpu']:>7.1f} {ratio['megabytes']:>8.1f}")
    with tempfile.TemporaryDirectory() as folder:
        pictures = [run_worker(kind, size, arguments, Path(folder) / f"{kind}.pt") for kind in runs]
        plain, ours = (torch.load(picture["file"], weights_only=True) for picture in pictures)
    print(f"{'':>10} largest difference of a colour: {(plain - ours).abs().max():.1e}")


def run_worker(kind: str, size: str, arguments: argparse.Namespace, file: Path | None = None) -> dict[str, Any]:
    """One measurement in a process of its own; its picture goes to `file`."""
    command = [sys.executable, __file__, "--worker", kind, "--sizes", size]
    command += ["--threads", str(arguments.threads), "--frames", str(arguments.frames)]
    command += ["--file", str(file)] if file else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the measurement {' '.join(command)} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(kind: str, height: int, width: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds, CPU seconds, and peak memory above the warmed-up process."""
    from gefu.networks.network import Network

    torch.manual_seed(0)
    network = Network().eval()
    settings = plain_pytorch() if kind == "plain" else contextlib.nullcontext()
    with torch.no_grad(), settings:
        render(network, kind, make_batch(64, 64))
        batch = make_batch(height, width)
        before = resident_megabytes()
        start, cpu = time.perf_counter(), time.process_time()
        if kind == "video":
            with mock.patch.object(network, "encode", wraps=network.encode) as encode:
                features = network.encode(batch["src_inps"])
                for frame in range(arguments.frames):
                    network.render_target(features, moved(batch, frame / arguments.frames))
                return {"seconds": time.perf_counter() - start, "encoded": encode.call_count}
        rgb = render(network, kind, batch)
        if arguments.file:
            torch.save(rgb, arguments.file)
        return {
            "file": arguments.file,
            "seconds": time.perf_counter() - start,
            "cpu": time.process_time() - cpu,
            "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before,
        }


def render(network: torch.nn.Module, kind: str, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The final picture."""
    features = network.encode(batch["src_inps"])
    if kind == "plain":
        return network.render_whole(features, batch, features.size)["rgb_level1"]
    return network.render_target(features, batch)["rgb_level1"]


def make_batch(height: int, width: int) -> dict[str, torch.Tensor]:
    """Random pictures seen by cameras on an arc, 650 units from what they look at."""
    generator = torch.Generator().manual_seed(0)
    intrinsics = torch.tensor([[1.2 * width, 0.0, width / 2], [0.0, 1.2 * width, height / 2], [0.0, 0.0, 1.0]])
    coarse = torch.rand(VIEWS, 3, height // 8, width // 8, generator=generator)
    pictures = functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
    return {
        "src_inps": pictures[None] * 2 - 1,
        "src_exts": torch.stack([arc_camera(angle) for angle in (-0.15, 0.15, 0.3)])[None],
        "src_ixts": intrinsics.repeat(1, VIEWS, 1, 1),
        "tar_ext": arc_camera(0.0)[None],
        "tar_ixt": intrinsics[None],
        "near_far": torch.tensor([[425.0, 905.0]]),
    }


def arc_camera(angle: float) -> torch.Tensor:
    """World to camera of a camera that looks at the origin from the given angle."""
    world_to_cam = torch.eye(4)
    world_to_cam[0, 0] = world_to_cam[2, 2] = math.cos(angle)
    world_to_cam[0, 2], world_to_cam[2, 0] = -math.sin(angle), math.sin(angle)
    world_to_cam[2, 3] = 650.0
    return world_to_cam


def moved(batch: dict[str, torch.Tensor], part: float) -> dict[str, torch.Tensor]:
    """The batch with the target camera at a part of its way along the arc."""
    return batch | {"tar_ext": arc_camera(-0.15 + 0.45 * part)[None]}


def resident_megabytes() -> float:
    """Memory of this process now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
