import pytest

from common.paths import move_aside, resolve_input


def test_the_working_directory_comes_before_the_method_folder(tmp_path, monkeypatch):
    here, method = tmp_path / "here", tmp_path / "method"
    for folder in (here, method):
        folder.mkdir()
        (folder / "a.yaml").write_text("x: 1")
    (method / "b.yaml").write_text("x: 1")
    monkeypatch.chdir(here)
    assert resolve_input("a.yaml", method).resolve() == (here / "a.yaml").resolve()
    assert resolve_input("b.yaml", method) == method / "b.yaml"


def test_the_error_names_both_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"c\.yaml in the working directory .* or in .*method"):
        resolve_input("c.yaml", tmp_path / "method")


def test_an_old_run_is_moved_aside_and_nothing_is_lost(tmp_path):
    (tmp_path / "run").mkdir()
    move_aside(tmp_path / "run", "resume is False")  # empty: stays
    (tmp_path / "run" / "latest.pth").write_bytes(b"precious")
    move_aside(tmp_path / "run", "resume is False")
    (aside,) = tmp_path.iterdir()
    assert aside.name.startswith("run.before-")
    assert (aside / "latest.pth").read_bytes() == b"precious"
