import numpy as np
import pytest

from common.io.data_files import check_data_file, read_json, read_npy, read_text, read_tokens


def test_the_first_bytes_of_a_file_come_back(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"abc" * 1000)
    assert check_data_file(path) == (b"abc" * 1000)[:512]


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"", "empty; the download or copy failed"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer.*git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"<html><body>404</body></html>", "web page"),
    ],
)
def test_what_a_failed_download_leaves_behind_is_refused(tmp_path, content, advice):
    path = tmp_path / "data.pfm"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"data.pfm.*{advice}"):
        check_data_file(path)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*absent"):
        check_data_file(tmp_path / "absent")
    with pytest.raises(ValueError, match="is a folder"):
        check_data_file(tmp_path)


def test_names_with_blanks_and_other_letters_work(tmp_path):
    path = tmp_path / "mes données 写真.txt"
    path.write_text("a b", encoding="utf8")
    assert read_text(path) == "a b"


def test_words_know_their_lines_whatever_the_line_ends_and_blanks(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes(b"\xef\xbb\xbfone  two \r\n\r\n\tthree ")
    assert read_tokens(path) == [("one", 1), ("two", 1), ("three", 3)]


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes(b"abc\xff\xfe")
    with pytest.raises(ValueError, match="not a text file: byte 3"):
        read_text(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{\n"a": [1,\n}', r":3 is not valid JSON"),
        ("[" * 100_000, "nested too deeply|not valid JSON"),
        ('{"a": ' + "9" * 5000 + "}", "not valid JSON"),
    ],
)
def test_broken_json_is_refused(tmp_path, text, complaint):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=complaint):
        read_json(path)


def test_arrays_come_back(tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(read_npy(path), [[0, 1, 2], [3, 4, 5]])


def test_an_array_of_objects_is_refused_without_running_it(tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"array.npy is not a readable NumPy array"):
        read_npy(path)


def test_a_shape_that_the_file_cannot_hold_is_refused_without_allocating_it(tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, np.zeros((2, 3)))
    content = path.read_bytes()
    claim = b"(999999999, 999999999), }"
    path.write_bytes(content.replace(b"(2, 3), }" + b" " * (len(claim) - 9), claim))
    assert path.read_bytes() != content
    with pytest.raises(ValueError, match=r"array.npy is not a readable"):
        read_npy(path)


def test_a_truncated_array_is_refused(tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, np.zeros((20, 3)))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"array.npy is not a readable"):
        read_npy(path)


def test_no_damage_to_an_array_file_escapes_as_another_error(tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, np.arange(12.0).reshape(3, 4))
    content = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content[: random.integers(1, len(content) + 1)])
        for position in random.integers(0, min(len(damaged), 100), 3):
            damaged[position] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_npy(path)
        except ValueError as error:
            assert "array.npy" in str(error)
