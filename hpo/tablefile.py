"""Tables of experiments, CSV or Excel: the header names hyperparameters, a row is a trial."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from hpo import expression, spaceyaml
from hpo.document import NOT_YAML, plain_values
from hpo.errors import InputError
from hpo.written import Part, Written

_DELIMITERS = ",;\t"
# A first line of names with something between them that no YAML has there.
_HEADER = re.compile(r"[\w.\"' -]+([,;\t][\w.\"' -]*)+\s*")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_EMPTY = (None, "")

Row = tuple[int, Sequence[Any]]  # with its line


def is_table(text: str, path: Path) -> bool:
    """Tell a CSV table from YAML."""
    return path.suffix in (".csv", ".tsv") or bool(_HEADER.fullmatch(text.partition("\n")[0]))


def from_csv(text: str, path: Path, row: str | None) -> Written:
    """Read a table of comma-, semicolon- or tab-separated values.

    Raises:
        InputError: naming file, line and column.
    """
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    try:
        for cells in reader:
            rows.append((reader.line_num, [_value(cell) for cell in cells]))
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: expected CSV, but {error}") from error
    return _space(rows, str(path), row)


def from_excel(path: Path, row: str | None) -> Written:
    """Read the first sheet of a workbook.

    Raises:
        InputError: naming file, line and column, or the package that is missing.
    """
    return _space(_excel_rows(path), str(path), row)


def _excel_rows(path: Path) -> list[Row]:
    try:
        import openpyxl
    except ImportError as error:
        raise InputError(
            f"{path}: expected openpyxl for Excel tables, found none; pip install 'openpyxl>=3.1'"
        ) from error
    try:
        formulas = openpyxl.load_workbook(path).worksheets[0]
        sheet = openpyxl.load_workbook(path, data_only=True).worksheets[0]
    except (OSError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: expected an Excel workbook, found something else") from error
    rows: list[Row] = []
    for line, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
        for column, cell in enumerate(cells, start=1):
            formula = formulas.cell(line, column).value
            if cell is None and formula is not None:
                raise InputError(
                    f"{path}:{line}: expected values, found a formula that no program has"
                    f" computed yet: {formula}; open and save the file in a spreadsheet program"
                )
        rows.append((line, [_value(cell) for cell in cells]))
    return rows


def _space(rows: Iterable[Row], name: str, number: str | None) -> Written:
    filled = [(line, cells) for line, cells in rows if any(c not in _EMPTY for c in cells)]
    if not filled:
        raise InputError(f"{name}: expected a header and a row for each experiment, found neither")
    names = _names(*filled[0], name)
    if len(filled) == 1:
        raise InputError(f"{name}: expected a row for each experiment, found only a header")
    chosen = filled[1:] if number is None else [_chosen(filled[1:], number, name)]
    parts = [_part(names, line, cells, name) for line, cells in chosen]
    return Written({}, {}, name, alternatives=parts)


def _names(line: int, cells: Sequence[Any], name: str) -> list[str | None]:
    names = [None if cell in _EMPTY else str(cell).strip() for cell in cells]
    for index, found in enumerate(names):
        if found is not None and found in names[:index]:
            raise InputError(
                f"{name}:{line}: expected each name once in the header, found {found} twice"
            )
    return names


def _chosen(rows: Sequence[Row], number: str, name: str) -> Row:
    if not number.isdecimal() or not 1 <= int(number) <= len(rows):
        raise InputError(
            f"{name}: expected a row from 1 to {len(rows)} (the header is not counted),"
            f" found {number}"
        )
    return rows[int(number) - 1]


def _part(names: Sequence[str | None], line: int, cells: Sequence[Any], name: str) -> Part:
    """Make a row's space: one value for each cell that is not empty."""
    domains, place = {}, f"{name}:{line}"
    for index, cell in enumerate(cells):
        if cell in _EMPTY:
            continue
        column = names[index] if index < len(names) else None
        if column is None:
            raise InputError(
                f"{place}: expected no more values than names in the header, found {cell!r} in"
                f" column {index + 1}"
            )
        domains[column] = spaceyaml.choices([_given(cell)], f"{place}: {column}")
    return Part(domains, dict.fromkeys(domains, place))


class _Null:
    """A cell that says null, other than one that says nothing."""


_NULL = _Null()
_WORDS = {"true": True, "false": False, "null": _NULL}


def _given(cell: Any) -> Any:
    return None if cell is _NULL else cell


def _value(cell: Any) -> Any:
    """Read a cell as YAML has it: a number, true, false, null, a list; a tuple; else a text."""
    if not isinstance(cell, str):
        return cell
    text = cell.strip()
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text):
        return float(text) if set(text) & set(".eE") else int(text)
    if text.startswith("("):
        return _tuple(text)
    if not text.startswith("["):
        return text
    try:
        return plain_values(YAML(typ="safe", pure=True).load(text))
    except NOT_YAML:
        return text


def _tuple(text: str) -> Any:
    """Read a tuple as Python writes it; give what is none as a text."""
    try:
        found = expression.evaluate(text)
    except InputError:
        return text
    return found if isinstance(found, list) else text
