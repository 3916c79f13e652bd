"""Where files named by a command or a config are looked up."""

from pathlib import Path


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
