"""What the methods' configuration readers share: nested settings with attribute access, and help with wrong names."""

import ast
import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class Config(dict):
    """Nested settings, read as items or as attributes."""

    def __getattr__(self, name: str) -> Any:
        """The setting `name`."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no setting {name!r} here; there are {', '.join(map(str, self))}") from None


def to_config(settings: Mapping) -> Config:
    """Nested mappings as `Config`s."""
    return Config({key: to_config(value) if isinstance(value, Mapping) else value for key, value in settings.items()})


def read_literal(value: Any) -> Any:
    """A text as the Python literal that it spells, where it spells one; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return value  # an ordinary string


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known dotted name that was probably meant: a similar one, or the same last word in another section."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, 1, 0.6)
    if not near:
        near = [other for other in known if other.rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]][:1]
    return near[0] if near else None
