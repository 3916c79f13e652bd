"""DTU as MVSNet and CasMVSNet ship it.

    Cameras/%08d_cam.txt                                K of the 1600 x 1200 pictures; the same cameras for every scan
    Cameras/train/%08d_cam.txt                          the same poses, K of 160 x 128 pictures
    Cameras/pair.txt
    Rectified/scan<N>_train/rect_<III>_<L>_r5000.png    640 x 512
    Rectified_raw/scan<N>/rect_<III>_<L>_r5000.png      1600 x 1200
    Depths_raw/scan<N>/depth_map_<VVVV>.pfm             1600 x 1200, millimetres (also found as Depths/scan<N>)
    Depths_raw/scan<N>/depth_visual_<VVVV>.png          object mask, beside the depth maps
    Masks/scan<N>_train/mask_<VVVV>.png                 optional object mask of the 640 x 512 pictures
    pseudo_depths/scan<N>/<V>_epoch0.npy                optional

<VVVV> is the view index from 0, <III> the index + 1, <L> the light 0 to 6. Views from 49 on are named `_r7000`. World
and depth are in millimetres. The 640 x 512 pictures are the full ones, halved and cut by 80 columns left and right and
44 rows above and below; their K is that of `Cameras/train` times 4.
"""

from pathlib import Path
from typing import Literal

from common.datasets.mvsnet_views import read_pairs, read_view
from common.datasets.scene import DepthFile, MaskFile, Scene
from common.datasets.validation import checked_scene, inside
from common.io.images import read_image_size
from common.io.pfm import read_pfm_header

NUM_LIGHTS = 7
TRAIN_CAMERA_FACTOR = 4.0  # Cameras/train is made for pictures of a quarter of the size of Rectified/*_train
PSEUDO_DEPTH_SCALE = 0.0037506045743823813  # pseudo depth = millimetres * this
MASK_THRESHOLD = 10

Packaging = Literal["train", "raw"]


def read_dtu(
    folder: str | Path,
    scan: str,
    packaging: Packaging = "train",
    *,
    light: int = 3,
    num_intervals: float | None = None,
    depth: Literal["raw", "pseudo", "none"] = "raw",
) -> Scene:
    """One scan of DTU in the training folders.

    View ids are DTU's view indices. Views whose picture is missing keep their place, without a picture.

    Args:
        folder: The one that holds `Cameras`.
        scan: `scan<N>`.
        packaging: "train" for the 640 x 512 pictures, "raw" for the 1600 x 1200 ones.
        light: Which of the seven lights, 0 to 6; the evaluation protocols use 3.
        num_intervals: far = minimum + this many depth intervals; None gives the 192 (far = 905 mm) that most papers
            use.
        depth: Which depth maps the views name. "pseudo" are GenS's, for the full pictures only.

    Raises:
        FileNotFoundError: Cameras are missing, or there is no picture of the scan under this light.
        ValueError: A file contradicts the layout; the sentence names it.
    """
    folder = Path(folder)
    inside(folder, scan, "the list of scans")
    if packaging not in ("train", "raw"):
        raise ValueError(f"packaging must be 'train' or 'raw', got '{packaging}'")
    if depth == "pseudo" and packaging == "train":
        raise ValueError("pseudo depths belong to the full pictures, not to the cut ones; read packaging='raw'")
    if light not in range(NUM_LIGHTS):
        raise ValueError(f"DTU has lights 0 to {NUM_LIGHTS - 1}, got {light}")
    cameras = _camera_paths(folder, packaging)
    images = [_image_path(folder, scan, packaging, index, light) for index in range(len(cameras))]
    present = [path.is_file() for path in images]
    if not any(present):
        raise FileNotFoundError(
            f"no picture {images[0]} and none of the other views; expected DTU's '{packaging}' folders"
        )
    count = len(cameras) if any(present[49:]) else min(len(cameras), 49)
    depth_files = {"raw": _depth_file, "pseudo": pseudo_depth_file, "none": lambda *_: None}
    views = tuple(
        read_view(
            cameras[index],
            images[index],
            intrinsics_factor=TRAIN_CAMERA_FACTOR if packaging == "train" else 1.0,
            num_intervals=num_intervals,
            depth=depth_files[depth](folder, scan, index, images[index]),
            mask=_mask_file(folder, scan, index, packaging),
        )
        for index in range(count)
    )
    missing = count - sum(present[:count])
    notes = (f"{missing} of {count} views have no picture under light {light}",) if missing else ()
    pairs = read_pairs(folder / "Cameras" / "pair.txt", range(count))
    return checked_scene(Scene(scan, views, pairs=pairs, notes=notes), folder / scan)


def pseudo_depth_file(folder: str | Path, scan: str, index: int, image: Path | None = None) -> DepthFile | None:
    """GenS's depth map of a view (millimetres, any resolution), or None where there is none."""
    for name in ("pseudo_depths", "Pseudo_depths"):  # the code and the text of its release disagree
        path = Path(folder) / name / scan / f"{index}_epoch0.npy"
        if path.is_file():
            return DepthFile(path, "npy", unit=1.0 / PSEUDO_DEPTH_SCALE)
    return None


def _camera_paths(folder: Path, packaging: Packaging) -> list[Path]:
    cameras = folder / "Cameras" / "train" if packaging == "train" else folder / "Cameras"
    count = len(list(cameras.glob("*_cam.txt")))
    paths = [cameras / f"{index:08d}_cam.txt" for index in range(count)]
    missing = [path for path in paths or [cameras / "00000000_cam.txt"] if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"no camera file {missing[0]} under {folder}; expected the MVSNet training layout of DTU"
        )
    return paths


def _image_path(folder: Path, scan: str, packaging: Packaging, index: int, light: int) -> Path:
    images = folder / "Rectified" / f"{scan}_train" if packaging == "train" else folder / "Rectified_raw" / scan
    return images / f"rect_{index + 1:03d}_{light}_r{5000 if index < 49 else 7000}.png"


def _depth_file(folder: Path, scan: str, index: int, image: Path) -> DepthFile | None:
    # ID-NeRF's and MatchNeRF's instructions rename Depths_raw to Depths; MVSNet's own Depths has `scan<N>_train`
    # folders.
    paths = [folder / name / scan / f"depth_map_{index:04d}.pfm" for name in ("Depths_raw", "Depths")]
    path = next((path for path in paths if path.is_file()), None)
    if path is None or not image.is_file():
        return None
    header = read_pfm_header(path)
    width, height = read_image_size(image)
    if (width, height) == (header.width, header.height):
        return DepthFile(path, "pfm")
    margin_x, margin_y = header.width // 2 - width, header.height // 2 - height
    if min(margin_x, margin_y) < 0:
        raise ValueError(
            f"{path} has {header.width} x {header.height} pixels; expected {width} x {height} as {image} has,"
            " or at least twice that (the full-size maps)"
        )
    return DepthFile(path, "pfm", halve_and_crop=(margin_x // 2, margin_y // 2, width, height))


def _mask_file(folder: Path, scan: str, index: int, packaging: Packaging) -> MaskFile:
    if packaging == "train":
        return MaskFile(folder / "Masks" / f"{scan}_train" / f"mask_{index:04d}.png")
    return MaskFile(folder / "Depths_raw" / scan / f"depth_visual_{index:04d}.png", MASK_THRESHOLD)
