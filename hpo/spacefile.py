"""Search spaces by name or from a file, whose content says which format it has."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from hpo import document, jobspec, paramsfile, spaceyaml, sweepfile, tablefile
from hpo.document import Document
from hpo.domain import Domain
from hpo.errors import InputError
from hpo.written import Written

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


def read(source: str) -> Written:
    """Read the space that `--space` names.

    Raises:
        InputError: if there is no such name or file, or it does not hold a search space.
    """
    if source in NAMED:
        return written(NAMED[source], source)
    path, inside = _located(source)
    if path.is_dir() and (path / "search.yaml").is_file():
        path = path / "search.yaml"
    if not path.is_file():
        found = "a directory without a search.yaml" if path.is_dir() else "neither"
        raise InputError(
            f"{source}: expected a search space's file or one of {', '.join(NAMED)}, found {found}"
        )
    return _from_file(path, inside)


def written(values: Mapping[Any, object], name: str) -> Written:
    """Read the dictionary of a script.

    Raises:
        InputError: if it is no search space.
    """
    return _checked(Document(values, name))


def of_run(values: Mapping[Any, object], name: str) -> Written:
    """Read what a run's search.yaml has as its space."""
    return spaceyaml.space(Document(values, name))


def with_set(space: Written, texts: Iterable[str]) -> Written:
    """Give a space with what `--set KEY=V[,V…]` options replace or add."""
    for text in texts:
        space = space.replaced(*parse_set(text), place="--set")
    return space


def parse_set(text: str) -> tuple[str, Domain]:
    """Read one `--set KEY=V[,V…]`; each V is YAML, so `[32,64],[64,128]` are two lists.

    One mapping is a range, as in files: `KEY={min: 1e-4, max: 0.1, log: true}`.

    Raises:
        InputError: if the text has no such form.
    """
    key, equals, values = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise InputError(f"--set: expected KEY=V[,V…], found {text!r}")
    try:
        choices = document.plain_values(YAML(typ="safe", pure=True).load(f"[{values}]"))
    except document.NOT_YAML as error:
        raise InputError(f"--set {key}: expected values of YAML, found {values!r}") from error
    is_range = len(choices) == 1 and isinstance(choices[0], dict)
    return key, spaceyaml.read(choices[0] if is_range else choices, f"--set: {key}")


def _located(source: str) -> tuple[Path, str | None]:
    """Tell a file from the section or row that is asked of it: `space.yaml:small`."""
    before, colon, inside = source.rpartition(":")
    if colon and not Path(source).exists() and Path(before).is_file():
        return Path(before), inside
    return Path(source), None


def _from_file(path: Path, inside: str | None) -> Written:
    """Read a file by what is in it."""
    if path.suffix == ".py":
        _refuse_inside(path, inside)
        return _from_script(document.text_of(path), path)
    if path.suffix in (".xlsx", ".xlsm") or _is_zip(path):
        return tablefile.from_excel(path, inside)
    text = document.text_of(path)
    if tablefile.is_table(text, path):
        return tablefile.from_csv(text, path, inside)
    return _from_yaml(document.parsed(text, str(path)), inside)


def _from_yaml(found: Document, inside: str | None) -> Written:
    if inside is not None:
        found = found.section(inside)
    if not isinstance(found.value, dict):
        raise InputError(
            f"{found.name}: expected `name: [value, …]` lines, found {document.kind(found.value)}"
        )
    if {"space", "identity"} <= found.value.keys():  # a run's search.yaml
        if not isinstance(found.value["space"], dict):
            raise InputError(f"{found.place('space')}: expected what a search has written")
        return spaceyaml.space(found.part("space"))
    if sweepfile.is_sweep(found.value):
        return sweepfile.space(found)
    if "parameters" in found.value:
        return jobspec.space(found)
    return paramsfile.space(found) if paramsfile.is_params(found.value) else _checked(found)


def _checked(found: Document) -> Written:
    # What a run has recorded is not checked: --set may have taken away what conditions rest on.
    space = spaceyaml.space(found)
    space.check()
    return space


def _refuse_inside(path: Path, inside: str | None) -> None:
    if inside is not None:
        raise InputError(
            f"{path}: expected a section of a YAML file or a row of a table after the colon,"
            f" found {inside!r} of a script"
        )


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


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
                return written(document.plain_values(values), str(path))
    raise InputError(f"{path}: expected a line SPACE = {{…}}, found none")


def _assigns_space(statement: ast.Assign | ast.AnnAssign) -> bool:
    targets: Sequence[ast.expr] = (
        statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    )
    return any(isinstance(target, ast.Name) and target.id == "SPACE" for target in targets)
