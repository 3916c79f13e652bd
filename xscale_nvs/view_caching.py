"""Caching the rays of one photograph: what its pixels see, then their colours, both in bands of rows."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32
from PIL import Image
from torch import Tensor

from common.cameras import Camera, camera_center
from common.io.atomic import atomic_folder, atomic_path
from common.io.images import open_rgb
from common.io.npy_stream import NpyWriter, read_rows
from common.ops.rasterize import MeshRasterizer
from xscale_nvs.normal_overlay import lay_normals
from xscale_nvs.ray_buffers import Samples, bands, see_rows
from xscale_nvs.ray_cache import write_record
from xscale_nvs.scene_mesh import SceneMesh


@dataclass(frozen=True)
class ViewTask:
    """One view to cache.

    Attributes:
        view_id: Position in the sorted list of photographs.
        photograph: The picture.
        camera: Of the picture.
        crop: Rows and columns that are cut off every side.
        picture: The debug picture to write: the normals laid over the photograph.
    """

    view_id: int
    photograph: Path
    camera: Camera
    crop: tuple[int, int]
    picture: Path


@dataclass(frozen=True)
class _Band:
    """Rows of the photograph, and which of the view's rays lie in them."""

    rows: slice
    rays: slice


def cache_view(
    task: ViewTask, rasterizer: MeshRasterizer, mesh: SceneMesh, ss_ratio: int, folder: Path, key: str
) -> int:
    """Write the rays of one view, whole or not at all, and its debug picture; returns their number.

    Args:
        task: The view.
        rasterizer: Of the mesh.
        mesh: On the CPU.
        ss_ratio: Sub-samples per pixel and axis.
        folder: Where the rays go.
        key: Names the settings, for the record.
    """
    with atomic_folder(folder) as temporary:
        found, checksums = _write_samples(task, rasterizer, ss_ratio, temporary)
        checksums["colour"] = _write_colours(task, mesh, found, temporary)
        rays = found[-1].rays.stop
        center = camera_center(task.camera.world_to_cam).float().tolist()
        record = {"key": key, "view": task.view_id, "rays": rays, "camera_center": center, "crop": task.crop}
        size = {"photograph": task.photograph.name, "height": task.camera.height, "width": task.camera.width}
        write_record(temporary, record | size, checksums)
    return rays


def _write_samples(
    task: ViewTask, rasterizer: MeshRasterizer, ss_ratio: int, folder: Path
) -> tuple[list[_Band], dict[str, int]]:
    """Write face, barycentric and pixel; returns where each band's rays are, and checksums."""
    camera, samples = task.camera, ss_ratio**2
    found, count = [], 0
    with ExitStack() as stack:

        def writer(name: str, dtype: type, *row_shape: int) -> NpyWriter:
            return stack.enter_context(NpyWriter(folder / f"{name}.npy", dtype, row_shape))

        writers = {
            "face": writer("face", np.int32, samples),
            "barycentric": writer("barycentric", np.float32, samples, 2),
            "pixel": writer("pixel", np.int32),
        }
        for rows in _inner_bands(task, ss_ratio):
            part = _covered_part(see_rows(rasterizer, camera, ss_ratio, rows), task.crop[1])
            writers["face"].append(part[0])
            writers["barycentric"].append(part[1])
            writers["pixel"].append(part[2] + rows.start * camera.width)
            found.append(_Band(rows, slice(count, count + len(part[0]))))
            count += len(part[0])
    return found, {name: written.checksum for name, written in writers.items()}


def _inner_bands(task: ViewTask, ss_ratio: int) -> Iterator[slice]:
    top = task.crop[0]
    for rows in bands(task.camera.height - 2 * top, task.camera.width, ss_ratio):
        yield slice(rows.start + top, rows.stop + top)


def _covered_part(
    samples: Samples, crop: int
) -> tuple[Int32[np.ndarray, "R N"], Float32[np.ndarray, "R N 2"], Int32[np.ndarray, " R"]]:
    """Faces, weights and pixels (numbered within the band) of the covered pixels, in row-major order."""
    covered = samples.covered.cpu().numpy().copy()
    if crop:
        covered[:, :crop] = covered[:, -crop:] = False
    pixels = np.flatnonzero(covered).astype(np.int32)

    def take(values: Tensor) -> np.ndarray:
        flat = values.flatten(0, 1).cpu().numpy()
        return flat if len(pixels) == len(flat) else flat.take(pixels, axis=0)

    return take(samples.face), take(samples.barycentric), pixels


def _write_colours(task: ViewTask, mesh: SceneMesh, found: list[_Band], folder: Path) -> int:
    """Write colour and the debug picture; returns the checksum of the colours."""
    width, height = task.camera.width, task.camera.height
    image = open_rgb(task.photograph)
    if image.size != (width, height):
        raise ValueError(f"{task.photograph} changed while it was cached; start again")
    with NpyWriter(folder / "colour.npy", np.uint8, (3,)) as colours:
        for band in found:
            top, bottom = band.rows.start, band.rows.stop
            strip = np.asarray(image.crop((0, top, width, bottom))).reshape(-1, 3)
            pixels = read_rows(folder / "pixel.npy", band.rays) - top * width
            colours.append(strip.take(pixels, axis=0))
            seen = (read_rows(folder / f"{name}.npy", band.rays)[:, 0] for name in ("face", "barycentric"))
            blend = lay_normals(strip, pixels, *map(np.ascontiguousarray, seen), mesh)
            image.paste(Image.fromarray(blend.reshape(bottom - top, width, 3)), (0, top))
    rows, columns = task.crop
    if rows or columns:
        image = image.crop((columns, rows, width - columns, height - rows))
    with atomic_path(task.picture) as temporary:
        image.save(temporary, quality=95)
    return colours.checksum
