"""MP4 videos (H.264, yuv420p, playable while they load)."""

from collections.abc import Iterable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from jaxtyping import UInt8

from common.io.atomic import atomic_path

_BLOCK = 16  # H.264 stores blocks of this many pixels; other sizes are padded, which some players show


def write_video(
    path: str | Path, frames: Iterable[UInt8[np.ndarray, "H W 3"]], fps: float = 10.0, quality: float = 10.0
) -> int:
    """Write RGB frames of equal size as they come; how many there were is returned.

    Args:
        path: An .mp4 file.
        frames: Taken one by one, so that a generator may render them. They are enlarged to sides that are multiples of
            16.
        fps: Frames per second.
        quality: 0 (smallest file) to 10 (best).

    Raises:
        ValueError: No frame, or one of another size or kind than the first.
        RuntimeError: The encoder failed.
    """
    encoder, shape, count = None, None, 0
    with atomic_path(path) as temporary:
        try:
            for frame in frames:
                if encoder is None:
                    shape, encoder = frame.shape, _start_encoder(temporary, frame, fps, quality)
                if frame.shape != shape or frame.dtype != np.uint8:
                    raise ValueError(f"frame {count} of {path} is {frame.dtype} {frame.shape}, expected uint8 {shape}")
                encoder.send(np.ascontiguousarray(frame))
                count += 1
        except OSError as error:
            raise RuntimeError(f"the video encoder failed on frame {count} of {path}; is the disk full?") from error
        finally:
            if encoder is not None:
                encoder.close()  # waits for ffmpeg
        if count == 0:
            raise ValueError(f"a video needs at least one frame, got none for {path}")
        with temporary.open("rb") as written:  # the index, which "faststart" puts first, is written last
            if b"moov" not in written.read(256):
                raise RuntimeError(f"the video encoder could not finish {path}; is the disk full?")
    return count


def _start_encoder(path: Path, first: np.ndarray, fps: float, quality: float):
    height, width = first.shape[:2]
    padded = [-(-side // _BLOCK) * _BLOCK for side in (width, height)]
    options = ["-movflags", "+faststart"]
    if padded != [width, height]:
        options += ["-vf", f"scale={padded[0]}:{padded[1]}"]
    encoder = imageio_ffmpeg.write_frames(
        path,
        (width, height),
        fps=fps,
        quality=quality,
        macro_block_size=1,
        ffmpeg_log_level="error",
        output_params=options,
    )
    encoder.send(None)
    return encoder
