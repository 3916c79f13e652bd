import io
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from common.io.images import read_image, read_image_header, read_image_size, read_pixels, write_image, write_pixels

RGB = np.array([[[255, 0, 0], [0, 128, 255], [1, 2, 3]]], np.uint8)


def saved(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def test_values_are_divided_by_255_and_in_rgb_order(tmp_path):
    image = read_image(saved(tmp_path / "a.png", RGB))
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, RGB.astype(np.float32) / np.float32(255))


def test_papers_that_divide_by_256_can(tmp_path):
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.png", RGB), divisor=256.0), RGB / 256)


def test_grey_pictures_become_rgb(tmp_path):
    image = read_image(saved(tmp_path / "a.png", np.array([[0, 51]], np.uint8)))
    np.testing.assert_allclose(image, [[[0, 0, 0], [0.2, 0.2, 0.2]]], rtol=1e-6)


def test_transparent_pixels_show_the_background_and_colour_under_them_does_not_count(tmp_path):
    rgba = np.array([[[255, 0, 0, 255], [200, 100, 50, 0], [255, 255, 255, 51]]], np.uint8)
    path = saved(tmp_path / "a.png", rgba)
    np.testing.assert_allclose(read_image(path, background=1.0)[0], [[1, 0, 0], [1, 1, 1], [1, 1, 1]], atol=1e-6)
    np.testing.assert_allclose(read_image(path, background=0.0)[0], [[1, 0, 0], [0, 0, 0], [0.2] * 3], atol=1e-6)
    np.testing.assert_allclose(read_image(path)[0, 1], np.array([200, 100, 50]) / 255, atol=1e-6)
    assert read_image_header(path).has_alpha and not read_image_header(saved(tmp_path / "b.png", RGB)).has_alpha


def test_a_palette_with_a_transparent_colour_has_alpha(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.putpixel((1, 0), 1)
    picture.save(tmp_path / "a.png", transparency=0)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.png"), [[[255, 0, 0, 0], [0, 255, 0, 255]]])


def test_sixteen_bit_pictures_keep_their_precision(tmp_path):
    grey = np.array([[0, 1, 65535]], np.uint16)
    saved(tmp_path / "grey.png", grey)
    np.testing.assert_array_equal(read_pixels(tmp_path / "grey.png"), grey)
    np.testing.assert_allclose(read_image(tmp_path / "grey.png")[0, :, 0], [0, 1 / 65535, 1], rtol=1e-6)
    rgb = np.array([[[65535, 257, 1]]], np.uint16)
    assert cv2.imwrite(str(tmp_path / "rgb.png"), rgb[..., ::-1])
    np.testing.assert_array_equal(read_pixels(tmp_path / "rgb.png"), rgb)
    np.testing.assert_allclose(read_image(tmp_path / "rgb.png"), rgb / 65535, rtol=1e-6)
    np.testing.assert_allclose(read_image(tmp_path / "rgb.png", divisor=256.0)[0, 0, 0], 255 / 256, rtol=1e-6)


def test_sixteen_bit_alpha_is_an_alpha(tmp_path):
    rgba = np.array([[[0, 0, 65535, 13107]]], np.uint16)
    assert cv2.imwrite(str(tmp_path / "a.png"), rgba)
    np.testing.assert_allclose(read_image(tmp_path / "a.png", background=0.0), [[[0.2, 0, 0]]], rtol=1e-6)


def test_the_exif_orientation_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    tall = np.zeros((4, 8, 3), np.uint8)
    saved(tmp_path / "a.jpg", tall, exif=exif)
    assert read_image_size(tmp_path / "a.jpg") == (8, 4)
    assert read_image(tmp_path / "a.jpg").shape == (4, 8, 3)


def test_floats_are_clamped_and_truncated_when_written(tmp_path):
    write_image(tmp_path / "a.png", np.array([[[-0.1, 0.5, 1.2], [0.999, 1.0, 127.9 / 255]]]))
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.png"), [[[0, 127, 255], [254, 255, 127]]])


def test_stored_pixels_come_back(tmp_path):
    random = np.random.default_rng(0)
    for shape, kind in [((5, 4), np.uint8), ((5, 4, 3), np.uint8), ((5, 4, 4), np.uint8), ((5, 4), np.uint16)]:
        pixels = random.integers(np.iinfo(kind).max + 1, size=shape).astype(kind)
        write_pixels(tmp_path / "a.png", pixels)
        np.testing.assert_array_equal(read_pixels(tmp_path / "a.png"), pixels)


def test_other_pixels_are_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"cannot write float64 pixels of shape \(2, 2\)"):
        write_pixels(tmp_path / "a.png", np.zeros((2, 2)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_truncated_pictures_are_refused(tmp_path, suffix, part):
    noise = np.random.default_rng(0).integers(256, size=(90, 90, 3)).astype(np.uint8)
    path = saved(tmp_path / f"a.{suffix}", noise)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    assert read_image_size(path) == (90, 90)
    with pytest.raises(ValueError, match=f"cannot read the picture .*a.{suffix}: .*truncated"):
        read_image(path)


def test_a_truncated_picture_of_sixteen_bit_colours_is_refused(tmp_path):
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), np.random.default_rng(0).integers(65536, size=(40, 40, 3)).astype(np.uint16))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="cannot read the picture"):
        read_image(path)


def test_what_is_no_picture_is_refused(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"these are words")
    with pytest.raises(ValueError, match="not a picture"):
        read_image_size(path)
    with pytest.raises(ValueError, match="not a picture"):
        read_image(path)


def test_floating_point_pictures_are_refused(tmp_path):
    saved(tmp_path / "a.tif", np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match="pixels of kind F are not supported"):
        read_image(tmp_path / "a.tif")


def test_a_header_that_claims_a_huge_picture_allocates_nothing(tmp_path):
    path = saved(tmp_path / "a.png", RGB)
    content = bytearray(path.read_bytes())
    content[16:24] = (100_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot read the picture"):
        read_image(path)


def test_no_damage_to_a_picture_escapes_as_another_error(tmp_path):
    random = np.random.default_rng(1)
    pixels = random.integers(256, size=(12, 12, 3)).astype(np.uint8)
    for suffix in ("png", "jpeg", "bmp", "tiff", "ppm"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, suffix)
        content = buffer.getvalue()
        path = tmp_path / f"a.{suffix}"
        for _ in range(60):
            damaged = bytearray(content[: random.integers(1, len(content) + 1)])
            for position in random.integers(0, len(damaged), 4):
                damaged[position] = random.integers(256)
            path.write_bytes(damaged)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's about metadata
                try:
                    assert read_image(path).ndim == 3
                except ValueError as error:
                    assert str(path) in str(error)
