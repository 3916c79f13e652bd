"""A nerfstudio capture as a scene of XScale-NVS, and the way of its camera paths into that scene."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float

from common.conversion.xscale_scene import write_xscale_scene
from common.datasets.nerfstudio_worlds import World, moved_pose, read_nerfstudio_worlds
from common.datasets.scene import View
from common.datasets.transforms import read_transforms
from common.io.atomic import atomic_path
from common.io.camera_path import matrix
from common.io.data_files import check_data_file, read_json

WORLDS_FILE = "nerfstudio.json"


def convert_nerfstudio_capture(
    capture: str | Path,
    mesh: str | Path,
    output: str | Path,
    *,
    mesh_world: World = "original",
    dataparser: str | Path | None = None,
    dsp_factor: int = 1,
) -> tuple[str, ...]:
    """Write pictures without lens, cameras and the mesh, all in the mesh's world, and `nerfstudio.json`.

    Args:
        capture: Folder of transforms.json, or the file.
        mesh: Copied as it is.
        output: Scene folder.
        mesh_world: Where the mesh lives.
        dataparser: dataparser_transforms.json; needed for the world "trained" and for camera paths.
        dsp_factor: Reduction of the pictures.

    Returns:
        The names of the views.

    Raises:
        FileNotFoundError: A file or every photograph is missing.
        ValueError: A file is broken, or no camera sees the mesh, which then lives in another world.
    """
    capture, mesh, output = Path(capture), Path(mesh), Path(output)
    check_data_file(mesh)
    transforms = capture / "transforms.json" if capture.is_dir() else capture
    if not transforms.is_file():
        raise FileNotFoundError(f"no {transforms}; expected a capture in nerfstudio's format")
    worlds = read_nerfstudio_worlds(transforms, dataparser)
    file_to_scene = worlds.between("file", mesh_world)
    scene = read_transforms(transforms)
    scene = dataclasses.replace(
        scene,
        views=tuple(
            dataclasses.replace(view, world_to_cam=moved_pose(view.world_to_cam, file_to_scene)) for view in scene.views
        ),
    )
    _check_mesh_is_seen(mesh, scene.views, mesh_world)
    names = write_xscale_scene(output, scene, dsp_factor)
    with atomic_path(output / mesh.name) as temporary:
        shutil.copyfile(mesh, temporary)
    trained_to_scene = None if dataparser is None else worlds.between("trained", mesh_world).tolist()
    content = {"mesh_world": mesh_world, "file_to_scene": file_to_scene.tolist(), "trained_to_scene": trained_to_scene}
    with atomic_path(output / WORLDS_FILE) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf8")
    return names


def read_trained_to_scene(path: str | Path) -> Float[np.ndarray, "4 4"]:
    """The similarity that brings a camera path of nerfstudio's viewer into a scene.

    Args:
        path: `nerfstudio.json` of a converted scene. Or dataparser_transforms.json itself, for a scene in the world of
            the reconstruction and a capture without `applied_scale`.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It is neither, or was written without the dataparser's transforms.
    """
    content = read_json(path)
    if isinstance(content, dict) and "transform" in content:
        return read_nerfstudio_worlds(dataparser=path).between("trained", "original")
    if not isinstance(content, dict) or "trained_to_scene" not in content:
        raise ValueError(f"{path} is neither {WORLDS_FILE} of a converted scene nor nerfstudio's dataparser_transforms")
    if content["trained_to_scene"] is None:
        raise ValueError(
            f"{path} does not say where nerfstudio trained; convert the capture again with --dataparser_transforms"
        )
    return matrix(content["trained_to_scene"], (4, 4), f"{path}: trained_to_scene")


def _check_mesh_is_seen(path: Path, views: tuple[View, ...], world: World) -> None:
    """A mesh in another world than stated is the commonest mistake, and training would not notice it."""
    try:
        vertices = np.asarray(trimesh.load(path, force="mesh").vertices, dtype=np.float64)
    except Exception as error:  # trimesh's readers raise whatever their format brings
        raise ValueError(f"{path} is no mesh that can be read: {(str(error).splitlines() or ['damaged'])[0]}") from None
    if not len(vertices):
        raise ValueError(f"{path} is a mesh without vertices")
    vertices = vertices[:: max(1, len(vertices) // 20000)]
    for view in views:
        seen = vertices @ view.world_to_cam[:3, :3].T + view.world_to_cam[:3, 3]
        seen = seen[seen[:, 2] > 0] @ view.intrinsics.T
        pixels = seen[:, :2] / seen[:, 2:]
        if ((pixels >= 0) & (pixels <= view.image.size)).all(axis=1).any():
            return
    raise ValueError(
        f"no camera sees the mesh {path} in the world '{world}'; say with mesh_world where it lives (original: made by "
        "the reconstruction, file: in the poses' world of transforms.json, trained: exported by nerfstudio)"
    )
