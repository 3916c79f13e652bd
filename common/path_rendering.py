"""Films: any `Renderer` along any camera path, at any size, as pictures and a video.

    <folder>/frames/00000.png ...     8-bit RGB
    <folder>/depth/00000.npy ...      on request: float32 z in scene units, 0 where unknown
    <folder>/manifest.json            what these frames are of; frames of something else are refused
    <folder>/path.json                the cameras (`common/io/camera_path.py`)
    <folder>/video.mp4                once all frames are there

Every file appears under its name only when it is complete. Starting again renders the missing frames only.

A frame is rendered in bands of whole rows, each a camera of its own, so that the largest arrays are one band and one
8-bit picture (and its copies while the PNG is encoded). Supersampling n renders n x n samples per pixel and averages
*light*: samples are decoded from sRGB, averaged and encoded again, as a sensor does before its tone curve; averaging
the encoded values would darken edges between bright and dark. Depth is not averaged, which would invent surfaces
between two others: the nearest sample counts.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from tqdm import tqdm

from common.camera_paths import CameraPath
from common.cameras import Camera, crop_intrinsics
from common.io.atomic import atomic_path
from common.io.camera_path import PathFrame, write_camera_path
from common.io.data_files import read_json
from common.io.images import read_pixels, write_image
from common.io.npy_stream import NpyWriter
from common.io.videos import write_video
from common.renderer import Renderer
from common.visualization import to_uint8

BAND_PIXELS = 1 << 20
LARGEST_VIDEO_SIDE = 16384  # of H.264
DEFAULT_FPS = 24.0


@dataclass(frozen=True)
class FilmOptions:
    """How to render a path.

    Attributes:
        supersample: Samples per pixel along each axis.
        band_pixels: Samples rendered at once (at least one row); None renders whole frames, which a method needs whose
            pixels depend on their neighbours.
        depth: Store depth as well.
        video: Write a video as well.
        fps: Of the video.
        to_8bit: From colours in [0, 1] to stored ones.
    """

    supersample: int = 1
    band_pixels: int | None = BAND_PIXELS
    depth: bool = False
    video: bool = True
    fps: float = DEFAULT_FPS
    to_8bit: Callable[[np.ndarray], np.ndarray] = to_uint8


def render_film(
    renderer: Renderer,
    path: CameraPath,
    folder: str | Path,
    identity: Mapping[str, object],
    options: FilmOptions | None = None,
) -> list[Path]:
    """Render what is missing of a film; the paths of its frames are returned.

    Args:
        renderer: Prepared.
        path: The cameras.
        folder: Where the film goes.
        identity: What decides the pictures besides the cameras (weights, scene, settings), as JSON values; a folder
            whose manifest says something else is refused.
        options: See `FilmOptions`.

    Raises:
        ValueError: The path is empty, a frame cannot be rendered or filmed, or the folder holds another film.
        RuntimeError: A frame cannot be written.
    """
    folder, options = Path(folder), options or FilmOptions()
    _check(path, options)
    _claim(folder, path, identity, options)
    frames = [folder / "frames" / f"{index:05d}.png" for index in range(len(path.cameras))]
    depths = [folder / "depth" / f"{frame.stem}.npy" if options.depth else None for frame in frames]
    missing = [
        index
        for index, (frame, depth) in enumerate(zip(frames, depths, strict=True))
        if not frame.is_file() or (depth is not None and not depth.is_file())
    ]
    if len(missing) < len(frames):
        print(f"{len(frames) - len(missing)} of {len(frames)} frames are in {folder} already")
    total = sum(len(_bands(path.cameras[index], options)) for index in missing)
    with tqdm(total=total, unit="band", disable=None) as bar:
        for index in missing:
            bar.set_description(f"frame {index + 1}/{len(frames)}")
            _store_frame(renderer, path.cameras[index], frames[index], depths[index], options, bar.update)
    if options.video and (missing or not (folder / "video.mp4").is_file()):
        write_video(folder / "video.mp4", map(read_pixels, frames), fps=options.fps)
    return frames


def render_frame(
    renderer: Renderer, camera: Camera, options: FilmOptions
) -> Iterator[tuple[UInt8[np.ndarray, "R W 3"], Float[np.ndarray, "R W"]]]:
    """Colours and depth of a frame, band by band from the top."""
    for rows in _bands(camera, options):
        rendering = renderer.render(_band_camera(camera, rows, options.supersample))
        rgb, depth = rendering.rgb.cpu().numpy(), rendering.depth.cpu().numpy()
        if options.supersample > 1:
            rgb, depth = average_light(rgb, options.supersample), nearest_depth(depth, options.supersample)
        yield options.to_8bit(rgb), depth.astype(np.float32)


def supersampled(camera: Camera, factor: int) -> Camera:
    """The camera whose pixels are the factor x factor samples of each pixel, exactly: (c + 1/2) factor - 1/2."""
    intrinsics = camera.intrinsics.clone()
    intrinsics[:2] *= factor
    intrinsics[:2, 2] += (factor - 1) / 2
    return replace(camera, intrinsics=intrinsics, height=camera.height * factor, width=camera.width * factor)


def average_light(rgb: Float[np.ndarray, "H W 3"], factor: int) -> Float[np.ndarray, "h w 3"]:
    """Mean light of factor x factor blocks of sRGB colours in [0, 1], as sRGB (IEC 61966-2-1)."""
    encoded = rgb.clip(0, 1).astype(np.float32)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    mean = _blocks(linear, factor).mean(axis=(1, 3), dtype=np.float64)
    srgb = np.where(mean <= 0.0031308, 12.92 * mean, 1.055 * mean ** (1 / 2.4) - 0.055)
    return (srgb + 1e-6).clip(0, 1)  # 8-bit colours are truncated: what comes back unchanged must not lose a level


def nearest_depth(depth: Float[np.ndarray, "H W"], factor: int) -> Float[np.ndarray, "h w"]:
    """Smallest known depth of factor x factor blocks; 0 where none is known."""
    nearest = np.where(depth > 0, depth, np.inf)
    nearest = _blocks(nearest[..., None], factor).min(axis=(1, 3))[..., 0]
    return np.where(np.isfinite(nearest), nearest, 0)


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's content, for an identity."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def _check(path: CameraPath, options: FilmOptions) -> None:
    if not path.cameras:
        raise ValueError("the camera path is empty; nothing to render")
    if options.supersample < 1:
        raise ValueError(f"supersampling must be 1 or more, got {options.supersample}")
    for index, camera in enumerate(path.cameras):
        if not (torch.isfinite(camera.world_to_cam).all() and torch.isfinite(camera.intrinsics).all()):
            raise ValueError(f"frame {index} of the camera path has numbers that are not finite")
        if min(camera.height, camera.width) < 1:
            raise ValueError(f"frame {index} of the camera path has {camera.width} x {camera.height} pixels")
    sizes = sorted({(camera.width, camera.height) for camera in path.cameras})
    if options.video and (len(sizes) > 1 or max(sizes[0]) > LARGEST_VIDEO_SIDE):
        told = " and ".join(f"{width} x {height}" for width, height in sizes[:2])
        raise ValueError(f"frames of {told} pixels do not make a video (one size, at most {LARGEST_VIDEO_SIDE})")
    if not 0 < options.fps < 1000:
        raise ValueError(f"a video needs between 0 and 1000 frames per second, got {options.fps:g}")


def _claim(folder: Path, path: CameraPath, identity: Mapping[str, object], options: FilmOptions) -> None:
    """Write the manifest of a new film, or make sure that the folder's film is this one."""
    manifest = {
        "camera path": _path_digest(path.cameras),
        "supersample": options.supersample,
        "band_pixels": options.band_pixels,
        **json.loads(json.dumps(identity)),
    }
    place = folder / "manifest.json"
    advice = "give another output folder, or delete this one to render it anew"
    if place.is_file():
        found = read_json(place)
        found = found if isinstance(found, dict) else {}
        differing = [key for key in {**manifest, **found} if manifest.get(key) != found.get(key)]
        if differing:
            raise ValueError(f"{folder} holds frames of another film (its {differing[0]} differs); {advice}")
    elif any((folder / "frames").glob("*.png")):
        raise ValueError(f"{folder} holds frames without a manifest.json that says what they show; {advice}")
    else:
        frames = [
            PathFrame(c.intrinsics.double().numpy(), c.world_to_cam.double().numpy(), c.width, c.height)
            for c in path.cameras
        ]
        write_camera_path(folder / "path.json", frames, options.fps)
        with atomic_path(place) as temporary:
            temporary.write_text(json.dumps(manifest, indent=1), encoding="utf8")


def _path_digest(cameras: Sequence[Camera]) -> str:
    digest = hashlib.sha256()
    for camera in cameras:
        digest.update(camera.intrinsics.double().numpy().tobytes() + camera.world_to_cam.double().numpy().tobytes())
        digest.update(np.array([camera.height, camera.width, *camera.near_far], np.float64).tobytes())
    return digest.hexdigest()


def _store_frame(
    renderer: Renderer,
    camera: Camera,
    frame: Path,
    depth: Path | None,
    options: FilmOptions,
    report: Callable[[int], object],
) -> None:
    """Render a frame; depth goes to its file band by band. What a killed process left of it is removed."""
    for path in (frame, depth or frame):
        for abandoned in path.parent.glob(f".{path.stem}-*"):
            abandoned.unlink()
    picture, top = np.empty((camera.height, camera.width, 3), np.uint8), 0
    try:
        with contextlib.ExitStack() as opened:
            file = None
            if depth is not None:
                temporary = opened.enter_context(atomic_path(depth))
                file = opened.enter_context(NpyWriter(temporary, np.float32, (camera.width,)))
            for rgb, band_depth in render_frame(renderer, camera, options):
                picture[top : top + len(rgb)] = rgb
                top += len(rgb)
                if file is not None:
                    file.append(band_depth)
                report(1)
        write_image(frame, picture)
    except OSError as error:
        raise RuntimeError(
            f"cannot write {frame}: {error.strerror or error}; free space there or choose another folder, then start "
            "the same command again: finished frames are kept"
        ) from error


def _bands(camera: Camera, options: FilmOptions) -> list[slice]:
    """Rows of the picture that are rendered together."""
    samples = camera.width * options.supersample**2
    rows = camera.height if options.band_pixels is None else max(1, options.band_pixels // samples)
    return [slice(top, min(top + rows, camera.height)) for top in range(0, camera.height, rows)]


def _band_camera(camera: Camera, rows: slice, factor: int) -> Camera:
    camera = supersampled(camera, factor) if factor > 1 else camera
    intrinsics = crop_intrinsics(camera.intrinsics, 0.0, float(rows.start * factor))
    return replace(camera, intrinsics=intrinsics, height=(rows.stop - rows.start) * factor)


def _blocks(values: np.ndarray, factor: int) -> np.ndarray:
    height, width, channels = values.shape
    return values.reshape(height // factor, factor, width // factor, factor, channels)
