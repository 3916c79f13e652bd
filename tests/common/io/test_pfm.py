import struct

import numpy as np
import pytest

from common.io.pfm import read_pfm, read_pfm_header, write_pfm


def stored(path, header, values, order="<"):
    path.write_bytes(header + struct.pack(f"{order}{len(values)}f", *values))
    return path


def test_rows_are_stored_from_bottom_to_top(tmp_path):
    path = stored(tmp_path / "a.pfm", b"Pf\n2 3\n-1.000000\n", [4, 5, 2, 3, 0, 1])
    np.testing.assert_array_equal(read_pfm(path), [[0, 1], [2, 3], [4, 5]])


def test_a_positive_scale_means_big_endian_and_is_returned_unused(tmp_path):
    path = stored(tmp_path / "a.pfm", b"Pf\n2 1\n0.5\n", [1, 2], ">")
    np.testing.assert_array_equal(read_pfm(path), [[1, 2]])
    header = read_pfm_header(path)
    assert (header.scale, header.little_endian, header.channels) == (0.5, False, 1)


@pytest.mark.parametrize(
    "header", [b"Pf\r\n2 1\r\n-1.0\r\n", b"Pf \n2  1 \n-1.0 \n", b"Pf\n2\n1\n-1e0\n", b"Pf 2 1 -1.\n"]
)
def test_other_line_ends_and_blanks_in_the_header_are_read(tmp_path, header):
    np.testing.assert_array_equal(read_pfm(stored(tmp_path / "a.pfm", header, [7, 8])), [[7, 8]])


def test_data_that_look_like_a_line_end_belong_to_the_image(tmp_path):
    path = tmp_path / "a.pfm"
    path.write_bytes(b"Pf\n1 1\n-1.0\n" + b"\n\r\n ")
    assert read_pfm(path)[0, 0] == np.frombuffer(b"\n\r\n ", "<f4")[0]


def test_bytes_after_the_image_are_ignored(tmp_path):
    path = stored(tmp_path / "a.pfm", b"Pf\n2 1\n-1.0\n", [7, 8])
    path.write_bytes(path.read_bytes() + b"\n")
    np.testing.assert_array_equal(read_pfm(path), [[7, 8]])


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7, 2), (4, 3, 3)])
@pytest.mark.parametrize("order", ["little", "big"])
def test_a_round_trip_is_exact_to_the_bit(tmp_path, shape, order):
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    image.flat[0] = np.nan
    path = tmp_path / "a.pfm"
    write_pfm(path, image)
    if order == "big":
        header = read_pfm_header(path)
        data = np.frombuffer(path.read_bytes()[header.offset :], "<f4").astype(">f4").tobytes()
        path.write_bytes(path.read_bytes()[: header.offset].replace(b"-1.0", b"1.0") + data)
    assert read_pfm(path).tobytes() == image.tobytes()


def test_the_image_can_become_a_tensor(tmp_path):
    write_pfm(tmp_path / "a.pfm", np.ones((2, 2), np.float32))
    assert read_pfm(tmp_path / "a.pfm").flags["C_CONTIGUOUS"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"P6\n2 1\n255\n", "not a PFM file"),
        (b"Pf\n2 1\nabc\n", "not a PFM file"),
        (b"Pf\n-2 1\n-1\n" + bytes(8), "not a PFM file"),
        (b"Pf\n2 1\n0\n" + bytes(8), "number other than zero"),
        (b"Pf\n2 1\n1.2.3\n" + bytes(8), "number other than zero"),
        (b"Pf\n2 1\n-1e999\n" + bytes(8), "number other than zero"),
        (b"Pf\n2 1\n-1.0\n" + bytes(7), "truncated: 2 x 1 pixels need 8 bytes, 7 are there"),
        (b"Pf\n0 1\n-1.0\n", "truncated"),
    ],
)
def test_what_is_no_complete_pfm_file_is_refused(tmp_path, content, complaint):
    path = tmp_path / "a.pfm"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"a.pfm.*{complaint}"):
        read_pfm(path)


def test_a_header_that_claims_a_huge_image_allocates_nothing(tmp_path):
    path = tmp_path / "a.pfm"
    path.write_bytes(b"Pf\n999999999 999999999\n-1.0\n" + bytes(100))
    with pytest.raises(ValueError, match="truncated"):
        read_pfm(path)


def test_only_one_or_three_channels_are_written(tmp_path):
    with pytest.raises(ValueError, match=r"height x width x 3 floats, got \(2, 2, 2\)"):
        write_pfm(tmp_path / "a.pfm", np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="must be positive"):
        write_pfm(tmp_path / "a.pfm", np.zeros((2, 2)), scale=-1.0)
    assert not list(tmp_path.iterdir())


def test_a_real_dtu_map_is_the_right_way_up(real_data):
    path = real_data / "dtu" / "dtu_depth_map_0000.pfm"
    assert path.stat().st_size == 81941
    depth = read_pfm(path)
    assert depth.shape == (128, 160)
    assert not depth[0].any() and (depth[-1] > 0).mean() > 0.7
    known = depth[depth > 0]
    assert known.size / depth.size == pytest.approx(0.68, abs=0.01)
    assert (round(float(known.min())), round(float(known.max()))) == (509, 760)
