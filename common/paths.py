"""Where files named by a command or a config are looked up, and making room for new ones."""

import logging
from datetime import datetime
from pathlib import Path

_LOGGER = logging.getLogger(__name__)


def resolve_input(path: str | Path, method_folder: Path) -> Path:
    """An input path as the papers' commands write it: looked up in the working directory, then in the method's folder.

    Raises:
        FileNotFoundError: Neither place has it; the sentence names both.
    """
    path = Path(path).expanduser()
    for candidate in (path, method_folder / path):
        if candidate.exists():
            return candidate
    if path.is_absolute():
        raise FileNotFoundError(f"no file or folder {path}")
    raise FileNotFoundError(f"no file or folder {path} in the working directory {Path.cwd()} or in {method_folder}")


def move_aside(folder: str | Path, reason: str) -> None:
    """Give an old folder another name, so that a fresh run does not mix with it; nothing is deleted.

    Args:
        folder: May be missing or empty; then nothing happens.
        reason: Begins the sentence that is logged, such as "resume is False".
    """
    folder = Path(folder)
    if not folder.exists() or not any(folder.iterdir()):
        return
    aside = folder.with_name(f"{folder.name}.before-{datetime.now():%Y%m%d-%H%M%S-%f}")
    folder.rename(aside)
    _LOGGER.warning("%s: the earlier run was moved to %s", reason, aside)
