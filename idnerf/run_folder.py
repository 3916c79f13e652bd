"""What a run leaves beside its results: the commands that made it and its options."""

import difflib
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml

from common.distributed import broadcast_text
from common.io.atomic import atomic_path
from common.settings import Config

COMMANDS = "run.bash"
OPTIONS = "options.yaml"
_LOGGER = logging.getLogger(__name__)


def agree_on_name(opt: Config, device: torch.device) -> None:
    """Take the first process's name of the run and folder, in place: names may hold a time or random letters."""
    opt["name"] = broadcast_text(opt.name, device)
    opt["output_path"] = broadcast_text(opt.output_path, device)


def prepare_run_folder(opt: Config, command: Sequence[str]) -> Path:
    """Make `output_path`, add the command to `run.bash` and store the options in `options.yaml`.

    Args:
        opt: All options.
        command: Program and words, as in `sys.argv`.

    Returns:
        The folder. Where it held other options before, the log says what changed.

    Raises:
        OSError: The folder cannot be made or written.
    """
    folder = Path(opt.output_path)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / COMMANDS).open("a", encoding="utf8") as file:
        file.write(f"python {' '.join(map(shlex.quote, command))}\n")
    path = folder / OPTIONS
    text = write_options(opt)
    before = path.read_text(encoding="utf8") if path.is_file() else text
    if before != text:
        changes = difflib.unified_diff(before.splitlines(), text.splitlines(), "before", "now", n=0, lineterm="")
        _LOGGER.info("options of %s changed:\n%s", folder, "\n".join(changes))
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf8")
    return folder


def write_options(opt: Config) -> str:
    """The options as YAML: blocks, four spaces, sorted."""
    return yaml.safe_dump(_plain(opt), default_flow_style=False, indent=4)


def _plain(value: object) -> object:
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value
