"""`pair.txt`: which source views suit each view, best first.

    49                                   number of references
    0                                    index of a reference view
    10 10 2346.41 1 2036.53 ...          count, then (source index, score) count times

References are identified by the stated index, never by the position in the file; counts differ between views and may be
0. Files made by MVSNet's COLMAP converter list a view among its own sources with score 0; it is dropped.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from common.io.atomic import atomic_path
from common.io.data_files import read_tokens

Pairs = dict[int, tuple[tuple[int, float], ...]]


def read_pair_file(path: str | Path) -> Pairs:
    """Sources and scores of every reference, keyed by the stated index, best first.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The count is missing, a block is short, or a word is no number; the sentence names file and line.
    """
    words = _Words(path)
    _refuse_missing_count(path, words.tokens)
    num_references = words.index()
    pairs: Pairs = {}
    for _ in range(num_references):
        reference, line = words.index(), words.line
        if reference in pairs:
            raise ValueError(f"{path}:{line} lists reference view {reference} a second time")
        sources = [(words.index(), words.score()) for _ in range(words.index())]
        pairs[reference] = tuple((source, score) for source, score in sources if source != reference)
    if words.position < len(words.tokens):
        line = words.tokens[words.position][1]
        raise ValueError(f"{path}:{line} goes on after the {num_references} references that its first line announces")
    return pairs


def write_pair_file(path: str | Path, pairs: Mapping[int, Sequence[tuple[int, float]]]) -> None:
    """Write sources and scores of every reference in the given order.

    Raises:
        ValueError: A view is its own source.
    """
    lines = [str(len(pairs))]
    for reference, sources in pairs.items():
        if any(source == reference for source, _ in sources):
            raise ValueError(f"view {reference} cannot be a source of itself")
        lines += [str(reference), " ".join([str(len(sources)), *(f"{source} {score:g}" for source, score in sources)])]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf8")


def _refuse_missing_count(path: str | Path, tokens: list[tuple[str, int]]) -> None:
    lines = [line for _, line in tokens]
    starts = [index for index, line in enumerate(lines) if index == 0 or line != lines[index - 1]]
    if len(starts) > 2 and starts[1] == 1 and starts[2] > 2:
        raise ValueError(
            f"{path}:{lines[0]} should hold the number of reference views, alone on its line; put it in front"
        )


class _Words:
    """The words of a file, taken one after the other; `line` is that of the last one taken."""

    def __init__(self, path: str | Path):
        self.path = path
        self.tokens = read_tokens(path)
        self.position = 0
        self.line = 1

    def index(self) -> int:
        """The next word as an index or a count."""
        word = self._next()
        if not (word.isascii() and word.isdigit() and len(word) < 10):
            raise ValueError(f"{self.path}:{self.line} should hold a view index or a count here, got '{word[:40]}'")
        return int(word)

    def score(self) -> float:
        """The next word as a number."""
        word = self._next()
        try:
            return float(word)
        except ValueError:
            raise ValueError(f"{self.path}:{self.line} should hold a score here, got '{word[:40]}'") from None

    def _next(self) -> str:
        if self.position == len(self.tokens):
            raise ValueError(
                f"{self.path}:{self.line} ends in the middle of a block; the file is incomplete, copy it again"
            )
        word, self.line = self.tokens[self.position]
        self.position += 1
        return word
