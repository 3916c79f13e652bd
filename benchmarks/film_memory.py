"""Peak memory of one frame of a film against the frame's own 8-bit picture, from 1 to 64 Mpixel.

    python benchmarks/film_memory.py

Each size runs in a process of its own; the renderer paints a gradient, so that what is measured is the engine
(`common/path_rendering.py`). Baseline of the same run: the same frame rendered whole instead of in bands.
"""

import argparse
import multiprocessing
import resource
import tempfile
from collections.abc import Sequence

import torch

from common.camera_paths import CameraPath, pinhole
from common.cameras import Camera
from common.datasets.scene import Scene
from common.path_rendering import FilmOptions, render_film
from common.renderer import Renderer, Rendering

SIZES = ((1280, 820), (3840, 2160), (7680, 4320), (10240, 6400))
MEGA = 1e6


class Gradient(Renderer):
    """Colours by the pixel's place."""

    def prepare(self, scene: Scene, source_ids: Sequence[int]) -> None:
        """Nothing to do."""

    def render(self, camera: Camera) -> Rendering:
        """A picture."""
        x = torch.linspace(0, 1, camera.width).expand(camera.height, -1)
        return Rendering(x[..., None].expand(-1, -1, 3).contiguous(), x + 1, torch.ones_like(x))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--supersample", type=int, default=1)
    options = parser.parse_args(arguments)
    print(f"{'frame':>12} {'picture MB':>11} {'bands MB':>9} {'whole MB':>9} {'whole / bands':>14}")
    context = multiprocessing.get_context("spawn")
    for width, height in SIZES:
        peaks = []
        for in_bands in (True, False):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=measure, args=(sender, width, height, options.supersample, in_bands))
            process.start()
            sender.close()
            peaks.append(receiver.recv())
            process.join()
        columns = f"{width * height * 3 / MEGA:>11.0f} {peaks[0]:>9.0f} {peaks[1]:>9.0f} {peaks[1] / peaks[0]:>14.1f}"
        print(f"{f'{width} x {height}':>12} {columns}")


def measure(result, width: int, height: int, supersample: int, in_bands: bool) -> None:
    """Send the memory that rendering added to the process's peak, in MB."""
    camera = pinhole(float(width), (width, height), (0.1, 10.0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    options = FilmOptions(supersample, depth=True, video=False)
    if not in_bands:
        options = FilmOptions(supersample, band_pixels=None, depth=True, video=False)
    with tempfile.TemporaryDirectory() as folder:
        render_film(Gradient(), CameraPath((camera,)), folder, {}, options)
    result.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / MEGA)


if __name__ == "__main__":
    main()
