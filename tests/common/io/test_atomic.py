import pytest

from common.io.atomic import atomic_folder, atomic_path


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


def test_a_folder_appears_whole_and_replaces_the_one_before(tmp_path):
    target = tmp_path / "deep" / "folder"
    for content in ("first", "second"):
        with atomic_folder(target) as temporary:
            (temporary / content).write_text(content)
            assert temporary.parent == target.parent and not (target / content).exists()
        assert [path.name for path in target.iterdir()] == [content]
    assert [path.name for path in target.parent.iterdir()] == ["folder"]


def test_a_failed_folder_leaves_the_old_one_and_an_abandoned_one_is_removed(tmp_path):
    target = tmp_path / "folder"
    with atomic_folder(target) as temporary:
        (temporary / "old").touch()
    (tmp_path / ".folder-abandoned").mkdir()
    (tmp_path / ".folder2-other").mkdir()
    with pytest.raises(ValueError, match="stop"), atomic_folder(target) as temporary:
        (temporary / "new").touch()
        raise ValueError("stop")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".folder2-other", "folder"]
    assert [path.name for path in target.iterdir()] == ["old"]
