"""What a YAML file or a script holds, as plain values that know where they stand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean

from hpo.errors import InputError

# RecursionError: nested too deeply.
NOT_YAML = (YAMLError, ValueError, RecursionError)
MOST_NODES = 3_000_000  # a few kilobytes of anchors can stand for more than any memory holds
_MOST_NESTED = 50


@dataclass(frozen=True)
class Document:
    """A plain value and the lines of its keys, each by its path from here."""

    value: Any
    name: str
    lines: Mapping[tuple[object, ...], int] = field(default_factory=dict)

    def place(self, *path: object) -> str:
        """Name file and line of a key, or of the nearest around it that has one."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return f"{self.name}:{self.lines[path[:length]]}"
        return self.name

    def part(self, *path: object) -> Document:
        """Give what stands at a key."""
        value = self.value
        for key in path:
            value = value[key]
        n = len(path)
        lines = {its[n:]: line for its, line in self.lines.items() if its[:n] == path}
        return Document(value, self.name, lines)

    def items(self, *path: object) -> Iterator[tuple[Any, Any, str]]:
        """Give the keys at a path, their values and places."""
        value = self.value
        for key in path:
            value = value[key]
        for key, its in value.items():
            yield key, its, self.place(*path, key)

    def section(self, name: str) -> Document:
        """Give the section of a dotted name.

        Raises:
            InputError: if there is none.
        """
        value: Any = self.value
        path: list[str] = []
        for key in name.split("."):
            if not isinstance(value, Mapping) or key not in value:
                known = ", ".join(map(str, value)) if isinstance(value, Mapping) else "none"
                raise InputError(
                    f"{self.place(*path)}: expected a section {name}, found {known or 'none'}"
                )
            value = value[key]
            path.append(key)
        return self.part(*path)


def parsed(text: str, name: str) -> Document:
    """Read YAML.

    Raises:
        InputError: if it is none.
    """
    try:
        found = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{name}:{line}: expected YAML, but {error.problem}") from error
    except NOT_YAML as error:
        raise InputError(f"{name}: expected YAML, but {reason(error)}") from error
    lines: dict[tuple[object, ...], int] = {}
    try:
        return Document(_located(found, (), lines), name, lines)
    except _TooLargeError as error:
        raise InputError(f"{name}: expected YAML of a sensible size, found {error}") from error


class _TooLargeError(Exception):
    pass


def _located(found: Any, path: tuple[object, ...], lines: dict[tuple[object, ...], int]) -> Any:
    """Make a value plain and note the lines of all keys and items in it."""
    if len(path) > _MOST_NESTED:
        raise _TooLargeError("one that is nested too deeply")
    if len(lines) > MOST_NODES:
        raise _TooLargeError(f"more than {MOST_NODES:,} values")
    if isinstance(found, CommentedMap):
        plain = {}
        for key, value in found.items():
            lines[path + (key,)] = _line_of_key(found, key) or lines.get(path, 1)
            plain[key] = _located(value, (*path, key), lines)
        return plain
    if isinstance(found, CommentedSeq):
        items = []
        for index, value in enumerate(found):
            known = (found.lc.data or {}).get(index)
            lines[path + (index,)] = known[0] + 1 if known else lines.get(path, 1)
            items.append(_located(value, (*path, index), lines))
        return items
    return plain_values(found)


def _line_of_key(found: CommentedMap, key: object) -> int | None:
    """Find a key's line; that of a merged one is where its anchor stands."""
    if key in (found.lc.data or {}):
        return int(found.lc.key(key)[0]) + 1
    merged = getattr(found, "merge", None) or []
    for item in merged:
        source = item[1] if isinstance(item, tuple) else item
        if isinstance(source, CommentedMap) and key in source:
            return _line_of_key(source, key)
    return None


def plain_values(value: Any) -> Any:
    """Turn what a YAML or Python reader gave into lists, dictionaries and plain scalars."""
    if isinstance(value, list | tuple | range):
        return [plain_values(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain_values(item) for key, item in value.items()}
    if isinstance(value, ScalarBoolean):  # an int to Python
        return bool(value)
    for kind in (bool, int, float, str):  # ruamel's scalars are subclasses that remember layout
        if isinstance(value, kind):
            return kind(value)
    return plain_values(value.tolist()) if hasattr(value, "tolist") else value  # NumPy's


def check_value(value: object, place: str) -> None:
    """Refuse what no hyperparameter can be.

    Raises:
        InputError: naming the place.
    """
    if isinstance(value, list):
        for item in value:
            check_value(item, place)
    elif isinstance(value, dict):
        check_value(list(value.values()), place)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{place}: expected finite numbers, found {value}")
    elif value is not None and not isinstance(value, bool | int | float | str):
        raise InputError(
            f"{place}: expected numbers, texts, true, false, null or lists of them,"
            f" found {value!r}"
        )


def kind(value: object) -> str:
    """Name what came in plain words."""
    if value is None:
        return "an empty file"
    return "a list" if isinstance(value, list) else f"a {type(value).__name__.lower()}"


def reason(error: Exception) -> str:
    """Give an error's first line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0]


def text_of(path: Path) -> str:
    """Read a text file.

    Raises:
        InputError: if it is none.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a text file, found a binary one") from error
    except OSError as error:
        raise InputError(f"{path}: expected a text file, found: {reason(error)}") from error
