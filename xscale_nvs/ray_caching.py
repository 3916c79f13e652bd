"""Caching the rays of photographs (XScale-NVS, Sec. 3.5, steps 1-5), view by view, each whole or not at all.

A view's rows are rasterised in bands and what they see is appended to its files; then the photograph is decoded and the
colours of the covered pixels are appended. Threads share the views: rasterising, decoding and writing run without
Python's lock, and all use one copy of the mesh.
"""

import hashlib
import importlib.util
import json
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from common.cameras import Camera, camera_center
from common.io.atomic import atomic_folder
from common.ops.rasterize import MeshRasterizer
from xscale_nvs.parameters import Params, require_folders
from xscale_nvs.ray_cache import (
    FORMAT,
    cached_folder,
    is_complete,
    is_stale,
    mesh_folder,
    read_mesh_arrays,
    read_record,
    write_mesh_arrays,
    write_scene_record,
)
from xscale_nvs.scene_files import SceneFiles, open_scene, read_lights
from xscale_nvs.scene_mesh import SceneMesh, load_mesh
from xscale_nvs.view_caching import ViewTask, cache_view

MOST_WORKERS = 8
LARGEST_SHIFT = 1.0  # pixels that go without saying

logger = logging.getLogger(__name__)


def cache_rays(params: Params) -> None:
    """Cache the rays of every training view; views that are cached already with these settings are verified and kept.

    Raises:
        FileNotFoundError, ValueError: A file of the scene is absent or broken, or no view sees the mesh.
        OSError: The disk is full.
    """
    require_folders(params, "root_file")
    scene = open_scene(params)
    scene.check_views(params.training_view_list, "training_view_list")
    lights = read_lights(params, (scene.names[view] for view in params.training_view_list))
    cache = Path(params.attribute_cache_path)
    _warn_of_ignored_intrinsics(scene, params.training_view_list)
    mesh = cached_mesh(scene.mesh, cache)
    tasks = [_task(params, scene, view, position) for position, view in enumerate(params.training_view_list)]
    counts = _cache_views(tasks, mesh, cache, params)
    _check_counts(counts, tasks, mesh, scene.mesh)
    write_scene_record(
        cache,
        {
            "views": list(params.training_view_list),
            "lights": lights,
            "ss_ratio": params.ss_ratio,
            "center": mesh.center.tolist(),
            "scale": mesh.scale.tolist(),
            "num_facet": len(mesh.faces),
            "num_verts": len(mesh.vertices),
        },
    )
    logger.info("%d rays of %d views in %s", sum(counts), len(tasks), cache)


def count_workers(params: Params) -> int:
    """How many views are worked on at once: `num_workers`, or one per CPU core for 0."""
    return params.num_workers or min(os.cpu_count() or 1, MOST_WORKERS)


def cached_mesh(path: Path, cache: Path) -> SceneMesh:
    """The scene's mesh: from the cache where it holds this file's, else read from the file and cached."""
    folder, state = mesh_folder(cache), path.stat()
    key = f"{path.name} {state.st_size} {state.st_mtime_ns}"
    if is_complete(folder, key=key):
        return read_mesh_arrays(folder)
    logger.info("reading %s", path)
    mesh = load_mesh(path)
    with atomic_folder(folder) as temporary:
        write_mesh_arrays(temporary, mesh, key)
    return mesh


def _task(params: Params, scene: SceneFiles, view_id: int, position: int) -> ViewTask:
    camera = scene.camera(view_id)
    name = f"nrm_{scene.names[view_id]}_{position}.jpg"
    folder = Path(params.datasetFolder, params.modelName, params.splitName or "", "normal")
    return ViewTask(view_id, scene.photographs[view_id], camera, _crop(params, camera, position), folder / name)


def _crop(params: Params, camera: Camera, position: int) -> tuple[int, int]:
    """Rows and columns cut off every side (Sec. 3.5, step 3): both rates must be positive to act."""
    rates = params.undistort_crop_rate_h, params.undistort_crop_rate_w
    if params.undistort_crop_iter is None or position < params.undistort_crop_iter or min(rates) <= 0:
        return 0, 0
    crop = int(camera.height * rates[0]), int(camera.width * rates[1])
    if 2 * crop[0] >= camera.height or 2 * crop[1] >= camera.width:
        raise ValueError(f"undistort_crop_rate_h and _w cut everything off, they are {rates}; give less than 0.5")
    return crop


def _cache_views(tasks: Sequence[ViewTask], mesh: SceneMesh, cache: Path, params: Params) -> list[int]:
    """Rays of each view, cached where they are not yet."""
    workers = min(count_workers(params), len(tasks))
    threads = max(1, (os.cpu_count() or 1) // workers)
    device = _device(params)
    rasterizer = MeshRasterizer(mesh.vertices.to(device), mesh.faces.to(device))

    keys = {task.view_id: _key(task, mesh, params.ss_ratio) for task in tasks}
    stale = sum(is_stale(cached_folder(cache, view), key=key) for view, key in keys.items())
    if stale:
        logger.info("%d of %d views were cached with other settings or files: caching them again", stale, len(tasks))

    def run(task: ViewTask) -> int:
        folder, key = cached_folder(cache, task.view_id), keys[task.view_id]
        if is_complete(folder, key=key):
            return read_record(folder)["rays"]
        return cache_view(task, rasterizer, mesh, params.ss_ratio, folder, key)

    # The number of threads that rasterise one view is a property of the thread that asks for it.
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
        futures = [pool.submit(run, task) for task in tasks]
        try:
            for future in tqdm(as_completed(futures), total=len(tasks), desc="caching rays", unit="view"):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # views in work are finished or left out, never torn
            raise
    return [future.result() for future in futures]


def _device(params: Params) -> torch.device:
    """A GPU only where its rasteriser is installed: Embree needs none."""
    has_rasterizer = importlib.util.find_spec("nvdiffrast") is not None
    return params.device if params.device.type == "cuda" and has_rasterizer else torch.device("cpu")


def _key(task: ViewTask, mesh: SceneMesh, ss_ratio: int) -> str:
    """Changes with everything that a view's rays depend on."""
    state, camera = task.photograph.stat(), task.camera
    parts = [FORMAT, mesh.fingerprint, ss_ratio, task.crop, camera.height, camera.width, camera.near_far]
    parts += [camera.intrinsics.tolist(), camera.world_to_cam.tolist()]
    parts += [task.photograph.name, state.st_size, state.st_mtime_ns]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _warn_of_ignored_intrinsics(scene: SceneFiles, view_ids: Sequence[int]) -> None:
    """Say how far the paper's camera is from the files' cameras."""
    shifts = [0.0]
    for view in map(scene.view, view_ids if not scene.full_intrinsics else ()):
        half = np.array(view.image.size) / 2
        shifts += list(np.abs(view.intrinsics[:2, 2] - half))
        shifts.append(abs(view.intrinsics[0, 0] / view.intrinsics[1, 1] - 1) * half[0])
    if max(shifts) > LARGEST_SHIFT:
        logger.warning(
            "the cameras' f_x and principal points, which the paper's camera ignores, move pixels by up to %.1f;"
            " honour them with: full_intrinsics True",
            max(shifts),
        )


def _check_counts(counts: Sequence[int], tasks: Sequence[ViewTask], mesh: SceneMesh, mesh_path: Path) -> None:
    """Say which views see nothing, and refuse a scene in which none sees anything."""
    for count, task in zip(counts, tasks, strict=True):
        if not count:
            logger.warning(
                "view %d (%s) sees nothing of the mesh, it looks away from it: training leaves it out",
                task.view_id,
                task.photograph.name,
            )
    if not any(counts):
        low, high = (mesh.center - mesh.scale / 2).tolist(), (mesh.center + mesh.scale / 2).tolist()
        box = " ".join(f"{first:.4g} to {last:.4g}," for first, last in zip(low, high, strict=True))
        place = ", ".join(f"{value:.4g}" for value in camera_center(tasks[0].camera.world_to_cam).tolist())
        raise ValueError(
            f"none of the {len(tasks)} training views sees the mesh {mesh_path}, which spans {box} with the first"
            f" camera at ({place}); export mesh and cameras in the same coordinates and check z_near and z_far"
        )
