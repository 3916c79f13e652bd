import zlib

import numpy as np
import pytest

from common.io.npy_stream import NpyWriter, checksum_rows, open_rows, read_rows


def write(path, parts, dtype=np.float32):
    with NpyWriter(path, dtype, parts[0].shape[1:]) as writer:
        for part in parts:
            writer.append(part)
    return writer


def test_what_is_appended_is_a_plain_numpy_file(tmp_path):
    parts = [
        np.arange(6, dtype=np.float32).reshape(3, 2),
        np.zeros((0, 2), np.float32),
        np.ones((40000, 2), np.float32),
    ]
    writer = write(tmp_path / "a.npy", parts)
    whole = np.concatenate(parts)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy", allow_pickle=False), whole)
    assert writer.rows == 40003 and writer.checksum == zlib.crc32(whole) == checksum_rows(tmp_path / "a.npy")


def test_ranges_are_read_and_summed_alone(tmp_path):
    values = np.arange(60, dtype=np.int32).reshape(10, 2, 3)
    write(tmp_path / "a.npy", [values], np.int32)
    np.testing.assert_array_equal(read_rows(tmp_path / "a.npy", slice(3, 7)), values[3:7])
    np.testing.assert_array_equal(read_rows(tmp_path / "a.npy", slice(8, 99)), values[8:])
    assert checksum_rows(tmp_path / "a.npy", slice(3, 7)) == zlib.crc32(values[3:7])


def test_an_array_without_rows_is_an_array(tmp_path):
    write(tmp_path / "a.npy", [np.zeros((0, 3), np.uint8)], np.uint8)
    assert open_rows(tmp_path / "a.npy").shape == (0, 3) == read_rows(tmp_path / "a.npy", slice(None)).shape
    assert checksum_rows(tmp_path / "a.npy") == 0


def test_what_does_not_fit_is_refused(tmp_path):
    with NpyWriter(tmp_path / "a.npy", np.float32, (2,)) as writer, pytest.raises(ValueError, match=r"shape \(2,\)"):
        writer.append(np.zeros((3, 3), np.float32))
    path = tmp_path / "b.npy"
    write(path, [np.zeros((100, 2), np.float32)])
    path.write_bytes(path.read_bytes()[:-8])
    np.save(tmp_path / "c.npy", np.array([None]), allow_pickle=True)
    (tmp_path / "d.npy").write_text("no array")
    for name in "bcd":
        with pytest.raises(ValueError, match=rf"{name}.npy is not a readable NumPy array"):
            checksum_rows(tmp_path / f"{name}.npy")
