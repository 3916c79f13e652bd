"""The three worlds of a nerfstudio capture, and the similarities between them.

    original   the reconstruction's (COLMAP, Metashape): where its meshes and point clouds live
    file       that of the poses in transforms.json
    trained    that of the network, of the viewer, of the camera paths and meshes that it exports

`ns-process-data` turned the original into the file's world and wrote down how (A: `applied_transform`, a:
`applied_scale`). Training turns and shifts it again (T: auto-orientation and centring) and scales it (s):

    x_file    = a (A x_original)
    x_trained = s (T x_file)

dataparser_transforms.json does not hold T and s but `transform` = T A (4x4 product) and `scale` = s a. Where
transforms.json has no `applied_transform` but `colmap/sparse/0` lies beside it, nerfstudio takes the axis exchange that
its old converter made, (x, y, z) -> (y, x, -z), for A. Hence

    T = transform A^-1,  s = scale / a        file to trained: x -> s (T x)
    A^-1 and 1 / a                            file to original: x -> A^-1 (x / a)

and both inverses. Applying scale (transform x_original), as one reads, gives the same only for a = 1: the shift in T
is in units of the file and a multiplies it too. Only without an `applied_scale` is transforms.json dispensable, then
x_original = transform^-1 (x_trained / scale).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from common.io.camera_path import matrix, positive_number
from common.io.data_files import read_json
from common.io.transforms_json import read_transforms_json

World = Literal["original", "file", "trained"]
OLD_CONVERTER = np.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])


@dataclass(frozen=True)
class NerfstudioWorlds:
    """Where the worlds of one capture lie.

    Attributes:
        file_to_original: Similarity.
        file_to_trained: Similarity, or None where the dataparser's transforms are not known.
    """

    file_to_original: Float[np.ndarray, "4 4"]
    file_to_trained: Float[np.ndarray, "4 4"] | None = None

    def between(self, source: World, target: World) -> Float[np.ndarray, "4 4"]:
        """The similarity that maps points of one world to another.

        Raises:
            ValueError: Unknown world, or the trained one without the dataparser's transforms.
        """
        return self._from_file(target) @ np.linalg.inv(self._from_file(source))

    def _from_file(self, world: World) -> Float[np.ndarray, "4 4"]:
        if world not in get_args(World):
            raise ValueError(f"unknown world '{world}'; nerfstudio has {', '.join(get_args(World))}")
        if world == "trained" and self.file_to_trained is None:
            raise ValueError(
                "where nerfstudio's training world lies is in dataparser_transforms.json, in the folder of the "
                "training run; give that file"
            )
        return {"original": self.file_to_original, "file": np.eye(4), "trained": self.file_to_trained}[world]


def read_nerfstudio_worlds(
    transforms: str | Path | None = None, dataparser: str | Path | None = None
) -> NerfstudioWorlds:
    """The worlds as the two files tell.

    Args:
        transforms: transforms.json; None where the capture has no `applied_scale` and its own world is not needed (it
            is then taken for the original).
        dataparser: dataparser_transforms.json of the training run, or None.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A file is broken or holds no similarity.
    """
    applied, applied_scale = np.eye(4), 1.0
    if transforms is not None:
        applied, applied_scale = _applied(Path(transforms))
    file_to_original = np.linalg.inv(applied) @ _scaling(1 / applied_scale)
    if dataparser is None:
        return NerfstudioWorlds(file_to_original)
    content = read_json(dataparser)
    if not isinstance(content, dict) or "transform" not in content:
        raise ValueError(f"{dataparser} has no 'transform'; expected nerfstudio's dataparser_transforms.json")
    transform = np.eye(4)
    transform[:3] = matrix(content["transform"], (3, 4), f"{dataparser}: transform")
    transform = _checked(transform, f"{dataparser}: transform")
    scale = positive_number(content, "scale", str(dataparser))
    if scale is None:
        raise ValueError(f"{dataparser} has no 'scale'; expected nerfstudio's dataparser_transforms.json")
    file_to_trained = _scaling(scale / applied_scale) @ transform @ np.linalg.inv(applied)
    return NerfstudioWorlds(file_to_original, file_to_trained)


def moved_pose(
    world_to_cam: Float[np.ndarray, "4 4"], similarity: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "4 4"]:
    """The pose that sees the same picture after every world point moved by a similarity (x_new = similarity x).

    With a the similarity's scale it is world_to_cam similarity^-1, its first three rows times a, so that the rotation
    is one again; depths are multiplied by a.
    """
    moved = world_to_cam @ np.linalg.inv(similarity)
    moved[:3] *= np.cbrt(np.linalg.det(similarity[:3, :3]))
    return moved


def _applied(path: Path) -> tuple[Float[np.ndarray, "4 4"], float]:
    """A without its scale, and a."""
    path = path / "transforms.json" if path.is_dir() else path
    content, original_to_file = read_json(path), read_transforms_json(path).original_to_world
    scale = positive_number(content, "applied_scale", str(path)) or 1.0
    if content.get("applied_transform") is None and (path.parent / "colmap" / "sparse" / "0").exists():
        return OLD_CONVERTER, scale
    return _checked(_scaling(1 / scale) @ original_to_file, f"{path}: applied_transform"), scale


def _checked(similarity: np.ndarray, where: str) -> np.ndarray:
    linear = similarity[:3, :3]
    determinant = np.linalg.det(linear)
    scale = np.cbrt(determinant)
    if determinant <= 0 or not np.allclose(linear @ linear.T, scale**2 * np.eye(3), atol=1e-4 * scale**2):
        raise ValueError(f"{where} is no rotation with a scale and a shift; the file is damaged")
    return similarity


def _scaling(factor: float) -> Float[np.ndarray, "4 4"]:
    return np.diag([factor, factor, factor, 1.0])
