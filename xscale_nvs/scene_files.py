"""The scene folder that the settings name: photographs, their cameras, lighting conditions (XScale-NVS, Sec. 3.1-3.3).

    imgNamePattern                  photographs; a view's id is its position in their sorted list
    poseFolder/NAME_cam.txt         cameras, made for the photographs' size; NAME ends at the first dot
    litsFolder/lit.npz              lighting condition of each NAME, where num_lit > 1

The paper's camera has square pixels of focal length f_y and its principal point in the middle of the photograph;
`full_intrinsics` honours the files' f_x, c_x, c_y instead. Both come out as pinholes of `common.cameras`, with the
centre of the top-left pixel at (0, 0); the files count from the picture's corner.
"""

import glob
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from common.cameras import Camera
from common.datasets.mvsnet_views import read_view
from common.datasets.photographs import list_photographs
from common.datasets.scene import View
from xscale_nvs.parameters import Params, require_folders

PLACEHOLDER_MESH = "YourMeshName.MeshEXT"
FALLBACK_MESH = "1.obj"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SceneFiles:
    """What lies in a scene folder; nothing is loaded yet.

    Attributes:
        photographs: Sorted by full path; the position is the view id.
        names: Of the photographs, cut at the first dot; all different.
        pose_folder: Holds the camera files.
        mesh: The mesh file.
        full_intrinsics: Cameras keep f_x and the principal point of their files.
        near_far: Depths between which surface counts.
    """

    photographs: tuple[Path, ...]
    names: tuple[str, ...]
    pose_folder: Path
    mesh: Path
    full_intrinsics: bool
    near_far: tuple[float, float]

    def check_views(self, view_ids: Iterable[int], setting: str) -> None:
        """Refuse view ids that are not there, or have no camera file; `setting` names the list, for messages.

        Raises:
            ValueError: No such photograph, or nothing in the list.
            FileNotFoundError: No such camera file.
        """
        view_ids, count, folder = list(view_ids), len(self.photographs), self.photographs[0].parent
        if not view_ids:
            raise ValueError(f"setting '{setting}' names no view; {folder} has views 0 to {count - 1}")
        if max(view_ids) >= count:
            raise ValueError(
                f"setting '{setting}' names view {max(view_ids)} but {folder} has {count} photographs, views 0 to"
                f" {count - 1}; set all_view_list to 0:{count} and the lists that follow from it"
            )
        missing = [view for view in view_ids if not self.camera_file(view).is_file()]
        if missing:
            raise FileNotFoundError(
                f"no camera file {self.camera_file(missing[0])} for the photograph {self.photographs[missing[0]]};"
                f" {len(missing)} of {len(view_ids)} views of '{setting}' have none, make them from the same export"
            )

    def camera_file(self, view_id: int) -> Path:
        """Where a view's camera is stored."""
        return self.pose_folder / f"{self.names[view_id]}_cam.txt"

    def view(self, view_id: int) -> View:
        """A view as its files have it, checked.

        Raises:
            FileNotFoundError, ValueError: A file is absent or broken, or the camera is not made for this photograph.
        """
        view = read_view(self.camera_file(view_id), self.photographs[view_id], name=self.names[view_id])
        _check_size(view, self.camera_file(view_id))
        return view

    def camera(self, view_id: int) -> Camera:
        """The camera that rasterises a view, in float64; raises as `view`."""
        view = self.view(view_id)
        width, height = view.image.size
        intrinsics = torch.from_numpy(view.intrinsics.copy())
        if not self.full_intrinsics:
            focal = float(view.intrinsics[1, 1])
            intrinsics = intrinsics.new_tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        intrinsics[:2, 2] -= 0.5
        return Camera(intrinsics, torch.from_numpy(view.world_to_cam.copy()), height, width, self.near_far)


def open_scene(params: Params) -> SceneFiles:
    """The scene of the settings.

    Raises:
        FileNotFoundError: No photograph or no mesh.
        ValueError: A folder still has its placeholder, two photographs share a name, or extensions are mixed.
    """
    require_folders(params, "datasetFolder")
    photographs = _find_photographs(params.imgNamePattern)
    names = tuple(path.name.split(".")[0] for path in photographs)
    for name in names:
        if names.count(name) > 1:
            same = [path.name for path, other in zip(photographs, names, strict=True) if other == name]
            raise ValueError(f"{' and '.join(same)} are both called '{name}' up to the first dot; rename one of them")
    near_far = float(params.z_near), float(params.z_far)
    return SceneFiles(
        photographs, names, Path(params.poseFolder), _find_mesh(params), bool(params.full_intrinsics), near_far
    )


def read_lights(params: Params, names: Iterable[str]) -> list[int]:
    """Lighting condition of each name: 0 where there is one condition, else from `litsFolder/lit.npz`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file lacks a name, or an entry is not one of the conditions 0 to num_lit - 1.
    """
    names = list(names)
    if params.num_lit == 1:
        return [0] * len(names)
    path = Path(params.litsFolder) / "lit.npz"
    if not path.is_file():
        raise FileNotFoundError(f"no {path}, which names the lighting of every photograph because num_lit is not 1")
    try:
        with np.load(path, allow_pickle=False) as stored:
            lights = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise ValueError(f"{path} is not a file of integers by name: {error}; write it with numpy.savez") from None
    for name in names:
        value = lights.get(name)
        if value is None:
            raise ValueError(f"{path} has no entry '{name}'; it needs one for every photograph that is trained on")
        if value.ndim or value.dtype.kind not in "iu" or not 0 <= value < params.num_lit:
            raise ValueError(
                f"entry '{name}' of {path} must be one integer from 0 to {params.num_lit - 1}, got {value}"
            )
    return [int(lights[name]) for name in names]


def _find_photographs(pattern: str) -> tuple[Path, ...]:
    found = [Path(path) for path in sorted(glob.glob(pattern)) if Path(path).is_file()]
    if found:
        return tuple(found)
    folder = Path(pattern).parent
    others = sorted(list_photographs(folder), key=str)
    if not others:
        raise FileNotFoundError(f"no photograph like {pattern}; check datasetFolder, modelName and dsp_factor")
    suffixes = sorted({path.suffix for path in others})
    if len(suffixes) > 1:
        raise ValueError(f"{folder} mixes {' and '.join(suffixes)} files; set imgNamePattern to the ones to use")
    logger.warning("no photograph like %s: taking the %d %s files there", pattern, len(others), suffixes[0])
    return tuple(others)


def _find_mesh(params: Params) -> Path:
    path = Path(params.atlas_load_path)
    if path.is_file():
        return path
    fallback = Path(params.datasetFolder) / params.modelName / FALLBACK_MESH
    if params.meshName == PLACEHOLDER_MESH and fallback.is_file():
        logger.info("meshName is not set: taking %s", fallback)
        return fallback
    raise FileNotFoundError(f"no mesh {path}; set meshName to a mesh in the scene folder")


def _check_size(view: View, camera_file: Path) -> None:
    """Refuse a camera that was made for a copy of the photograph in another size."""
    ratios = 2 * view.intrinsics[:2, 2] / np.array(view.image.size)
    if (ratios.max() < 0.6 or ratios.min() > 1.6) and ratios.min() > 0 and ratios.max() < 1.2 * ratios.min():
        raise ValueError(
            f"{camera_file} is made for a picture {ratios.mean():.2g} times the size of {view.image.path}"
            f" ({view.image.size[0]} x {view.image.size[1]}); take cameras and photographs of the same dsp_factor"
        )
