"""Any scene with photographs as a folder of XScale-NVS; the layout is described in `common/datasets/xscale.py`."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from common.conversion.pictures import resized_intrinsics, store_picture
from common.datasets.photographs import list_photographs
from common.datasets.scene import Scene, View
from common.io.mvsnet_camera import MvsnetCamera, write_mvsnet_camera


def write_xscale_scene(
    folder: str | Path, scene: Scene, downscale: int = 1, *, key: str = "", num_workers: int = 4
) -> tuple[str, ...]:
    """Write `images_<d>` and `cams_<d>`: pinhole pictures reduced by d, and their cameras in the world of the scene.

    Lenses are undone, sizes are int(W / d) x int(H / d), and intrinsics follow the sizes exactly, which is not 1/d
    where d does not divide W. The mesh is the user's: it must be in the same world.

    Args:
        folder: Of the scene; made where it is missing.
        scene: Views without a picture are left out.
        downscale: d.
        key: In front of every name, so that several captures can share a folder.
        num_workers: Threads; each holds one picture.

    Returns:
        The names of the views, without extension.

    Raises:
        ValueError: No view has a picture, two names become one, d is larger than a picture, or the folder holds other
            pictures, which would count as views.
    """
    folder, scene = Path(folder), scene.with_pixel_origin("corner")
    images, cameras = folder / f"images_{downscale}", folder / f"cams_{downscale}"
    views = {}
    for view in scene.views:
        if view.image is not None:
            name = plain_name(key + view.name)
            if name in views:
                raise ValueError(f"views '{views[name].name}' and '{view.name}' would both be called '{name}'; rename")
            views[name] = view
    if not views:
        raise ValueError(f"scene '{scene.name}' has no view with a picture, so there is nothing to write to {folder}")
    _check_sizes(views, downscale)
    _refuse_strangers(images, views, key)

    def write(name: str) -> None:
        view = views[name]
        size = (view.image.size[0] // downscale, view.image.size[1] // downscale)
        store_picture(images / f"{name}.JPG", view, "corner", size)
        intrinsics = resized_intrinsics(view.intrinsics, view.image.size, size)
        write_mvsnet_camera(cameras / f"{name}_cam.txt", MvsnetCamera(intrinsics, view.world_to_cam, ()))

    pool = ThreadPoolExecutor(num_workers)
    try:
        list(tqdm(pool.map(write, views), f"Writing {images.name}", total=len(views), unit="picture"))
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C, do not go on with the rest
    return tuple(views)


def plain_name(name: str) -> str:
    """A name without folders and dots: the paper's loader ends names at the first dot."""
    return re.sub(r"[./\\]+", "_", name)


def _check_sizes(views: dict[str, View], downscale: int) -> None:
    smallest = min(min(view.image.size) for view in views.values())
    if not 1 <= downscale <= smallest:
        raise ValueError(f"pictures of {smallest} pixels cannot be reduced by {downscale}; give a number from 1")


def _refuse_strangers(images: Path, views: dict[str, View], key: str) -> None:
    """Pictures of another conversion with the same prefix would silently become views."""
    strangers = [path.name for path in list_photographs(images) if path.stem.startswith(key) and path.stem not in views]
    if strangers:
        raise ValueError(
            f"{images} already holds {len(strangers)} other pictures ({strangers[0]}, ...), which would count as views;"
            " remove the folder or write to another"
        )
