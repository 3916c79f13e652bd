"""The documented commands, as a user types them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("folder", "command"),
    [
        ("", ["bash", "xscale_nvs/agents/adap.sh"]),
        ("xscale_nvs", ["bash", "agents/adap.sh"]),
        ("xscale_nvs/agents", ["python", "-u", "render.py"]),
    ],
)
def test_a_command_finds_its_files_from_anywhere_and_says_what_to_set(folder, command):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=ROOT / folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: root_file is still '/Your/path/to/record'; set it in the parameter file or add 'root_file FOLDER' to "
        "the command\n"
    )
