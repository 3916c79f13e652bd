import errno

import pytest

from common.entry_point import explain, run_command


def test_bad_input_ends_with_one_sentence_and_exit_code_one(capsys):
    def main(arguments):
        raise ValueError("near is 5 but far is 2 in cams/00000000_cam.txt\nsecond line")

    with pytest.raises(SystemExit) as stopped:
        run_command(main, [])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: near is 5 but far is 2 in cams/00000000_cam.txt\n"


def test_a_full_disk_is_explained_with_the_file():
    sentence = explain(OSError(errno.ENOSPC, "No space left on device", "out/latest.pth"))
    assert sentence == "no space left to write out/latest.pth; free some disk space and start again"


def test_a_missing_file_is_explained_with_its_path():
    assert "no file a/b.png" in explain(FileNotFoundError(errno.ENOENT, "No such file", "a/b.png"))


def test_a_file_in_the_place_of_a_folder_is_explained(tmp_path):
    file = tmp_path / "out.yaml"
    file.write_text("a: 1\n", encoding="utf8")
    for folder in (file, file / "render_test"):
        with pytest.raises(OSError, match=r"File exists|Not a directory") as raised:
            folder.mkdir(parents=True)
        assert explain(raised.value).startswith(f"cannot make the folder {folder}, because it or a part of")


def test_the_traceback_is_there_for_who_asks(monkeypatch):
    monkeypatch.setenv("POLYVIEW_TRACEBACK", "1")

    def main(arguments):
        raise ValueError("words")

    with pytest.raises(ValueError, match="words"):
        run_command(main, [])


def test_a_defect_is_not_dressed_up_as_bad_input():
    def main(arguments):
        raise KeyError("a programming mistake")

    with pytest.raises(KeyError):
        run_command(main, [])
