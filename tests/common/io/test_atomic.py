import pytest

from common.io.atomic import atomic_path


def test_a_finished_write_replaces_the_old_file(tmp_path):
    target = tmp_path / "new folder" / "a.txt"
    for text in ("first", "second"):
        with atomic_path(target) as path:
            assert path.suffix == ".txt"
            path.write_text(text)
    assert target.read_text() == "second"
    assert [entry.name for entry in target.parent.iterdir()] == ["a.txt"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(OSError, match="disk"), atomic_path(target) as path:
        path.write_text("half")
        raise OSError("disk")
    assert target.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_the_file_gets_ordinary_permissions(tmp_path):
    with atomic_path(tmp_path / "a.bin") as path:
        path.write_bytes(b"x")
    (tmp_path / "plain.bin").write_bytes(b"x")
    assert (tmp_path / "a.bin").stat().st_mode == (tmp_path / "plain.bin").stat().st_mode
