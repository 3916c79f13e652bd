"""Time and memory of caching one photograph's rays, against raw Embree plus a raw write of the same bytes.

    python benchmarks/xscale_ray_caching.py
    python benchmarks/xscale_ray_caching.py --megapixels 1 4 16 64 --triangles 10000000

Raw means, in one thread: Embree's answer to half a million ready-made rays, then a write of as many bytes as their part
of the cache takes, and so on, with fsync at the end. Ours is everything that `cache_view` does in one thread: rays,
Embree, positions on the triangles, checksums, files, decoding the photograph, and the debug picture. Both run in turn,
each in a new process that has just freed memory, because writes are up to four times cheaper then; the median of each
counts. Then the peak memory of a process that caches one photograph, for each size, with the same mesh, and of one that
slices its rays; a decoded photograph takes 4 bytes per pixel of it.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from common.cameras import Camera
from common.entry_point import run_command
from common.measuring import peak_memory, run_isolated
from common.ops.rasterize import MeshRasterizer
from common.ops.rasterize.embree import RayCaster
from xscale_nvs.ray_cache import cached_folder, read_record
from xscale_nvs.ray_slicing import slice_view
from xscale_nvs.scene_mesh import SceneMesh
from xscale_nvs.view_caching import ViewTask, cache_view

MEGAPIXELS = (1, 4, 16, 64)
RAYS_AT_ONCE = 1 << 19
STRIP = 512


def main(arguments: Sequence[str] | None = None) -> None:
    """Print seconds per megapixel, then megabytes per size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=int, nargs="+", default=MEGAPIXELS, help="sizes for memory; 0 skips it")
    parser.add_argument("--timed", type=int, default=4, help="megapixels of the photograph that is timed")
    parser.add_argument("--triangles", type=int, default=2_000_000, help="of the mesh that is timed")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{options.triangles} triangles, {options.timed} megapixels, load average {os.getloadavg()[0]:.1f}")
        print_times(folder, options.timed, options.triangles, options.repeats)
        print(f"{'megapixels':>24} {'caching':>8} {'slicing':>8}   peak megabytes of the process")
        for size in filter(None, options.megapixels):
            run_isolated(write_photograph, folder, size)
            _, caching = run_isolated(cache_once, folder, size)
            _, slicing = run_isolated(slice_once, folder)
            print(f"{size:>24} {caching / 1e6:>8.0f} {slicing / 1e6:>8.0f}")


def print_times(folder: Path, megapixels: int, triangles: int, repeats: int) -> None:
    """Median seconds and CPU seconds of each piece of work."""
    runs: dict[str, list[np.ndarray]] = {}
    for turn in range(repeats):
        place = folder / str(turn)
        place.mkdir()
        run_isolated(write_photograph, place, megapixels)
        (caching, slicing, size), _ = run_isolated(cache_timed, place, megapixels, triangles)
        (shooting, writing), _ = run_isolated(shoot_and_write, place, megapixels, triangles, size)
        rows = {"raw Embree": shooting, "raw write": writing, "cache_view": caching, "slice_view": slicing}
        for name, row in rows.items():
            runs.setdefault(name, []).append(row)
    medians = {name: np.median(rows, axis=0) for name, rows in runs.items()}
    print(f"{'':>24} {'seconds':>8} {'CPU s':>8}")
    for name, (seconds, cpu) in medians.items():
        print(f"{name:>24} {seconds:>8.2f} {cpu:>8.2f}")
    ratio = medians["cache_view"] / (medians["raw Embree"] + medians["raw write"])
    print(f"{'cache_view / raw':>24} {ratio[0]:>8.2f} {ratio[1]:>8.2f}")


def relief(triangles: int) -> SceneMesh:
    """A wavy square facing the camera; faces in the order of an octree, as surface reconstruction leaves them."""
    side = max(2, round((triangles / 2) ** 0.5) + 1)
    generator = np.random.default_rng(0)
    y, x = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    z = 2.5 + 0.05 * np.sin(20 * x) * np.cos(17 * y) + generator.normal(0, 0.1 / side, x.shape)
    vertices = torch.from_numpy(np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32))
    corner = np.arange(side * side, dtype=np.int32).reshape(side, side)
    a, b, c, d = (corner[i : side - 1 + i, j : side - 1 + j].ravel() for i in (0, 1) for j in (0, 1))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
    normals = torch.zeros_like(vertices)
    normals[:, 2] = -1
    row, column = np.divmod(faces[:, 0].astype(np.int64), side)
    order = sum(((column >> bit & 1) << 2 * bit) | ((row >> bit & 1) << 2 * bit + 1) for bit in range(16))
    return SceneMesh(vertices, torch.from_numpy(faces[np.argsort(order, kind="stable")]), normals)


def task(folder: Path, megapixels: int) -> ViewTask:
    """A view that the relief fills."""
    width, height = _size(megapixels)
    intrinsics = torch.tensor([[1.3 * width, 0, width / 2], [0, 1.3 * width, height / 2], [0, 0, 1]]).double()
    camera = Camera(intrinsics, torch.eye(4).double(), height, width, (0.001, 1000.0))
    return ViewTask(0, folder / "photograph.jpg", camera, (0, 0), folder / "normal.jpg")


def write_photograph(report: Callable, folder: Path, megapixels: int) -> None:
    """A JPEG with smooth colours and some noise."""
    width, height = _size(megapixels)
    noise = np.random.default_rng(0).integers(0, 40, (STRIP, width, 3), dtype=np.uint8)
    image = Image.new("RGB", (width, height))
    for top in range(0, height, STRIP):
        image.paste(Image.fromarray(noise + np.uint8(top * 200 // height)), (0, top))
    image.save(folder / "photograph.jpg", quality=90)


def cache_timed(report: Callable, folder: Path, megapixels: int, triangles: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Seconds and CPU seconds of caching a photograph, of slicing its rays, and the bytes of the cache."""
    torch.set_num_threads(1)
    mesh, view = relief(triangles), task(folder, megapixels)
    rasterizer = MeshRasterizer(mesh.vertices, mesh.faces)
    small = relief(2)
    cache_view(view, MeshRasterizer(small.vertices, small.faces), small, 1, cached_folder(folder, 0), "")  # compiles
    target = cached_folder(folder, 1)
    _touch_memory()
    caching = _clocked(cache_view, view, rasterizer, mesh, 1, target, "")
    _touch_memory()
    slicing = _clocked(slice_view, target, folder / "sliced", 4, "", 0, 0)
    return caching, slicing, sum(path.stat().st_size for path in target.iterdir())


def shoot_and_write(report: Callable, folder: Path, megapixels: int, triangles: int, size: int) -> list[np.ndarray]:
    """Seconds and CPU seconds of finding every pixel's hit, and of writing `size` bytes; preparing both is free."""
    torch.set_num_threads(1)
    mesh, camera = relief(triangles), task(folder, megapixels).camera
    caster = RayCaster(mesh.vertices.numpy(), mesh.faces.numpy(), watertight=True)
    rays, pixels = RAYS_AT_ONCE // camera.width * camera.width, camera.height * camera.width
    origins, directions = np.zeros((rays, 3), np.float32), np.ones((rays, 3), np.float32)
    data = np.random.default_rng(0).integers(0, 256, size * rays // pixels + 1, np.uint8)
    x = ((np.arange(camera.width) - camera.width / 2) / (1.3 * camera.width)).astype(np.float32)
    shooting, writing = np.zeros(2), np.zeros(2)
    _touch_memory()
    with (folder / "raw").open("wb") as file:
        for first in range(0, pixels, rays):
            count = min(rays, pixels - first)
            rows = first // camera.width + np.arange(count // camera.width)
            directions[:count, 0] = np.tile(x, len(rows))
            directions[:count, 1] = np.repeat((rows - camera.height / 2) / (1.3 * camera.width), camera.width)
            shooting += _clocked(caster.first_hits, origins[:count], directions[:count])
            writing += _clocked(file.write, data[: size * count // pixels])
        writing += _clocked(lambda: (file.flush(), os.fsync(file.fileno())))
    return [shooting, writing]


def cache_once(report: Callable, folder: Path, megapixels: int) -> int:
    """Cache a photograph in a process of its own."""
    mesh, view = relief(20_000), task(folder, megapixels)
    cache_view(view, MeshRasterizer(mesh.vertices, mesh.faces), mesh, 1, cached_folder(folder, 0), "")
    return peak_memory()


def slice_once(report: Callable, folder: Path) -> int:
    """Slice it, likewise."""
    source = cached_folder(folder, 0)
    slice_view(source, folder / "sliced", 4, "", 0, 0)
    return read_record(source)["rays"]


def _size(megapixels: int) -> tuple[int, int]:
    width = 64 * round((megapixels * 2**20 * 4 / 3) ** 0.5 / 64)
    return width, width * 3 // 4


def _touch_memory() -> None:
    """Use and free memory: a virtual machine takes a second to fetch what a file is then buffered in, or it has it."""
    np.ones(1 << 29, np.uint8)


def _clocked(work: Callable, *arguments: Any) -> np.ndarray:
    cpu, began = time.process_time(), time.perf_counter()
    work(*arguments)
    return np.array([time.perf_counter() - began, time.process_time() - cpu])


if __name__ == "__main__":
    run_command(main)
