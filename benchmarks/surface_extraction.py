"""How much of a grid surface extraction evaluates, its seconds and memory: ours against the whole grid at once.

    python benchmarks/surface_extraction.py --resolution 512

The baseline evaluates every grid point in blocks and gives PyMCubes the whole array, as the release of GenS does. The
fields cost next to nothing, so that the seconds are those of everything else; for a network multiply the share by what
the dense grid costs. Both must give the same number of vertices and triangles. Every run is a process of its own.
"""

import argparse
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from common.entry_point import run_command
from common.measuring import Report, peak_memory, run_isolated
from common.meshes import extract_surface


def ball(points: Tensor) -> Tensor:
    """A ball that fills most of the cube."""
    return points.norm(dim=-1) - 0.8


def bumpy(points: Tensor) -> Tensor:
    """A ball with bumps, of slope 0.3 to 1.7, as that of a network."""
    x, y, z = points.unbind(-1)
    return points.norm(dim=-1) - 0.6 + 0.05 * torch.sin(9 * x + 1) * torch.cos(7 * y) * torch.cos(8 * z)


def parts(points: Tensor) -> Tensor:
    """A thin plate, a ball, and a speck far from both."""
    plate = torch.maximum((points[:, 2] + 0.5).abs() - 0.003, points.abs().amax(-1) - 0.8)
    speck = (points - points.new_tensor([0.7, 0.7, 0.7])).norm(dim=-1) - 0.02
    return torch.minimum(torch.minimum(plate, points.norm(dim=-1) - 0.3), speck)


FIELDS = {field.__name__: field for field in (ball, bumpy, parts)}
HEADER = ("field", "share", "seconds", "MiB", "dense seconds", "dense MiB", "times faster", "of the memory")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for every field."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=256, help="grid points a side")
    options = parser.parse_args(arguments)
    print(f"{options.resolution} points a side\n" + "".join(f"{title:>15}" for title in HEADER))
    for name in FIELDS:
        results = []
        for function in (narrow, dense):
            (seconds, queries, size, before), peak = run_isolated(function, name, options.resolution)
            results.append((seconds, (peak - before) / 2**20, queries, size))
        (seconds, memory, queries, size), (dense_seconds, dense_memory, all_points, dense_size) = results
        if size != dense_size:
            raise RuntimeError(f"{name}: {size} vertices and triangles, but the whole grid gives {dense_size}")
        numbers = (seconds, memory, dense_seconds, dense_memory, dense_seconds / seconds, memory / dense_memory)
        print(f"{name:>15}{queries / all_points:>15.2%}" + "".join(f"{number:>15.3g}" for number in numbers))


def narrow(report: Report, name: str, resolution: int) -> tuple[float, int, tuple[int, int], int]:
    """Seconds, queries, counts of the mesh, and memory before the work, by `extract_surface`."""
    queries = 0

    def field(points: Tensor) -> Tensor:
        nonlocal queries
        queries += len(points)
        return FIELDS[name](points)

    extract_surface(field, resolution=34)  # what is loaded late
    before, start, queries = peak_memory(), time.perf_counter(), 0
    mesh = extract_surface(field, resolution=resolution)
    return time.perf_counter() - start, queries, (len(mesh.vertices), len(mesh.faces)), before


def dense(report: Report, name: str, resolution: int) -> tuple[float, int, tuple[int, int], int]:
    """The same by the whole grid."""
    import mcubes

    before, start = peak_memory(), time.perf_counter()
    axis = torch.linspace(-1, 1, resolution)
    values = torch.empty((resolution,) * 3)
    for x in axis.split(64):
        for y in axis.split(64):
            grid = torch.stack(torch.meshgrid(x, y, axis, indexing="ij"), dim=-1)
            first, second = (int(torch.searchsorted(axis, part[0])) for part in (x, y))
            block = -FIELDS[name](grid.reshape(-1, 3)).reshape(grid.shape[:3])
            values[first : first + len(x), second : second + len(y)] = block
    vertices, triangles = mcubes.marching_cubes(values.numpy(), 0.0)
    return time.perf_counter() - start, values.numel(), (len(vertices), len(triangles)), before


if __name__ == "__main__":
    run_command(main)
