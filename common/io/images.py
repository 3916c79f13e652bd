"""Photographs: reading any common 8- or 16-bit picture as RGB, and writing RGB.

Pixels come exactly as stored: the EXIF orientation is ignored, because cameras belong to the stored picture. Values are
divided by 255 (65535 for 16-bit files); some papers divide by 256, which is an explicit argument.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Shaped
from PIL import Image

from common.io.atomic import atomic_path
from common.io.data_files import check_data_file

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
_COLOR_MODES = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB", "LAB": "RGB"}
_ALPHA_MODES = {"LA": "RGBA", "La": "RGBA", "PA": "RGBA", "RGBA": "RGBA", "RGBa": "RGBA", "RGBX": "RGB"}
_DEEP_MODES = {"I;16", "I;16B", "I;16L", "I"}


@dataclass(frozen=True)
class ImageHeader:
    """What a picture says about itself before it is decoded.

    Attributes:
        width, height: Stored pixels, EXIF orientation ignored.
        has_alpha: The picture has an alpha channel or a transparent colour.
    """

    width: int
    height: int
    has_alpha: bool


def read_image_header(path: str | Path) -> ImageHeader:
    """Size and kind of a picture, without decoding it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a picture.
    """
    check_data_file(path)
    try:
        with Image.open(path) as image:
            has_alpha = image.mode in _ALPHA_MODES or "transparency" in image.info
            return ImageHeader(*image.size, has_alpha)
    except _DAMAGE as error:
        raise ValueError(_damage(path, error)) from None


def read_image_size(path: str | Path) -> tuple[int, int]:
    """(width, height) of a picture, without decoding it; raises as `read_image_header`."""
    header = read_image_header(path)
    return header.width, header.height


def read_pixels(path: str | Path) -> Shaped[np.ndarray, "H W *channels"]:
    """The stored values, uint8 or uint16: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA, alpha not multiplied in.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a picture, truncated, or of a kind that no layout uses (floating point, say).
    """
    head = check_data_file(path)
    try:
        with Image.open(path) as image:
            image.load()
            if _is_deep_color(head):
                return _read_deep_color(path)
            if image.mode in _DEEP_MODES:
                return _to_uint16(path, np.asarray(image))
            if image.mode in _COLOR_MODES and "transparency" in image.info:
                return np.array(image.convert("RGBA"))
            target = (_COLOR_MODES | _ALPHA_MODES).get(image.mode)
            if target is None:
                raise ValueError(f"pixels of kind {image.mode} are not supported, save it as 8- or 16-bit PNG")
            return np.array(image.convert(target))
    except _DAMAGE as error:
        raise ValueError(_damage(path, error)) from None


def read_image(
    path: str | Path, background: float | None = None, *, divisor: float = 255.0
) -> Float[np.ndarray, "H W 3"]:
    """A picture as float32 RGB in [0, 1].

    Args:
        path: The file. Grey pictures become RGB.
        background: Colour in [0, 1] to lay behind transparent pixels, `rgb * alpha + background * (1 - alpha)`; None
            ignores alpha.
        divisor: White of an 8-bit file: 255, or 256 for the papers that divide by it. 16-bit files are brought to the
            same range.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a complete picture.
    """
    pixels = read_pixels(path)
    white = divisor if pixels.dtype == np.uint8 else divisor * 257.0  # 65535 = 255 * 257
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=-1)
    rgb = pixels[..., :3].astype(np.float32) / np.float32(white)
    if pixels.shape[-1] == 3 or background is None:
        return rgb
    alpha = pixels[..., 3:].astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return rgb * alpha + np.float32(background) * (1.0 - alpha)


def open_rgb(path: str | Path) -> Image.Image:
    """A decoded 8-bit RGB picture that is held once, to be read and changed in parts with Pillow's `crop` and `paste`.

    Alpha is ignored; of 16 bits the upper 8 are kept.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a complete picture.
    """
    if not _is_deep_color(check_data_file(path)):
        try:
            with Image.open(path) as image:
                if image.mode == "RGB":
                    image.load()
                    return image
        except _DAMAGE as error:
            raise ValueError(_damage(path, error)) from None
    pixels = read_pixels(path)
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    rgb = np.repeat(pixels[..., None], 3, axis=-1) if pixels.ndim == 2 else pixels[..., :3]
    return Image.fromarray(np.ascontiguousarray(rgb))


def write_image(path: str | Path, rgb: Shaped[np.ndarray, "H W 3"]) -> None:
    """Write RGB in the format of the suffix: floats in [0, 1] are stored as floor(255 value), uint8 as it is.

    JPEG files get quality 95.
    """
    if rgb.dtype != np.uint8:
        rgb = (np.clip(rgb, 0.0, 1.0) * 255.0).astype(np.uint8)
    write_pixels(path, rgb)


def write_pixels(path: str | Path, pixels: Shaped[np.ndarray, "H W *channels"]) -> None:
    """Write stored values: uint8 grey, RGB or RGBA, or uint16 (H, W).

    Raises:
        ValueError: The values are of another kind.
    """
    if pixels.dtype not in (np.uint8, np.uint16) or (pixels.dtype == np.uint16 and pixels.ndim != 2):
        raise ValueError(f"cannot write {pixels.dtype} pixels of shape {pixels.shape} as a picture")
    with atomic_path(path) as temporary:
        Image.fromarray(np.ascontiguousarray(pixels)).save(temporary, quality=95)


def _is_deep_color(head: bytes) -> bool:
    """Whether this is a PNG with 16 bits and several channels, which Pillow would cut down to 8 bits."""
    return head.startswith(b"\x89PNG") and len(head) > 25 and head[24] == 16 and head[25] != 0


def _read_deep_color(path: str | Path) -> Shaped[np.ndarray, "H W channels"]:
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError("cannot decode its 16-bit colours")
    if pixels.ndim == 2:
        return pixels
    order = cv2.COLOR_BGR2RGB if pixels.shape[-1] == 3 else cv2.COLOR_BGRA2RGBA
    return cv2.cvtColor(pixels, order)


def _to_uint16(path: str | Path, values: Shaped[np.ndarray, "H W"]) -> Shaped[np.ndarray, "H W"]:
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("integers beyond 16 bits are not supported")
    return values.astype(np.uint16)


def _damage(path: str | Path, error: BaseException) -> str:
    lines = str(error).splitlines()
    reason = "not a picture" if isinstance(error, Image.UnidentifiedImageError) else lines[0] if lines else "damaged"
    return f"cannot read the picture {path}: {reason}; copy or download it again"
