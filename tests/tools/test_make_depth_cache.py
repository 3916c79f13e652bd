"""What the tool makes is tested with `neuray_mrvm/depth_cache.py`; here is what it says about wrong input."""

import pytest

from common.entry_point import run_command
from tools.make_depth_cache import main


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("dtu_tets/toy/black_800", "did you mean 'dtu_test/toy/black_800'?"),
        ("space/toy", "for the database 'space/toy'; see --base_data_dir"),
    ],
)
def test_an_unknown_scene_ends_it_with_one_sentence(name, sentence, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        run_command(main, ["--database_name", name, "--base_data_dir", str(tmp_path)])
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and sentence in said
