"""Search spaces by name or from a file: YAML, or the dictionary at the top of a script."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean

from hpo.errors import InputError

_RIS: dict[str, list[object]] = {
    "filters": [16, 32, 64, 128, 256],
    "dense_units": [64, 128, 256, 512],
    "batch_size": [32, 64, 128, 256],
    "learning_rate": [0.001, 0.01, 0.1],
    "dropout": [0.2, 0.3, 0.4, 0.5],
    "validation_split": [0.1, 0.2, 0.3],
}

NAMED: dict[str, dict[str, list[object]]] = {
    "quick": {
        "filters": [8],
        "dense_units": [32, 64],
        "batch_size": [64],
        "learning_rate": [0.001, 0.01, 0.1],
        "dropout": [0.2, 0.5],
        "validation_split": [0.2],
    },
    "ris": _RIS,
    "big": {
        **_RIS,
        "kernel_size": [3, 5],
        "conv_layers": [1, 2],
        "pooling": ["max", "average"],
        "activation": ["relu", "tanh"],
        "batch_norm": [False, True],
        "optimizer": ["adam", "sgd", "rmsprop"],
        "augment": ["none", "shift-rotate-zoom"],
    },
}


# RecursionError: nested too deeply.
_NOT_YAML = (YAMLError, ValueError, RecursionError)


@dataclass(frozen=True)
class Written:
    """A search space as somebody wrote it, and where each of its keys stands."""

    values: dict[str, list[object]]
    places: dict[str, str]
    name: str

    def replaced(self, key: str, values: list[object], place: str) -> Written:
        """Give the same space with one hyperparameter's values replaced or added."""
        return Written(self.values | {key: values}, self.places | {key: place}, self.name)


def read(source: str) -> Written:
    """Read the space that `--space` names.

    Raises:
        InputError: if there is no such name or file, or it does not hold a search space.
    """
    if source in NAMED:
        return written(NAMED[source], source)
    path = Path(source)
    if path.is_dir() and (path / "search.yaml").is_file():
        path = path / "search.yaml"
    if not path.is_file():
        found = "a directory without a search.yaml" if path.is_dir() else "neither"
        raise InputError(
            f"{source}: expected a search space's file or one of {', '.join(NAMED)}, found {found}"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a text file, found a binary one") from error
    except OSError as error:
        raise InputError(f"{path}: expected a text file, found: {_reason(error)}") from error
    return _from_script(text, path) if path.suffix == ".py" else _from_yaml(text, path)


def written(
    values: Mapping[Any, object], name: str, lines: Mapping[Any, int] | None = None
) -> Written:
    """Check that a mapping is a search space: names with lists of values (or single ones)."""
    if not isinstance(values, Mapping):
        raise InputError(f"{name}: expected a dictionary of lists, found {values!r:.60}")
    lists: dict[str, list[object]] = {}
    places: dict[str, str] = {}
    if not values:
        raise InputError(f"{name}: expected at least one hyperparameter, found none")
    for key, value in values.items():
        place = name if lines is None else f"{name}:{lines[key]}"
        if not isinstance(key, str):
            raise InputError(f"{place}: expected a hyperparameter's name, found {key!r}")
        plain = plain_values(value)
        choices = plain if isinstance(plain, list) else [plain]
        if not choices:
            raise InputError(f"{place}: {key}: expected at least one value, found an empty list")
        for choice in choices:
            _check_value(choice, f"{place}: {key}")
        lists[key], places[key] = choices, place
    return Written(lists, places, name)


def with_set(space: Written, texts: Iterable[str]) -> Written:
    """Give a space with what `--set KEY=V[,V…]` options replace or add."""
    for text in texts:
        space = space.replaced(*parse_set(text), place="--set")
    return space


def parse_set(text: str) -> tuple[str, list[object]]:
    """Read one `--set KEY=V[,V…]`; each V is YAML, so `[32,64],[64,128]` are two lists.

    Raises:
        InputError: if the text has no such form.
    """
    key, equals, values = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set: expected KEY=V[,V…], found {text!r}")
    try:
        choices = plain_values(YAML(typ="safe", pure=True).load(f"[{values}]"))
    except _NOT_YAML as error:
        raise InputError(f"--set {key}: expected values of YAML, found {values!r}") from error
    space = written({key.strip(): choices}, "--set")
    return key.strip(), space.values[key.strip()]


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


def _check_value(value: object, place: str) -> None:
    if isinstance(value, list):
        for item in value:
            _check_value(item, place)
    elif isinstance(value, dict):
        _check_value(list(value.values()), place)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{place}: expected finite numbers, found {value}")
    elif value is not None and not isinstance(value, bool | int | float | str):
        raise InputError(
            f"{place}: expected numbers, texts, true, false, null or lists of them,"
            f" found {value!r}"
        )


def _from_yaml(text: str, path: Path) -> Written:
    try:
        found = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}:{line}: expected YAML, but {error.problem}") from error
    except _NOT_YAML as error:
        raise InputError(f"{path}: expected YAML, but {_reason(error)}") from error
    if isinstance(found, CommentedMap) and {"space", "identity"} <= found.keys():
        found = found["space"]  # a run's search.yaml
    if not isinstance(found, CommentedMap):
        raise InputError(f"{path}: expected `name: [value, …]` lines, found {_kind(found)}")
    lines = {key: found.lc.key(key)[0] + 1 if key in (found.lc.data or {}) else 1 for key in found}
    return written({key: plain_values(value) for key, value in found.items()}, str(path), lines)


def _from_script(text: str, path: Path) -> Written:
    """Find `SPACE = {…}` in a script and read it as a literal; nothing of the script runs."""
    try:
        statements = ast.parse(text).body
    except SyntaxError as error:
        line = error.lineno or 1
        raise InputError(f"{path}:{line}: expected Python, but {error.msg}") from error
    except ValueError as error:  # Python 3.10's word for NUL bytes
        raise InputError(f"{path}: expected Python, but {error}") from error
    for statement in statements:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and _assigns_space(statement):
            try:
                values = ast.literal_eval(statement.value)  # type: ignore[arg-type]  # not None
            except (ValueError, TypeError) as error:
                raise InputError(
                    f"{path}:{statement.lineno}: expected SPACE to be a plain dictionary of"
                    " lists; what is computed can only be read by running the script"
                ) from error
            if isinstance(values, dict):
                return written(plain_values(values), str(path))
    raise InputError(f"{path}: expected a line SPACE = {{…}}, found none")


def _assigns_space(statement: ast.Assign | ast.AnnAssign) -> bool:
    targets: Sequence[ast.expr] = (
        statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    )
    return any(isinstance(target, ast.Name) and target.id == "SPACE" for target in targets)


def _kind(value: object) -> str:
    if value is None:
        return "an empty file"
    return "a list" if isinstance(value, list) else f"a {type(value).__name__.lower()}"


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0]
