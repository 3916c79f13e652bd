"""Free viewpoint: which cameras a film of a trained scene has, and what decides its pictures besides them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from common.camera_paths import (
    PATH_NAMES,
    CameraPath,
    in_another_world,
    named_path,
    pinhole,
    read_any_path,
    with_size,
)
from common.cameras import Camera, project
from common.conversion.nerfstudio_scene import WORLDS_FILE, read_trained_to_scene
from common.io.data_files import read_json
from common.io.nerfstudio_path import is_nerfstudio_path
from common.path_rendering import file_digest
from xscale_nvs.model_checkpoints import BEST
from xscale_nvs.parameters import Params
from xscale_nvs.scene_files import SceneFiles
from xscale_nvs.scene_mesh import load_mesh

NUM_STOPS = 8
SHOWN_DEPTHS = (0.02, 0.98)
# Settings that change a picture of given cameras; others may differ between two runs of one film.
_SHAPING_KEYS = (
    "ss_ratio", "use_lit_emb", "use_exp_emb", "hash_base_resol", "hash_n_levels", "hash_per_level_scale", "z_length_s",
    "log2_hashmap_size", "descriptor_dim", "z_length_l", "z_length_x", "z_near", "z_far", "trajectory_lit_id",
    "trajectory_wb_id",
)  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """What a user asks for.

    Attributes:
        path: A name of `PATH_NAMES`, a file, or None for `navigation_path`.
        num_frames: Of a named path.
        views: Photographs that a named path is made from; None for some of all.
        size: (width, height), None for the path's own.
        nerfstudio: File that tells where nerfstudio's camera paths lie; see `read_trained_to_scene`.
    """

    path: str | None = None
    num_frames: int = 120
    views: Sequence[int] | None = None
    size: tuple[int, int] | None = None
    nerfstudio: Path | None = None


def choose_path(wish: Wish, params: Params, scene: SceneFiles) -> CameraPath:
    """The cameras of a film, in the scene's world, with `z_near` and `z_far` as depth bounds.

    Poses alone (a .npy file, `navigation_path` itself, a JSON file of poses) are rendered with `navigation_focal` at
    `navigation_W` x `navigation_H`; named paths take lens and size of their first view.

    Raises:
        FileNotFoundError, ValueError: There is no such path, or it does not fit; see `common/camera_paths.py`.
    """
    source = wish.path or params.navigation_path
    if source in PATH_NAMES:
        cameras = _stops(wish, params, scene)
        if wish.nerfstudio is not None:
            raise ValueError(f"--nerfstudio is for camera paths of nerfstudio; the path '{source}' needs no such file")
        if source == "spiral":
            bounds = _shown_depths(cameras[0], load_mesh(scene.mesh).vertices)
            cameras = [replace(camera, near_far=bounds) for camera in cameras]
        path = named_path(source, cameras, wish.num_frames)
    else:
        path = _read(Path(source), wish, params)
    if not path.cameras:
        raise ValueError(f"the camera path {source} is empty")
    cameras = [with_size(camera, *wish.size) if wish.size else camera for camera in path.cameras]
    return replace(path, cameras=tuple(replace(camera, near_far=scene.near_far) for camera in cameras))


def find_checkpoint(params: Params) -> Path:
    """`load_checkpoint_dir`, else the newest checkpoint of the run.

    Raises:
        FileNotFoundError: There is none.
    """
    path = Path(params.load_checkpoint_dir or Path(params.checkpoint_dir) / BEST)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint {path}; train the scene (agents/adap.sh) or set load_checkpoint_dir")
    return path


def film_identity(params: Params, checkpoint: Path, mesh: Path) -> dict[str, object]:
    """What makes two films of the same cameras the same; see `common.path_rendering.render_film`."""
    settings = {key: getattr(params, key) for key in _SHAPING_KEYS}
    return {"method": "xscale_nvs", "checkpoint": file_digest(checkpoint), "mesh": file_digest(mesh), **settings}


def film_folder(wish: Wish, params: Params) -> Path:
    """Where a film goes if the user does not say."""
    name = Path(wish.path or params.navigation_path).stem
    return Path(params.root_file, "point_exp", params.modelName, params.splitName or "", "navigation", name)


def _stops(wish: Wish, params: Params, scene: SceneFiles) -> list[Camera]:
    views = wish.views
    if views is None:
        everything = params.all_view_list
        chosen = np.linspace(0, len(everything) - 1, min(NUM_STOPS, len(everything))).round().astype(int)
        views = [everything[index] for index in chosen] if wish.path == "interpolated" else everything
    scene.check_views(views, "all_view_list" if wish.views is None else "--views")
    return [scene.camera(view) for view in views]


def _read(path: Path, wish: Wish, params: Params) -> CameraPath:
    size = params.navigation_W, params.navigation_H
    found = read_any_path(path, pinhole(params.navigation_focal, size, (params.z_near, params.z_far)))
    if path.suffix.lower() != ".json" or not is_nerfstudio_path(read_json(path)):
        if wish.nerfstudio is not None:
            raise ValueError(f"--nerfstudio {wish.nerfstudio} is for camera paths of nerfstudio, and {path} is none")
        return found
    worlds = wish.nerfstudio or Path(params.datasetFolder) / params.modelName / WORLDS_FILE
    if wish.nerfstudio is None and not worlds.is_file():
        print(f"{path} is taken to be in the world of the scene; --nerfstudio says where nerfstudio trained")
        return found
    similarity = read_trained_to_scene(worlds)
    return replace(found, cameras=tuple(in_another_world(camera, similarity) for camera in found.cameras))


def _shown_depths(camera: Camera, vertices: Float[Tensor, "P 3"]) -> tuple[float, float]:
    """Depths between which nearly all vertices in the picture lie."""
    pixels, depth = project(vertices.double(), camera.intrinsics, camera.world_to_cam)
    size = pixels.new_tensor([camera.width, camera.height])
    shown = depth[(depth > 0) & ((pixels > -0.5) & (pixels < size - 0.5)).all(dim=1)]
    if not len(shown):
        raise ValueError("the first view of the spiral sees no vertex of the mesh; choose others with --views")
    near, far = np.quantile(shown.numpy(), SHOWN_DEPTHS)
    return float(near), max(float(far), 1.001 * float(near))
