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


def fit_value(value: Any, current: Any, name: str, where: str, text: str | None = None) -> Any:
    """`value` as the kind of `current`, the value that it replaces.

    Args:
        value: What a file or a command line gives.
        current: The setting's default.
        name: Of the setting, for the error.
        where: The value comes from, for the error.
        text: The word that `value` was read from; a text stays exactly that.

    Raises:
        TypeError: It cannot be read as that kind.
    """
    if isinstance(current, bool):
        words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        value = words.get(str(value).lower(), value)
    elif isinstance(current, str) and isinstance(value, int | float | list | tuple | bool):
        value = str(value) if text is None else text
    elif isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    elif isinstance(current, int) and isinstance(value, float) and value.is_integer():
        value = int(value)
    elif isinstance(current, list):
        value = list(value) if isinstance(value, tuple) else value if isinstance(value, list) else [value]
    if type(value) is not type(current):
        kinds = {
            "str": "a text",
            "int": "a whole number",
            "float": "a number",
            "bool": "True or False",
            "dict": "a section",
        }
        expected = kinds.get(type(current).__name__, type(current).__name__)
        raise TypeError(f"setting {name!r} in {where} must be {expected}, got {value!r}")
    return value
