"""Running a command: bad input ends it with one sentence and exit code 1, never with a traceback.

Library code raises `ValueError`, `TypeError`, `FileNotFoundError` or `RuntimeError` with a sentence that says what was
expected, what came, from where, and what to do next. `run_command` prints it. Set POLYVIEW_TRACEBACK=1 to see where it
came from.
"""

import errno
import os
import sys
from collections.abc import Callable, Sequence


def run_command(
    main: Callable[[Sequence[str] | None], None],
    arguments: Sequence[str] | None = None,
    to_continue: str = "start the same command again to continue",
) -> None:
    """Call `main`; what it raises about its input becomes a sentence on stderr and exit code 1, Ctrl-C code 130.

    `to_continue` tells the user who pressed Ctrl-C what continues the work.
    """
    if os.environ.get("POLYVIEW_TRACEBACK"):
        main(arguments)
        return
    try:
        main(arguments)
    except KeyboardInterrupt:
        print(f"stopped; {to_continue}", file=sys.stderr)
        raise SystemExit(130) from None
    except (ValueError, TypeError, OSError, RuntimeError, ImportError) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        raise SystemExit(1) from None


def explain(error: BaseException) -> str:
    """One line that tells a user what went wrong."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left to write {error.filename or 'the output'}; free some disk space and start again"
    if isinstance(error, FileNotFoundError) and error.filename and error.strerror:
        return f"no file {error.filename}; check the path"
    if isinstance(error, PermissionError):
        return f"not allowed to access {error.filename}; check its permissions or choose another folder"
    if isinstance(error, NotADirectoryError | FileExistsError) and error.filename:
        return f"cannot make the folder {error.filename}, because it or a part of it is a file; choose another folder"
    lines = str(error).strip().splitlines()
    return lines[0] if lines else f"{type(error).__name__} without a message; set POLYVIEW_TRACEBACK=1 and run again"
