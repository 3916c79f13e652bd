"""RealEstate10K clips.

    <root>/train/cameras/<clip>.txt                      first line: address of the video; then 19 numbers a frame
    <root>/train/frames/<clip>/<timestamp>.png

    colmap_forward_cache/real_estate/<clip>/dense_out/stereo/depth_maps/<timestamp>.jpg.geometric.bin       NeuRay's

    timestamp [us], fx fy cx cy as fractions of width and height, 0 0, 12 numbers world_to_cam (3x4, row-major)

Frames are a subset of the lines and are sorted as numbers. Units are arbitrary; the depth bounds are NeuRay's
constants. Intrinsics are fractions times the size of the picture: corner-origin.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from common.datasets.photographs import cached_depth, image_file, list_photographs
from common.datasets.scene import Scene, View
from common.datasets.validation import check_view, checked_scene, inside
from common.io.data_files import read_text

NEAR_FAR = (1.0, 100.0)


def read_real_estate(
    folder: str | Path, clip: str | None = None, *, split: str = "train", depth_cache: str | Path | None = None
) -> Scene:
    """The frames of one clip that have a picture, sorted by timestamp.

    Args:
        folder: Root of the data set, one of its splits, or a clip's folder of frames.
        clip: Name of the clip; None where the folder is the clip's, or has a single one.
        split: Folder below the root.
        depth_cache: The folder `colmap_forward_cache`, or None.

    Raises:
        FileNotFoundError: No such clip.
        ValueError: A line is broken, or it is not clear which clip is meant.
    """
    frames, cameras = _locate(Path(folder), clip, split)
    lines = _read_lines(cameras)
    photographs = {int(path.stem): path for path in list_photographs(frames) if path.stem.isdecimal()}
    views = []
    for timestamp in sorted(photographs.keys() & lines.keys()):
        number, values = lines[timestamp]
        image = image_file(photographs[timestamp])
        fx, fy, cx, cy = values[:4]
        width, height = image.size
        intrinsics = np.array([[fx * width, 0, cx * width], [0, fy * height, cy * height], [0, 0, 1]])
        world_to_cam = np.vstack([values[6:].reshape(3, 4), [0.0, 0.0, 0.0, 1.0]])
        depth = cached_depth(depth_cache, f"real_estate/{frames.name}", str(timestamp))
        view = View(str(timestamp), image, intrinsics, world_to_cam, NEAR_FAR, depth=depth)
        check_view(view, f"{cameras}:{number}")
        views.append(view)
    if not views:
        raise FileNotFoundError(f"none of the {len(lines)} timestamps of {cameras} has a picture in {frames}")
    notes = []
    if len(lines) > len(views):
        notes.append(f"skipped {len(lines) - len(views)} of {len(lines)} timestamps without a picture")
    if len(photographs) > len(views):
        notes.append(f"skipped {len(photographs) - len(views)} pictures without a camera")
    return checked_scene(Scene(frames.name, tuple(views), pixel_origin="corner", notes=tuple(notes)), frames)


def find_real_estate_clips(folder: str | Path, split: str = "train") -> list[str]:
    """Names of the clips below a root or a split; empty where it is neither."""
    return [path.name for path in sorted(_frames_folder(Path(folder), split).glob("*")) if path.is_dir()]


def _frames_folder(folder: Path, split: str) -> Path:
    return folder / "frames" if (folder / "frames").is_dir() else folder / split / "frames"


def _locate(folder: Path, clip: str | None, split: str) -> tuple[Path, Path]:
    """The clip's folder of frames and its camera file."""
    if clip is None and folder.parent.name == "frames":
        frames = folder
    else:
        clips = find_real_estate_clips(folder, split)
        if clip is None and len(clips) != 1:
            raise ValueError(f"{folder} has {len(clips)} RealEstate10K clips; say which one with clip=...")
        frames = inside(_frames_folder(folder, split), clip or clips[0], "clip")
    cameras = frames.parent.parent / "cameras" / f"{frames.name}.txt"
    if not frames.is_dir():
        raise FileNotFoundError(f"no folder {frames} with the pictures of the clip")
    return frames, cameras


def _read_lines(path: Path) -> dict[int, tuple[int, Float[np.ndarray, "18"]]]:
    """Line number and the 18 numbers after the timestamp, by timestamp."""
    found = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if not words or number == 1:  # the first line is the video's address
            continue
        if len(words) != 19 or not words[0].isdecimal() or len(words[0]) > 18:
            raise ValueError(f"{path}:{number} has {len(words)} numbers, expected a timestamp and 18 numbers")
        try:
            values = np.array([float(word) for word in words[1:]])
        except ValueError as error:
            raise ValueError(f"{path}:{number} {error}") from None
        if int(words[0]) in found:
            raise ValueError(f"{path}:{number} repeats timestamp {words[0]}")
        found[int(words[0])] = (number, values)
    return found
