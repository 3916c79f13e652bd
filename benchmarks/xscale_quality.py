"""XScale-NVS on a generated town, by the paper's three commands on two CPU cores, against painted meshes.

    python benchmarks/xscale_quality.py
    python benchmarks/xscale_quality.py --params my_parameter.py --output record/quality

Makes 60 photographs of 960 x 540 pixels of a town of large triangles, runs warp.sh, adap.sh and render.py as a user
would, prints the seconds of each and PSNR over held-out views against the same mesh with a colour per vertex and with a
texture of the model's memory, and saves details side by side.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

import xscale_nvs
from common.baselines.painted_mesh import PaintedMesh, uv_texture, vertex_colors
from common.cameras import Camera
from common.datasets.scene import Scene
from common.datasets.writers.orders import SceneOrder, make_scenes
from common.datasets.xscale import read_xscale
from common.demo.closeups import busiest_windows
from common.entry_point import run_command
from common.io.images import read_image, write_image
from common.metrics.images import psnr
from common.visualization import side_by_side, to_uint8

METHOD = Path(xscale_nvs.__file__).parent
COMMANDS = (
    ("caching rays", ("bash", METHOD / "graphs" / "warping" / "warp.sh")),
    ("training", ("bash", METHOD / "agents" / "adap.sh")),
    ("rendering", (sys.executable, METHOD / "agents" / "render.py")),
)
CORES, ENLARGED, EVERY = 2, 3, 7  # the paper's test views are every seventh
DEPTHS = (1e-3, 1e3)


@dataclass(frozen=True)
class Result:
    """A contestant: name, pictures of the test views, PSNR of each (dB), seconds to fit, bytes of what was fitted."""

    name: str
    pictures: list[Float[np.ndarray, "H W 3"]]
    psnr: list[float]
    seconds: float
    num_bytes: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Run everything and print the table."""
    options = _parse(arguments)
    name = f"town{options.seed}_{options.size[0]}x{options.size[1]}x{options.views}"
    make_scenes(options.data, [SceneOrder("xscale", name, options.seed, tuple(options.size), options.views, "town")])
    scene = read_xscale(options.data / name).with_pixel_origin("center")
    record = options.output / "record"
    words = ["datasetFolder", str(options.data.absolute()), "modelName", name, "dsp_factor", "1"]
    words += ["root_file", str(record.absolute()), "exp_id", name, "all_view_list", f"0:{options.views}:1"]
    words += [*options.opts, "use_cuda", "False"]
    shutil.rmtree(record, ignore_errors=True)
    seconds = _run_commands(["--params", options.params, *words])
    tests = list(range(0, options.views, EVERY))
    fitted = xscale_nvs.load(None, options.params, words)
    num_bytes = sum(value.numel() * value.element_size() for value in fitted.state_dict().values())
    baselines = [("colour per vertex", vertex_colors()), ("texture, equal memory", uv_texture(num_bytes))]
    painted = [_painted(title, renderer, scene, tests) for title, renderer in baselines]
    ours = _ours(record / "point_exp" / name / "nv", scene, tests, seconds["training"], num_bytes)
    print(report([ours, *painted], seconds))
    for number, index in enumerate(tests):
        strip = details([ours, *painted], _photograph(scene, index), number)
        write_image(options.output / "details" / f"view{index}.png", strip)
    print(f"details: {options.output / 'details'} (photograph, {', '.join(one.name for one in [ours, *painted])})")


def report(results: Sequence[Result], seconds: dict[str, float]) -> str:
    """The table, the seconds, and by how much the first result beats the others."""
    lines = [f"PSNR over {len(results[0].psnr)} held-out views, all pixels, white where the mesh is not seen"]
    for one in results:
        spread = f"{min(one.psnr):6.2f} to {max(one.psnr):5.2f}"
        memory = f"{one.num_bytes / 1e6:8.2f} MB"
        lines.append(f"{one.name:<24}{np.mean(one.psnr):7.2f} dB ({spread}){one.seconds:8.0f} s to fit{memory}")
    times = ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
    lines.append(f"{times}; together {sum(seconds.values()):.0f} s on {CORES} cores")
    first, *others = results
    margins = (f"{np.mean(first.psnr) - np.mean(one.psnr):+.2f} dB against {one.name}" for one in others)
    lines.append(f"{first.name}: {', '.join(margins)}")
    return "\n".join(lines)


def details(
    results: Sequence[Result], truth: Float[np.ndarray, "H W 3"], number: int, count: int = 3
) -> UInt8[np.ndarray, "H W 3"]:
    """Enlarged details of a test view, one below the other: photograph, then every result."""
    rows = []
    for window in busiest_windows(truth, count):
        parts = [to_uint8(truth[window]), *(to_uint8(one.pictures[number][window]) for one in results)]
        parts = [np.repeat(np.repeat(part, ENLARGED, axis=0), ENLARGED, axis=1) for part in parts]
        rows.append(side_by_side(parts, gap=6))
    return np.concatenate(rows)


def _run_commands(arguments: list[str]) -> dict[str, float]:
    """Seconds of each command on a few cores."""
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": search, "OMP_NUM_THREADS": str(CORES), "NUMBA_NUM_THREADS": str(CORES)}
    cores = sorted(os.sched_getaffinity(0))[:CORES] if hasattr(os, "sched_setaffinity") else []
    seconds, before = {}, resource.getrusage(resource.RUSAGE_CHILDREN)
    for name, command in COMMANDS:
        start = time.perf_counter()
        words = ["taskset", "-c", ",".join(map(str, cores))] if cores and shutil.which("taskset") else []
        finished = subprocess.run([*words, *map(str, command), *arguments], env=environment, check=False)
        if finished.returncode:
            raise RuntimeError(f"{name} ended with code {finished.returncode}; its message is above")
        seconds[name] = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"the three commands kept a core busy for {busy:.0f} s in all; {os.cpu_count()} cores in this machine")
    return seconds


def _painted(name: str, renderer: PaintedMesh, scene: Scene, tests: Sequence[int]) -> Result:
    start = time.perf_counter()
    renderer.prepare(scene, [index for index in range(len(scene.views)) if index not in tests])
    seconds = time.perf_counter() - start
    pictures = [renderer.render(_camera(scene, index)).rgb.numpy() for index in tests]
    scores = [_score(picture, scene, index) for picture, index in zip(pictures, tests, strict=True)]
    return Result(name, pictures, scores, seconds, renderer.stored_bytes())


def _ours(folder: Path, scene: Scene, tests: Sequence[int], seconds: float, num_bytes: int) -> Result:
    """The pictures that render.py wrote, scored as the others are."""
    pictures = [read_image(folder / f"colour_{index}.png") for index in tests]
    scores = [_score(picture, scene, index) for picture, index in zip(pictures, tests, strict=True)]
    return Result("XScale-NVS", pictures, scores, seconds, num_bytes)


def _score(picture: Float[np.ndarray, "H W 3"], scene: Scene, index: int) -> float:
    """Of the pictures as they are written, in 8 bits."""
    return psnr(to_uint8(picture) / np.float32(255.0), _photograph(scene, index))


def _photograph(scene: Scene, index: int) -> Float[np.ndarray, "H W 3"]:
    """The town stands before white, so what the mesh does not cover is white as it is."""
    return read_image(scene.views[index].image.path)


def _camera(scene: Scene, index: int) -> Camera:
    view = scene.views[index]
    width, height = view.image.size
    return Camera(torch.from_numpy(view.intrinsics), torch.from_numpy(view.world_to_cam), height, width, DEPTHS)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("datasets/xscale"), help="keeps the scene for the next run")
    parser.add_argument(
        "--output", type=Path, default=Path("record/xscale_quality"), help="its folder `record` is made anew"
    )
    parser.add_argument("--size", type=int, nargs=2, default=(960, 540), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--views", type=int, default=60, help="photographs; every seventh is held out")
    parser.add_argument("--seed", type=int, default=500, help="of the town; settings were chosen on 1 and 900")
    parser.add_argument("--params", default="configs/small_scene.py", help="parameter file of the three commands")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="settings to override")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
