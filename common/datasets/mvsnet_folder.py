"""Folders of MVSNet's testing form, as its COLMAP converter writes them; Tanks and Temples is packed like this too.

    <scene>/images/00000000.jpg
    <scene>/cams/00000000_cam.txt       Tanks and Temples: cams_1
    <scene>/pair.txt                    optional

Intrinsics are centre-origin, as MVSNet's warps take them.
"""

from pathlib import Path

from common.datasets.mvsnet_views import camera_numbers, read_pairs, read_view
from common.datasets.photographs import list_photographs
from common.datasets.scene import Scene
from common.datasets.validation import checked_scene

CAMERA_FOLDERS = ("cams", "cams_1")


def read_mvsnet_folder(folder: str | Path, *, num_intervals: float | None = None) -> Scene:
    """One scene; its views are the camera files in ascending order, named by their eight digits.

    Args:
        folder: The one that holds `images`.
        num_intervals: far = minimum + this many depth intervals; None takes the stated maximum, else 192 intervals.

    Raises:
        FileNotFoundError: There are no camera files or no pictures.
        ValueError: A file is broken.
    """
    folder = Path(folder)
    cameras = next((folder / name for name in CAMERA_FOLDERS if (folder / name).is_dir()), folder / CAMERA_FOLDERS[0])
    numbers = camera_numbers(cameras)
    names = [f"{number:08d}" for number in numbers]
    photographs = {path.stem: path for path in list_photographs(folder / "images")}
    if not photographs.keys() & set(names):
        raise FileNotFoundError(f"no picture like {folder / 'images' / f'{names[0]}.jpg'} for the cameras in {cameras}")
    views = tuple(
        read_view(
            cameras / f"{name}_cam.txt",
            photographs.get(name, folder / "images" / f"{name}.jpg"),
            num_intervals=num_intervals,
        )
        for name in names
    )
    scene = Scene(folder.name, views, pairs=read_pairs(folder / "pair.txt", numbers), notes=_notes(photographs, names))
    return checked_scene(scene, folder)


def _notes(photographs: dict[str, Path], names: list[str]) -> tuple[str, ...]:
    without_picture = sum(name not in photographs for name in names)
    without_camera = len(photographs.keys() - set(names))
    notes = []
    if without_picture:
        notes.append(f"{without_picture} of {len(names)} cameras have no picture; their views are poses only")
    if without_camera:
        notes.append(f"{without_camera} pictures have no camera and are left out")
    return tuple(notes)
