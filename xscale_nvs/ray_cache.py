"""The cache of rays on disk, and how training reads it.

    {attribute_cache_path}/cache_list/mesh/          vertices, faces, normals, as trimesh processed them
    {attribute_cache_path}/cache_list/view_00012/    face [n, N], barycentric [n, N, 2], colour [n, 3], pixel [n]
    {attribute_cache_path}/cache_list/scene.json     views, lighting conditions, box, counts
    {attribute_cache_path}/batches/view_00012/       face, barycentric, colour in random order: blocks of equal size

n covered pixels of a view, N = ss_ratio^2 sub-samples. A ray is stored as the triangles it meets and where on them
(12 N + 3 bytes); positions, normals and directions (36 N bytes) are computed when it is read. Arrays are `.npy` files.
Every folder is written under another name, renamed when it is complete, and has a record of the settings it was made
with and of the sizes and checksums of its files.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int, Int32, UInt8
from torch import Tensor

from common.io.atomic import atomic_path
from common.io.data_files import read_json
from common.io.npy_stream import checksum_rows, open_rows
from xscale_nvs.parameters import Params
from xscale_nvs.scene_mesh import SceneMesh

FORMAT = 1
RECORD = "record.json"
SLICED = ("face", "barycentric", "colour")
logger = logging.getLogger(__name__)
_REMEDY = "run bash graphs/warping/warp.sh again"


@dataclass(frozen=True)
class Rays:
    """Rays to train on; N sub-samples each.

    Attributes:
        xyz: Where the sub-samples meet the mesh, world; 0 where they miss it.
        normal: Of the mesh there, unit length or 0.
        viewdr: Unit, from the camera to `xyz`.
        colour: Of the photograph, 8-bit values divided by 256.
    """

    xyz: Float32[Tensor, "R N 3"]
    normal: Float32[Tensor, "R N 3"]
    viewdr: Float32[Tensor, "R N 3"]
    colour: Float32[Tensor, "R 3"]


@dataclass(frozen=True)
class RayBlock:
    """A range of one view's stored rays; only what `gather` touches is read."""

    face: Int32[np.ndarray, "R N"]
    barycentric: Float32[np.ndarray, "R N 2"]
    colour: UInt8[np.ndarray, "R 3"]
    camera_center: Float32[Tensor, "3"]
    mesh: SceneMesh

    def __len__(self) -> int:
        return len(self.face)

    def gather(self, rows: Int[np.ndarray, " R"]) -> Rays:
        """Some rays of the block, on the device of the mesh."""
        device = self.mesh.vertices.device
        face, barycentric, colour = (
            torch.from_numpy(np.asarray(part[rows])).to(device) for part in (self.face, self.barycentric, self.colour)
        )
        points = self.mesh.points(face, barycentric, self.camera_center)
        return Rays(points.xyz, points.normal, points.viewdr, colour.float() / 256)


class RayCache:
    """The sliced rays of a scene's training views.

    Attributes:
        view_ids: In the order of `training_view_list`.
        num_blocks: Of each view.
        mesh: The surface, on the device that rays arrive on; its `center` and `scale` are the scene's box.
        lights: Lighting condition of each view id.
    """

    def __init__(
        self, folder: str | Path, view_ids: Sequence[int], num_blocks: int, device: torch.device | str = "cpu"
    ):
        """Open a cache; nothing but its records and the mesh is read.

        Args:
            folder: `attribute_cache_path`.
            view_ids: The views to train on.
            num_blocks: `ultra_cache_batch_size`.
            device: Where rays arrive.

        Raises:
            FileNotFoundError: Rays were not cached or not sliced, or not for all of these views.
            ValueError: A file is damaged, or the cache was sliced into another number of blocks.
        """
        self._folder = Path(folder)
        self.view_ids, self.num_blocks = tuple(view_ids), num_blocks
        scene = read_scene_record(self._folder)
        lights = dict(zip(scene["views"], scene["lights"], strict=True))
        missing = [view for view in view_ids if view not in lights]
        if missing:
            raise FileNotFoundError(f"no rays of view {missing[0]} are cached in {self._folder}; {_REMEDY}")
        self.lights = {view: lights[view] for view in view_ids}
        self.mesh = read_mesh_arrays(mesh_folder(self._folder)).to(device)
        self._records = {view: self._read_record(view) for view in view_ids}
        self._verified: set[tuple[int, int]] = set()

    def num_rays(self, view_id: int) -> int:
        """Rays in each block of a view; 0 where the view has fewer rays than there are blocks."""
        return self._records[view_id]["rays_per_block"]

    def load(self, view_id: int, block: int) -> RayBlock:
        """One block of a view, memory-mapped; its checksum is verified the first time.

        Raises:
            ValueError: The block is not what was written.
        """
        record, folder = self._records[view_id], sliced_folder(self._folder, view_id)
        count = record["rays_per_block"]
        rows = slice(block * count, (block + 1) * count)
        paths = [folder / f"{part}.npy" for part in SLICED]
        if (view_id, block) not in self._verified:
            for path, part in zip(paths, SLICED, strict=True):
                if checksum_rows(path, rows) != record["blocks"][part][block]:
                    raise ValueError(f"block {block} of {path} is damaged; {_REMEDY}")
            self._verified.add((view_id, block))
        face, barycentric, colour = (open_rows(path)[rows] for path in paths)
        center = torch.tensor(record["camera_center"], dtype=torch.float32, device=self.mesh.vertices.device)
        return RayBlock(face, barycentric, colour, center, self.mesh)

    def _read_record(self, view_id: int) -> dict[str, Any]:
        folder = sliced_folder(self._folder, view_id)
        if not (folder / RECORD).is_file():
            raise FileNotFoundError(f"view {view_id} is not sliced into blocks in {folder.parent}; {_REMEDY}")
        problem = find_damage(folder, deep=False)
        if problem:
            raise ValueError(f"{problem}; {_REMEDY}")
        record = read_record(folder)
        if record["num_blocks"] != self.num_blocks:
            raise ValueError(
                f"{folder} has {record['num_blocks']} blocks but ultra_cache_batch_size is {self.num_blocks}; {_REMEDY}"
            )
        return record


def open_ray_cache(params: Params, device: torch.device | str = "cpu") -> RayCache:
    """The sliced rays that the settings name; raises as `RayCache`."""
    return RayCache(params.attribute_cache_path, params.training_view_list, params.ultra_cache_batch_size, device)


def cached_folder(cache: str | Path, view_id: int) -> Path:
    """Where a view's rays are, in pixel order."""
    return Path(cache) / "cache_list" / f"view_{view_id:05d}"


def sliced_folder(cache: str | Path, view_id: int) -> Path:
    """Where a view's rays are, in blocks."""
    return Path(cache) / "batches" / f"view_{view_id:05d}"


def mesh_folder(cache: str | Path) -> Path:
    """Where the mesh is."""
    return Path(cache) / "cache_list" / "mesh"


def read_mesh_arrays(folder: Path) -> SceneMesh:
    """The mesh as it was cached.

    Raises:
        FileNotFoundError: It was not.
        ValueError: A file is damaged.
    """
    problem = find_damage(folder, deep=True)
    if problem:
        raise ValueError(f"{problem}; {_REMEDY}")
    return SceneMesh(*(torch.from_numpy(np.array(open_rows(folder / f"{part}.npy"))) for part in _MESH_PARTS))


def write_mesh_arrays(folder: Path, mesh: SceneMesh, key: str) -> None:
    """Store a mesh in a folder that exists; `key` says what it was made from."""
    for part in _MESH_PARTS:
        np.save(folder / f"{part}.npy", getattr(mesh, part).numpy())
    write_record(folder, {"key": key}, {part: checksum_rows(folder / f"{part}.npy") for part in _MESH_PARTS})


_MESH_PARTS = ("vertices", "faces", "normals")


def write_scene_record(cache: str | Path, content: Mapping[str, Any]) -> None:
    """Write `scene.json`, which says that all its views are cached."""
    with atomic_path(Path(cache) / "cache_list" / "scene.json") as temporary:
        temporary.write_text(json.dumps({"format": FORMAT, **content}, indent=1), encoding="utf8")


def read_scene_record(cache: str | Path) -> dict[str, Any]:
    """The content of `scene.json`: views, lights, center, scale, num_facet, num_verts, ss_ratio.

    Raises:
        FileNotFoundError: Rays were not cached.
        ValueError: It is damaged.
    """
    path = Path(cache) / "cache_list" / "scene.json"
    if not path.is_file():
        raise FileNotFoundError(f"no ray cache in {cache}; cache the rays first: bash graphs/warping/warp.sh")
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} was written by another version; {_REMEDY}")
    return content


def write_record(folder: Path, content: Mapping[str, Any], checksums: Mapping[str, int]) -> None:
    """Close a folder of arrays: note their sizes and checksums (by array, of `checksum_rows`) beside `content`."""
    sizes = {name: (folder / f"{name}.npy").stat().st_size for name in checksums}
    files = {f"{name}.npy": {"bytes": sizes[name], "crc32": checksum} for name, checksum in checksums.items()}
    (folder / RECORD).write_text(json.dumps({"format": FORMAT, **content, "files": files}), encoding="utf8")


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a folder.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is damaged.
    """
    content = read_json(folder / RECORD)
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("files"), dict):
        raise ValueError(f"{folder / RECORD} is not a record of this version")
    return content


def is_complete(folder: Path, **expected: Any) -> bool:
    """Whether a folder has a record with these entries and undamaged files; the log says what is damaged."""
    if not (folder / RECORD).is_file() or is_stale(folder, **expected):
        return False
    problem = find_damage(folder)
    if problem:
        logger.warning("%s; making it again", problem)
    return problem is None


def is_stale(folder: Path, **expected: Any) -> bool:
    """Whether a folder has a record, but one that disagrees with these entries."""
    try:
        record = read_record(folder)
    except (FileNotFoundError, ValueError):
        return False
    return any(record.get(name) != value for name, value in expected.items())


def find_damage(folder: Path, deep: bool = True) -> str | None:
    """What is wrong with the files of a complete folder, as a sentence; None if nothing is.

    Args:
        folder: One that has a record.
        deep: Compare checksums, not only sizes.
    """
    try:
        for name, expected in read_record(folder)["files"].items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != expected["bytes"]:
                return f"{path} is torn: it should have {expected['bytes']} bytes"
            if deep and checksum_rows(path) != expected["crc32"]:
                return f"{path} is damaged: its checksum is another"
    except ValueError as error:
        return str(error)
    return None
