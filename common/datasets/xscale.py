"""Scene folders of XScale-NVS.

    <scene>/images_<d>/<NAME>.JPG           d is the down-sampling factor
    <scene>/cams_<d>/<NAME>_cam.txt         MVSNet's camera file without depth line, K already divided by d
    <scene>/1.obj                           the mesh, in the frame and unit of the cameras

View ids are positions in the sorted list of pictures. Photogrammetry's intrinsics: corner-origin. The pictures are
undistorted.
"""

from pathlib import Path

from common.datasets.mvsnet_views import read_view
from common.datasets.photographs import list_photographs
from common.datasets.scene import Scene
from common.datasets.validation import checked_scene, inside

MESH_NAME = "1.obj"


def read_xscale(folder: str | Path, downscale: int = 1) -> Scene:
    """One scene; its views have no depth bounds. Its mesh is `1.obj`, if there is one.

    Args:
        folder: The one that holds `images_<d>` and `cams_<d>`.
        downscale: d.

    Raises:
        FileNotFoundError: There is no picture, or a picture has no camera file.
        ValueError: A file is broken, or two spellings of the extension are mixed.
    """
    folder = Path(folder)
    images, cameras = folder / f"images_{downscale}", folder / f"cams_{downscale}"
    photographs = [path for path in list_photographs(images) if path.suffix.lower() in (".jpg", ".jpeg")]
    if not photographs:
        raise FileNotFoundError(f"no picture like {images / '00000.JPG'}; expected the layout of XScale-NVS")
    suffixes = sorted({path.suffix for path in photographs})
    if len(suffixes) > 1:
        # A second spelling is usually the same photographs again, as another tool left them: they would count as views.
        raise ValueError(f"{images} mixes {' and '.join(suffixes)} files; keep the pictures that the cameras name")
    missing = [path for path in photographs if not (cameras / f"{path.stem}_cam.txt").is_file()]
    if missing:
        raise FileNotFoundError(
            f"no camera file {cameras / f'{missing[0].stem}_cam.txt'}; {len(missing)} of {len(photographs)} pictures in"
            f" {images} have none"
        )
    views = tuple(read_view(cameras / f"{path.stem}_cam.txt", path) for path in photographs)
    mesh = folder / MESH_NAME
    scene = Scene(folder.name, views, pixel_origin="corner", mesh=mesh if mesh.is_file() else None)
    return checked_scene(scene, folder)


def find_mesh(folder: str | Path, name: str = MESH_NAME) -> Path:
    """The mesh of a scene.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The name leads out of the folder.
    """
    path = inside(folder, name, "the configuration")
    if not path.is_file():
        raise FileNotFoundError(f"no mesh {path}; put it there or name another file of the folder")
    return path
