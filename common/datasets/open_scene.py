"""Opening a scene in whatever layout it comes: every reader by name, and recognising layouts by their files."""

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common.datasets.blendedmvs import read_blendedmvs
from common.datasets.colmap import has_colmap_model, read_colmap
from common.datasets.depth_range_estimation import with_estimated_bounds
from common.datasets.dtu import Packaging, read_dtu
from common.datasets.dtu_neuray import read_dtu_neuray_test, read_dtu_neuray_train
from common.datasets.dtu_original import read_dtu_original
from common.datasets.dtu_test import read_dtu_test
from common.datasets.google_scanned_objects import read_google_scanned_objects
from common.datasets.llff import read_llff
from common.datasets.llff_colmap import read_llff_colmap
from common.datasets.metashape import read_metashape
from common.datasets.mvsnet_folder import read_mvsnet_folder
from common.datasets.nerf_synthetic import read_nerf_synthetic
from common.datasets.neus import read_neus
from common.datasets.real_estate import find_real_estate_clips, read_real_estate
from common.datasets.real_iconic import read_real_iconic
from common.datasets.scene import Scene
from common.datasets.spaces import read_spaces
from common.datasets.transforms import read_transforms
from common.datasets.xscale import read_xscale


@dataclass(frozen=True)
class Layout:
    """How to read a layout and how to know it.

    Attributes:
        read: From a folder and options to a scene.
        fits: Whether a folder's content has this layout.
        before: Layouts that fit the same folders by accident or as a by-product, and give way to this one.
    """

    read: Callable[..., Scene]
    fits: Callable[[Path], bool]
    before: tuple[str, ...] = ()


def open_scene(
    path: str | Path,
    layout: str | None = None,
    *,
    near_far: tuple[float, float] | Literal["estimate"] | None = None,
    **options: object,
) -> Scene:
    """The scene in a folder (or in the json or xml that describes it).

    Args:
        path: Of the scene; of the whole data set for layouts whose scenes share folders (DTU, RealEstate10K), with the
            scene as an option.
        layout: A name of `LAYOUTS`; None recognises it.
        near_far: Depth bounds for all views in place of the layout's own; "estimate" finds them from the pictures for
            the views that have none.
        options: Arguments of the layout's reader, such as `downscale` for "llff" and `scan` for "dtu".

    Raises:
        FileNotFoundError: No such path, or the scene is incomplete.
        ValueError: The layout is not recognised, more than one fits, or an option is not the reader's.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"no file or folder {path}")
    name = layout or recognize_layout(path)
    if name not in LAYOUTS:
        raise ValueError(f"unknown layout '{name}'; known are {', '.join(LAYOUTS)}")
    read = LAYOUTS[name].read
    allowed = list(inspect.signature(read).parameters)[1:]
    unknown = [option for option in options if option not in allowed]
    if unknown:
        raise ValueError(f"layout '{name}' has no option '{unknown[0]}'; it has {', '.join(allowed) or 'none'}")
    scene = read(path, **options)
    if near_far == "estimate":
        return with_estimated_bounds(scene) if any(view.near_far is None for view in scene.views) else scene
    if near_far is None:
        return scene
    return dataclasses.replace(scene, views=tuple(dataclasses.replace(view, near_far=near_far) for view in scene.views))


def recognize_layout(path: str | Path) -> str:
    """Name of the one layout that fits the content of a folder.

    Raises:
        ValueError: None fits, or more than one; the sentence says what to do.
    """
    path = Path(path)
    if path.is_file():
        names = {".xml": "metashape", ".json": "spaces" if path.name == "models.json" else "transforms"}
        if path.suffix.lower() not in names:
            raise ValueError(f"{path} is a file of no known scene description; give the folder of the scene")
        return names[path.suffix.lower()]
    fitting = _fitting(path)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ValueError(f"{path} has the files of {' and '.join(fitting)}; say which one with layout=")
    below = [(child, _fitting(child)) for child in sorted(path.iterdir()) if child.is_dir()]
    scenes = [child.name for child, found in below if found]
    if scenes:
        raise ValueError(f"{path} is not a scene but holds {len(scenes)} of them, '{scenes[0]}' say; give one of these")
    raise ValueError(f"{path} has none of the layouts {', '.join(LAYOUTS)}; name one with layout= or check the path")


def _fitting(folder: Path) -> list[str]:
    found = [name for name, layout in LAYOUTS.items() if layout.fits(folder)]
    hidden = {name for winner in found for name in LAYOUTS[winner].before}
    return [name for name in found if name not in hidden]


def _read_dtu(folder: Path, scan: str | None = None, packaging: Packaging | None = None, *, light: int = 3) -> Scene:
    """DTU's training folders; the scan and the packaging may be left out where there is only one."""
    packaging = packaging or ("train" if (folder / "Rectified").is_dir() else "raw")
    pictures = folder / ("Rectified" if packaging == "train" else "Rectified_raw")
    return read_dtu(folder, scan or _only_scan(pictures).removesuffix("_train"), packaging, light=light)


def _read_dtu_original(folder: Path, scan: str | None = None, *, light: int = 3) -> Scene:
    return read_dtu_original(folder, scan or _only_scan(folder / "Rectified"), light=light)


def _only_scan(folder: Path) -> str:
    scans = sorted(path.name for path in folder.glob("scan*") if path.is_dir())
    if len(scans) != 1:
        raise ValueError(f"{folder} has {len(scans)} scans; say which one with scan='scan24', for example")
    return scans[0]


def _read_dtu_test(folder: Path, scan: str | None = None) -> Scene:
    """`DTU_TEST` with a scan, or the scan's own folder."""
    if scan is None and (folder / "image").is_dir():
        return read_dtu_test(folder.resolve().parent, folder.resolve().name)
    return read_dtu_test(folder, scan or _only_scan(folder))


def _read_llff(folder: Path, downscale: int | None = None) -> Scene:
    """LLFF at the size the field works with, or what there is."""
    present = [factor for factor in (4, 8, 2) if (folder / f"images_{factor}").is_dir()]
    return read_llff(folder, downscale or (present or [1])[0])


def _read_nerf_synthetic(folder: Path, background: float = 1.0) -> Scene:
    """The splits that are there."""
    splits = [split for split in ("train", "val", "test") if (folder / f"transforms_{split}.json").is_file()]
    return read_nerf_synthetic(folder, splits, background=background)


def _read_xscale(folder: Path, downscale: int | None = None) -> Scene:
    """The largest pictures that have cameras."""
    return read_xscale(folder, downscale or min(_xscale_factors(folder), default=1))


def _xscale_factors(folder: Path) -> list[int]:
    factors = [path.name.removeprefix("cams_") for path in folder.glob("cams_*")]
    return [int(factor) for factor in factors if factor.isdecimal() and (folder / f"images_{factor}").is_dir()]


def _has(*names: str) -> Callable[[Path], bool]:
    return lambda folder: all((folder / name).exists() for name in names)


def _fits_dtu(folder: Path) -> bool:
    return (folder / "Cameras").is_dir() and any((folder / name).is_dir() for name in ("Rectified", "Rectified_raw"))


def _fits_neus(folder: Path) -> bool:
    npz = any((folder / f"cameras{suffix}.npz").is_file() for suffix in ("_sphere", "_large", ""))
    return npz and any((folder / name).is_dir() for name in ("image", "images"))


def _fits_dtu_test(folder: Path) -> bool:
    cameras = folder.resolve().parent / "cameras" if (folder / "image").is_dir() else folder / "cameras"
    return (cameras / "00000000_cam.txt").is_file() and bool(list(cameras.parent.glob("scan*/image")))


def _fits_mvsnet_folder(folder: Path) -> bool:
    return (folder / "images").is_dir() and any(_has(f"{name}/00000000_cam.txt")(folder) for name in ("cams", "cams_1"))


def _fits_real_estate(folder: Path) -> bool:
    clip = folder.resolve()
    if clip.parent.name == "frames":
        return (clip.parent.parent / "cameras" / f"{clip.name}.txt").is_file()
    return bool(find_real_estate_clips(folder)) and any(_has(name)(folder) for name in ("cameras", "train/cameras"))


def _in(parent: str, fits: Callable[[Path], bool]) -> Callable[[Path], bool]:
    """For packagings of another layout, told apart only by the name of the data set's folder."""
    return lambda folder: folder.resolve().parent.name == parent and fits(folder)


LAYOUTS: dict[str, Layout] = {
    "dtu": Layout(_read_dtu, _fits_dtu, before=("dtu_original",)),
    "dtu_original": Layout(_read_dtu_original, _has("Calibration", "Rectified")),
    "dtu_test": Layout(_read_dtu_test, _fits_dtu_test, before=("neus",)),
    "dtu_neuray_train": Layout(read_dtu_neuray_train, _in("dtu_train", _fits_neus), before=("neus",)),
    "dtu_neuray_test": Layout(read_dtu_neuray_test, _in("dtu_test", _fits_neus), before=("neus",)),
    # A case of NeuS may keep the COLMAP run that it was made from, in another world.
    "neus": Layout(read_neus, _fits_neus, before=("llff", "colmap")),
    "blendedmvs": Layout(read_blendedmvs, _has("blended_images", "cams")),
    "mvsnet_folder": Layout(read_mvsnet_folder, _fits_mvsnet_folder, before=("colmap",)),
    "xscale": Layout(_read_xscale, lambda folder: bool(_xscale_factors(folder)), before=("colmap", "metashape")),
    "llff": Layout(_read_llff, _has("poses_bounds.npy"), before=("colmap",)),
    "real_iconic": Layout(
        read_real_iconic, _in("real_iconic_noface", _has("poses_bounds.npy")), before=("llff", "colmap")
    ),
    "llff_colmap": Layout(read_llff_colmap, _has("sparse/images.bin", "depth_range.npy"), before=("colmap",)),
    "nerf_synthetic": Layout(_read_nerf_synthetic, _has("transforms_train.json")),
    "transforms": Layout(read_transforms, _has("transforms.json")),
    "google_scanned_objects": Layout(read_google_scanned_objects, _has("rgb", "pose", "intrinsics")),
    "real_estate": Layout(read_real_estate, _fits_real_estate),
    "spaces": Layout(read_spaces, _has("models.json")),
    "metashape": Layout(read_metashape, lambda folder: _has("cameras.xml")(folder) or _has("cams.xml")(folder)),
    "colmap": Layout(read_colmap, has_colmap_model),
}
