import struct

import numpy as np
import pytest

from common.io.depth_maps import (
    read_colmap_array,
    read_depth_map,
    read_depth_png,
    write_colmap_array,
    write_depth_png,
)
from common.io.images import write_pixels
from common.io.pfm import write_pfm


def test_a_depth_array_is_read_row_by_row(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"3&2&1&" + struct.pack("<6f", 0, 1, 2, 3, 4, 5))
    np.testing.assert_array_equal(read_colmap_array(path), [[0, 1, 2], [3, 4, 5]])


def test_channels_of_a_normal_array_are_planes_in_the_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"2&1&3&" + struct.pack("<6f", 1, 2, 10, 20, 100, 200))
    np.testing.assert_array_equal(read_colmap_array(path), [[[1, 10, 100], [2, 20, 200]]])


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 2, 3)])
def test_arrays_come_back_to_the_bit(tmp_path, shape):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    write_colmap_array(tmp_path / "a.bin", array)
    assert read_colmap_array(tmp_path / "a.bin").tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"3,2,1," + bytes(24), "not a COLMAP array"),
        (b"3&2&1&" + bytes(23), "truncated"),
        (b"0&2&1&", "truncated"),
        (b"999999999&999999999&3&" + bytes(24), "truncated"),
    ],
)
def test_what_is_no_complete_array_is_refused(tmp_path, content, complaint):
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a.bin.*{complaint}"):
        read_colmap_array(tmp_path / "a.bin")


def test_integers_of_a_png_come_back_as_floats(tmp_path):
    depth = np.array([[0, 1.4, 65535]], np.float32)
    write_depth_png(tmp_path / "a.png", depth)
    np.testing.assert_array_equal(read_depth_png(tmp_path / "a.png"), [[0, 1, 65535]])


def test_depth_beyond_sixteen_bits_is_not_written(tmp_path):
    for value in (70000.0, -1.0, np.inf):
        with pytest.raises(ValueError, match="16 bits hold depths from 0 to 65535"):
            write_depth_png(tmp_path / "a.png", np.array([[0, value]]))
    assert not list(tmp_path.iterdir())


def test_a_coloured_picture_is_no_depth_map(tmp_path):
    write_pixels(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match=r"a.png has 3 channels; a depth map has one"):
        read_depth_png(tmp_path / "a.png")


def test_every_encoding_gives_the_same_map(tmp_path):
    depth = np.array([[0, 7, 300], [4, 5, 6]], np.float32)
    write_pfm(tmp_path / "a.pfm", depth)
    write_colmap_array(tmp_path / "a.colmap", depth)
    write_depth_png(tmp_path / "a.png", depth)
    np.save(tmp_path / "a.npy", depth.astype(np.float64))
    for name, encoding in (("a.pfm", "pfm"), ("a.colmap", "colmap"), ("a.png", "png16"), ("a.npy", "npy")):
        found = read_depth_map(tmp_path / name, encoding)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, depth)


def test_maps_with_channels_and_unknown_encodings_are_refused(tmp_path):
    write_pfm(tmp_path / "a.pfm", np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match=r"has shape \(2, 2, 3\); a depth map is height x width"):
        read_depth_map(tmp_path / "a.pfm", "pfm")
    with pytest.raises(ValueError, match="unknown depth encoding 'exr'; known are pfm, colmap, png16, npy"):
        read_depth_map(tmp_path / "a.exr", "exr")
